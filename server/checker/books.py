"""What is compared after a run? One record for each thing that a book can say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Pocket(StrEnum):
    """A person's money, wherever it is kept."""

    PERSONAL = "personal account"
    """At the insurer."""
    ELECTRONIC = "electronic account"
    CREDIT = "credit line"
    """What may still be taken of it."""
    DEBT = "debt"
    """What is owed, below zero: the other side of a credit line, in a book of its own."""


BESIDE_INSURANCE = (Pocket.ELECTRONIC, Pocket.CREDIT, Pocket.DEBT)
"""Those that pay of the self-paid part, all on the platform's own books whoever the insurer is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What a terminal's journal says of a transaction in the end."""

    terminal: str
    bill_number: str
    total_fen: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OurSettlement:
    """What the platform's settlements say of it."""

    state: str
    bill_number: str = ""
    """Empty in a tombstone: it was reversed before it came."""
    payer_id: str = ""
    person_id: str = ""
    """Who was treated."""
    total_fen: int = 0
    pooled_fund_fen: int = 0
    personal_account_fen: int = 0
    electronic_account_fen: int = 0
    credit_fen: int = 0
    pin_free_on: str = ""
    """The day among whose payments without a PIN it counts; empty when there was one."""

    def paid_from(self, pocket: Pocket) -> int:
        """Return what came from one of the payer's pockets."""
        match pocket:
            case Pocket.PERSONAL:
                return self.personal_account_fen
            case Pocket.ELECTRONIC:
                return self.electronic_account_fen
            case _:
                return self.credit_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class InsurerBooking:
    """One booking of the insurer's."""

    transaction_id: str
    stands: bool
    """Whether it is neither cancelled nor reversed."""
    pooled_fund_fen: int
    personal_account_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What was taken of one pocket for the self-paid part of a settlement."""

    transaction_id: str
    pocket: Pocket
    person_id: str
    amount_fen: int
    stands: bool
    """Whether it was not given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is in one pocket of one person."""

    person_id: str
    opened_with_fen: int
    holds_fen: int
    pocket: Pocket = Pocket.PERSONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class PinFreeDay:
    """What somebody has paid without a PIN on one day, by the platform's count."""

    person_id: str
    day: str
    payments: int
    total_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """One of the run's people, and the relative whose bills they may pay."""

    person_id: str
    relative_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything that was found after the run."""

    journals: Mapping[str, JournalEntry]
    """By transaction."""
    settlements: Mapping[str, OurSettlement]
    """By transaction."""
    bookings: Sequence[InsurerBooking]
    accounts: Sequence[Account]
    takings: Sequence[Taking] = ()
    used_codes: Sequence[str] = ()
    """For each dynamic code that was used up the transaction it paid for."""
    pin_free_days: Sequence[PinFreeDay] = ()
    households: Sequence[Household] = ()
    """As orders count them."""
    wrong_sums: Sequence[str] = ()
    """What the walks over the books found."""
    wrong_audit: Sequence[str] = ()
