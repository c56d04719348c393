"""Who decides what the insurance pays? The port, in its two shapes.

An insurer either keeps its books in our database, and then everything happens inside the settlement's own transaction,
or it is far away, and then a settlement is written down before it is asked (PENDING) and its answer may get lost
(UNKNOWN).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from sqlalchemy import Connection

from server.settlement.model import Bill, Quotation, Shares
from server.settlement.reconciliation.statements import Statements


class EntitlementKind(StrEnum):
    """What a person has shown."""

    CREDENTIAL = "CREDENTIAL"
    """Their electronic credential: by face or by code."""
    CARD = "CARD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What entitles us to ask a remote insurer for somebody's money; lives as long as one request."""

    kind: EntitlementKind
    number: str = field(repr=False)
    """Token of the credential, or number of the card; a secret."""
    evidence_sha256: str
    """Hash of what was shown (assertion, code), in hex: binds the insurer's books to our face decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Whose bill, from where: all that an insurer needs to know to say who pays what."""

    person_id: str
    """Who was treated: their benefits count."""
    payer_id: str
    """Whose personal account pays: the person's own, or the holder's of a family account."""
    person_region: str
    terminal_id: str
    site_id: str
    site_region: str
    site_kind: str
    benefit_year: int
    """Calendar year that the bill counts in: the one it was quoted in."""
    bill: Bill
    entitlement: Entitlement | None = field(default=None, compare=False)
    """What was shown; None where nobody stands before the terminal any more: to ask again, to undo."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """What an insurer booked."""

    personal_account_balance_fen: int
    """What is left in the personal account."""
    deductible_fen: int = 0
    """What the bill used up of the year's deductible, where we keep count."""
    eligible_fen: int = 0
    """What it added to the year's eligible expense, where we keep count."""
    prepaid_back_fen: int = 0
    """What was left of the prepayments of a stay, and given back."""
    booked_at: datetime | None = None
    """When a remote insurer booked it, by its own clock: a statement counts it on that day. None: as we hear of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a remote insurer answered to one message about a transaction."""

    message_id: str
    call: str
    """Its number of the call."""
    sent_at: datetime
    code: str | None
    """The insurer's own; None: no answer, or it never left."""
    words: str = field(repr=False)
    """What it wrote beside a refusal, verbatim; may hold a name, so it is for one operator's eyes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """A settled claim, as it is needed to give everything back."""

    transaction_id: str
    claim: Claim
    shares: Shares
    deductible_fen: int
    eligible_fen: int


class InHouseInsurer(Protocol):
    """Keeps its books in our database; each call is a part of the transaction that it is handed."""

    @property
    def is_in_house(self) -> Literal[True]:
        """Tells the two shapes apart."""
        ...

    def quote(self, connection: Connection, claim: Claim) -> Quotation:
        """Return who would pay what; may open accounts, moves nothing.

        Raises:
            BusinessTypeNotPayableError: nothing is paid for such a bill.
        """
        ...

    def book(self, connection: Connection, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:
        """Move the money exactly as quoted.

        Raises:
            QuoteOutdatedError: the shares would be others by now.
            InsufficientFundError: the pooled fund does not hold its part.
        """
        ...

    def unbook(self, connection: Connection, booked: Booked) -> None:
        """Give back exactly what `book` moved and used up."""
        ...


class RemoteInsurer(Protocol):
    """Keeps its own books elsewhere. Every call may take long, fail, or succeed without our hearing of it.

    The transaction id is the key of everything: each call is safe to repeat, and after `reverse` has answered, a
    `settle` with the same id that arrives late books nothing. Any exception but InsurerRefusedError means: nobody
    knows.
    """

    @property
    def is_in_house(self) -> Literal[False]:
        """Tells the two shapes apart."""
        ...

    @property
    def statements(self) -> Statements:
        """Its statements of each day, for the reconciliation."""
        ...

    async def quote(self, claim: Claim) -> Quotation:
        """Return who would pay what; moves nothing."""
        ...

    async def settle(self, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:
        """Book a claim as quoted.

        Raises:
            InsurerRefusedError: certainly not booked.
        """
        ...

    async def query(self, transaction_id: str) -> Booking | None:
        """Return what was booked under an id, None when nothing was."""
        ...

    async def cancel(self, transaction_id: str) -> None:
        """Undo a booking on request.

        Raises:
            InsurerRefusedError: certainly still booked.
        """
        ...

    async def reverse(self, transaction_id: str) -> bool:
        """Make sure that nothing is and nothing will be booked under an id; return whether something had been."""
        ...


Insurer = InHouseInsurer | RemoteInsurer
"""One or the other; `is_in_house` tells."""
