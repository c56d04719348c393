"""What does nobody need any more? Registrations of quotes that came to nothing, and what a core wrote beside a no."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from server.settlement.insurers.fsi import calls
from server.settlement.insurers.fsi.errand import Errands
from server.settlement.insurers.fsi.errors import CoreRefusedError
from server.settlement.insurers.fsi.institutions import Institutions
from server.settlement.insurers.fsi.kinds import Kinds
from server.settlement.insurers.fsi.records import (
    REFUSALS_KEPT_FOR,
    UNUSED_KEPT_FOR,
    Records,
    Visit,
    VisitState,
)
from server.store.unit_of_work import UnitOfWork

_BATCH: Final = 16
_BATCHES_MAX: Final = 256
"""Of one pass: a day's quotes that came to nothing must not pile up faster than they are cancelled."""


class Tidying:
    """Cancels registrations (2202), and drops visits that came to nothing."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        errands: Errands,
        institutions: Institutions,
        records: Records,
        kinds: Kinds,
        unused_after: timedelta,
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where visits are.
            now: the clock.
            errands: ask the core.
            institutions: in whose name.
            records: visits.
            kinds: which of them were registered.
            unused_after: age at which nobody can settle an open visit any more: longer than a quote lives.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._errands: Final = errands
        self._institutions: Final = institutions
        self._records: Final = records
        self._kinds: Final = kinds
        self._unused_after: Final = unused_after

    async def tidy(self) -> int:
        """Make one pass; return how many visits were closed.

        Raises:
            FsiError: the core does not answer; what is left is tried in the next pass.
        """
        closed = 0
        for _ in range(_BATCHES_MAX):
            unused = await self._unit_of_work.write(self._taken_from_quotes)
            for visit in unused:
                await self._close(visit)
            closed += len(unused)
            if len(unused) < _BATCH:
                break
        return closed

    def _taken_from_quotes(self, connection: Connection) -> list[Visit]:
        """Make sure that no settlement takes them from now on, then return them."""
        now = self._now()
        self._records.forget_visits(connection, made_before=now - UNUSED_KEPT_FOR)
        self._records.forget_refusals(connection, written_before=now - REFUSALS_KEPT_FOR)
        unused = self._records.unused_visits(connection, made_before=now - self._unused_after, limit=_BATCH)
        for visit in unused:
            self._records.change_visit(connection, visit, state=VisitState.RELEASED)
        return unused

    async def _close(self, visit: Visit) -> None:
        kind = self._kinds.of(visit.business_type)
        if kind is not None and kind.registers and visit.mdtrt_id:
            call = calls.unregister(self._institutions.with_code(visit.institution), visit)
            with suppress(CoreRefusedError):  # kept with its message; asking again changes none of the core's reasons
                await self._errands.look(call, person_id=visit.person_id)
        await self._unit_of_work.write(
            lambda connection: self._records.change_visit(connection, visit, state=VisitState.CLOSED)
        )
