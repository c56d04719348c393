"""What does the core have booked for a visit? 5203, and whether what it shows is ours and adds up."""

from collections.abc import Collection
from typing import Final

from server.settlement.insurers.fsi.calls import Settled, query, settled_from
from server.settlement.insurers.fsi.envelope import Answer
from server.settlement.insurers.fsi.errand import Errands
from server.settlement.insurers.fsi.errors import AnswerForeignError, CoreRefusedError
from server.settlement.insurers.fsi.institutions import Institutions
from server.settlement.insurers.fsi.profile import AnswerSettings
from server.settlement.insurers.fsi.records import Visit


class Looks:
    """Looks into the core's books."""

    def __init__(self, *, errands: Errands, institutions: Institutions, settings: AnswerSettings) -> None:
        """Take what it works with.

        Args:
            errands: ask the core.
            institutions: in whose name.
            settings: how an answer is read.
        """
        self._errands: Final = errands
        self._institutions: Final = institutions
        self._settings: Final = settings
        self._parts: Final = frozenset(settings.fund_parts + settings.catastrophic_parts)

    def read(self, answer: Answer) -> Settled | None:
        """Return the settlement in an answer.

        Raises:
            AnswerGarbledError: it cannot be read.
        """
        return settled_from(answer, fund_parts=self._parts)

    async def at(self, visit: Visit, *, msgids: Collection[str]) -> Settled | None:
        """Return what the core has under a visit's number, also when it was undone there; None: nothing.

        Args:
            visit: one with a number of the core's; without, nothing can be asked for.
            msgids: of the messages that may have made it.

        Raises:
            AnswerForeignError: the core shows what another message made, or somebody else's.
            CoreRefusedError: the core would not tell.
            FsiError: nobody knows.
        """
        call = query(self._institutions.with_code(visit.institution), visit)
        try:
            found = self.read(await self._errands.look(call, person_id=visit.person_id))
        except CoreRefusedError as error:
            if error.infcode in self._settings.none_codes:
                return None
            raise
        if found is None:
            return None
        if found.psn_no != visit.psn_no or (found.medins_setl_id and found.medins_setl_id not in msgids):
            raise AnswerForeignError(what="setlinfo")
        return found


def can_look(visit: Visit) -> bool:
    """Return whether the core gave a number to ask by."""
    return bool(visit.mdtrt_id)
