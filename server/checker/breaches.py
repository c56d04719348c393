"""In which ways can a run be wrong?"""

from dataclasses import dataclass
from enum import StrEnum


class Breach(StrEnum):
    """In which way a run is wrong."""

    LOST = "acknowledged but lost"
    """A receipt was given out, nobody asked for it back, and one of the books does not have it as paid."""
    AMOUNT = "other amounts"
    """Two books have one settlement with different amounts."""
    TWICE = "charged twice"
    """One bill, or one transaction, was booked more than once."""
    WRONG_PERSON = "somebody else's money"
    """It was not paid by whom the cashier had before them, or not for whom was treated."""
    GHOST = "ghost booking"
    """The insurer, an electronic account or a credit line has a booking that the platform does not have as paid."""
    STILL_BOOKED = "undone but booked"
    """A terminal was told that it is not paid, and somebody has it as paid, or has not given the money back."""
    UNKNOWN_TO_TERMINAL = "paid without the terminal"
    """The platform has a settlement that no terminal's journal knows."""
    IN_DOUBT = "in doubt for ever"
    """After everything was healed, and time enough, somebody still does not know."""
    SUMS = "sums are wrong"
    """A posting does not sum to zero, a balance is below it, or an account is not what its bookings make it."""
    CODE = "code used wrongly"
    """A dynamic code paid more than one settlement, or none, or a settlement that showed one has used none up."""
    PIN_FREE = "payments without a PIN miscounted"
    """A day's count is not that of its settlements: too low lets a thief pay more, too high stops a patient."""
    AUDIT = "audit chain broken"
    REPEATED = "repetition differs"
    """The same request got another receipt."""
    OTHERWISE_TOLD = "told otherwise"
    """The cashier was told one end, and the terminal's own journal has another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that must not be."""

    breach: Breach
    transaction_id: str = ""
    bill_number: str = ""
    details: str = ""
