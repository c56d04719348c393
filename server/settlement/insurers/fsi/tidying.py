"""What does nobody need any more? Registrations of quotes that came to nothing, and what a core wrote beside a no."""

from contextlib import suppress
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from server.settlement.insurers.fsi import calls
from server.settlement.insurers.fsi.errors import CoreRefusedError
from server.settlement.insurers.fsi.means import Means
from server.settlement.insurers.fsi.records import (
    REFUSALS_KEPT_FOR,
    UNUSED_KEPT_FOR,
    Visit,
    VisitState,
)

_BATCH: Final = 16
_BATCHES_MAX: Final = 256
"""Of one pass: a day's quotes that came to nothing must not pile up faster than they are cancelled."""


class Tidying:
    """Cancels registrations (2202), and drops visits that came to nothing."""

    def __init__(self, means: Means, *, unused_after: timedelta) -> None:
        """Take what it works with; past `unused_after`, longer than a quote lives, nobody settles an open visit."""
        self._means: Final = means
        self._unused_after: Final = unused_after

    async def tidy(self) -> int:
        """Make one pass; return how many visits were closed.

        Raises:
            FsiError: the core does not answer; what is left is tried in the next pass.
        """
        closed = 0
        for _ in range(_BATCHES_MAX):
            unused = await self._means.unit_of_work.write(self._taken_from_quotes)
            for visit in unused:
                await self._close(visit)
            closed += len(unused)
            if len(unused) < _BATCH:
                break
        return closed

    def _taken_from_quotes(self, connection: Connection) -> list[Visit]:
        """Make sure that no settlement takes them from now on, then return them."""
        now = self._means.now()
        self._means.records.forget_visits(connection, made_before=now - UNUSED_KEPT_FOR)
        self._means.records.forget_refusals(connection, written_before=now - REFUSALS_KEPT_FOR)
        unused = self._means.records.unused_visits(connection, made_before=now - self._unused_after, limit=_BATCH)
        for visit in unused:
            self._means.records.change_visit(connection, visit, state=VisitState.RELEASED)
        return unused

    async def _close(self, visit: Visit) -> None:
        kind = self._means.kinds.of(visit.business_type)
        if kind is not None and kind.registers and visit.mdtrt_id:
            call = calls.unregister(self._means.institutions.with_code(visit.institution), visit)
            with suppress(CoreRefusedError):  # kept with its message; asking again changes none of the core's reasons
                await self._means.errands.look(call, person_id=visit.person_id)
        await self._means.unit_of_work.write(
            lambda connection: self._means.records.change_visit(connection, visit, state=VisitState.CLOSED)
        )
