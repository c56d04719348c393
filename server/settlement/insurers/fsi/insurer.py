"""The provincial core as our insurer: who pays what, booked, looked for, undone.

Everything that must be known after a crash is written down before the core is asked: the visit and, with a
transaction's id, the msgid and infno of each message that moves money, so that a reversal can name it. What a core
says is believed only when it adds up and is what was quoted; anything else is doubt, and doubt is looked into (5203)
and reversed (2601), never booked silently.
"""

from collections.abc import Sequence
from typing import Final, Literal

from sqlalchemy import Connection

from server.settlement.insurers import Booking, Claim, Heard
from server.settlement.insurers.fsi.booking import Bookings
from server.settlement.insurers.fsi.core import Core
from server.settlement.insurers.fsi.errand import Errands
from server.settlement.insurers.fsi.institutions import Institutions
from server.settlement.insurers.fsi.quoting import Quotes
from server.settlement.insurers.fsi.records import Records
from server.settlement.insurers.fsi.tidying import Tidying
from server.settlement.insurers.fsi.undoing import Undoings
from server.settlement.model import Quotation, Shares
from server.settlement.reconciliation.statements import Statements


class FsiInsurer:
    """A RemoteInsurer; built by `building.fsi_insurer`."""

    def __init__(
        self,
        *,
        quotes: Quotes,
        bookings: Bookings,
        undoings: Undoings,
        statements: Statements,
        tidying: Tidying,
        errands: Errands,
        institutions: Institutions,
        records: Records,
        core: Core,
    ) -> None:
        """Take its parts.

        Args:
            quotes: 1101, 2201, 2206 and 2101.
            bookings: 2207, 2102, 5203.
            undoings: 2208, 2103, 2601.
            statements: 3201, 3202, 9101, 9102.
            tidying: 2202.
            errands: 9001, 9002.
            institutions: in whose name we are signed in.
            records: of what was said.
            core: the line, to be closed at the end.
        """
        self._quotes: Final = quotes
        self._bookings: Final = bookings
        self._undoings: Final = undoings
        self._statements: Final = statements
        self._tidying: Final = tidying
        self._errands: Final = errands
        self._institutions: Final = institutions
        self._records: Final = records
        self._core: Final = core

    @property
    def is_in_house(self) -> Literal[False]:
        """Books elsewhere."""
        return False

    @property
    def statements(self) -> Statements:
        """The core's statements of each day."""
        return self._statements

    async def quote(self, claim: Claim) -> Quotation:
        """Return who would pay what; registers the visit where the core wants that."""
        return await self._quotes.quote(claim)

    async def settle(self, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:
        """Book a claim as quoted."""
        return await self._bookings.settle(transaction_id=transaction_id, claim=claim, quoted=quoted)

    async def query(self, transaction_id: str) -> Booking | None:
        """Return what was booked as quoted under an id, None when nothing was."""
        return await self._bookings.query(transaction_id)

    async def cancel(self, transaction_id: str) -> None:
        """Undo a booking on request."""
        await self._undoings.cancel(transaction_id)

    async def reverse(self, transaction_id: str) -> bool:
        """Make sure that nothing is and nothing will be booked under an id; return whether something had been."""
        return await self._undoings.reverse(transaction_id)

    def heard_of(self, connection: Connection, transaction_id: str) -> Sequence[Heard]:
        """Return what the core answered about a transaction, verbatim; nothing is asked."""
        return self._records.heard_of(connection, transaction_id)

    async def tidy(self) -> int:
        """Cancel registrations that nobody will settle any more; to be called again and again. Return how many."""
        return await self._tidying.tidy()

    async def sign_out(self) -> None:
        """End every session; the next call signs in again. For an operator who takes the platform out of service.

        Raises:
            FsiError: the core said no or did not answer.
        """
        for institution in self._institutions:
            await self._errands.sign_out(institution)

    async def close(self) -> None:
        """Close the connections. The session stays: other replicas speak under it."""
        await self._core.close()
