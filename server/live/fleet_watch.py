"""Who runs the fleet audit when nobody asks? Each replica tries now and then, and one of them does it."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection

from device_registry.fleet.fleet import Fleet, FleetReport, Look
from server.store import UnitOfWork

log = structlog.get_logger()

ACTOR = "risk:audit"
PORTION = 250
"""Sightings in one transaction: about 20 ms of the one writer, measured on SQLite."""
NOT_AGAIN_BEFORE = 0.9
"""Of the interval: replicas do not try in the same moment, and the one that is a little early must not be put off."""


async def _nothing() -> None:
    """Take the place of the look at the witness where none is kept."""


async def written_down(look: Look, *, fleet: Fleet, unit_of_work: UnitOfWork) -> int:
    """Write down what was seen, a portion at a time, so that others get their turn; return how many are new."""
    opened = 0
    for begin in range(0, len(look.sightings), PORTION):
        portion = look.sightings[begin : begin + PORTION]
        opened += await unit_of_work.write(partial(fleet.write_down, sightings=portion))
    return opened


class FleetWatch:
    """Runs the audit in the background."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        fleet: Fleet,
        now: Callable[[], datetime],
        interval: timedelta,
        look_at_witness: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        """Take what it works with; `look_at_witness` comes before each audit that may take something from somebody."""
        self._unit_of_work = unit_of_work
        self._fleet = fleet
        self._now = now
        self._interval = interval
        self._look_at_witness = look_at_witness

    async def audit(self) -> FleetReport | None:
        """Look at the fleet and act by policy; return None when another replica did so a moment ago.

        Looking is a read beside the calls. Whether it is due is asked again where it is written down: there the
        database lets in one replica after the other.
        """
        look = await self._unit_of_work.walk(self._look_if_due, patience=self._interval)
        if look is None:
            return None
        await self._look_at_witness()
        opened = await written_down(look, fleet=self._fleet, unit_of_work=self._unit_of_work)
        report = await self._unit_of_work.write(lambda connection: self._record_if_due(connection, look, opened))
        if report is not None and (report.opened or report.mitigated or report.held_back):
            log.warning(
                "fleet_audited",
                terminals=report.terminals,
                seen=report.seen,
                opened=report.opened,
                mitigated=len(report.mitigated),
                held_back=report.held_back,
            )
        return report

    def _look_if_due(self, connection: Connection) -> Look | None:
        return self._fleet.look(connection) if self._is_due(connection) else None

    def _record_if_due(self, connection: Connection, look: Look, opened: int) -> FleetReport | None:
        if not self._is_due(connection):
            return None
        return self._fleet.record(connection, look, actor=ACTOR, acts=True, opened=opened)

    def _is_due(self, connection: Connection) -> bool:
        last = self._fleet.last_run(connection)
        # The clock may have been set back: an audit far in the future is none of a moment ago.
        return last is None or abs(self._now() - last) >= self._interval * NOT_AGAIN_BEFORE
