"""How much may be paid, on what proof, and how old may an id be?"""

from dataclasses import dataclass
from datetime import timedelta

from server.credentials.assertion import AssertionClaims
from server.settlement.errors import AmountOverLimitError, BillInvalidError, PinRequiredError
from server.settlement.model import Bill, FaceAuthorization


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLimits:
    """The bounds of the settlement room."""

    pin_free_fen: int = 50_000
    """免密额度: bills up to this are paid with a face alone, in fen. No national figure is public; wallets ask for a
    password from 1,000 yuan on, half of that is the careful start."""
    bill_fen_max: int = 1_000_000_000
    """Largest bill in fen; the protocol's own bound."""
    transaction_id_ahead_max: timedelta = timedelta(days=1)
    """How far ahead of our clock a new id may be made: a wrong time zone passes, a clock two days off does not."""
    transaction_id_age_max: timedelta = timedelta(days=30)
    """How old a new id may be: a terminal that was offline works its journal off within this. It is a bound at all so
    that settlements older than it can be archived one day without an old id becoming new again."""
    reversal_window: timedelta = timedelta(days=7)
    """How long after a settlement its outcome may still be in doubt, and so be reversed."""


def check_bill(bill: Bill, limits: SettlementLimits) -> None:
    """Refuse a bill that the rest of the room could not reckon with.

    Raises:
        BillInvalidError: amounts out of bounds; names the field.
    """
    if not 0 < bill.total_fen <= limits.bill_fen_max:
        raise BillInvalidError(field="total_fen")
    if not 0 <= bill.not_covered_fen <= bill.total_fen:
        raise BillInvalidError(field="not_covered_fen")


def pin_free_fen(claims: AssertionClaims, limits: SettlementLimits) -> int:
    """Return up to which amount this face pays alone: its own limit, and never beyond the configured one."""
    return min(claims.pin_free_limit_fen, limits.pin_free_fen)


def pin_required(bill: Bill, claims: AssertionClaims, limits: SettlementLimits) -> bool:
    """Return whether a face needs a PIN beside it; the whole bill counts, so the patient can tell beforehand."""
    return bill.total_fen > pin_free_fen(claims, limits)


def check_confirmed(authorization: FaceAuthorization, claims: AssertionClaims, limits: SettlementLimits) -> None:
    """Refuse a face that needs a PIN and came without one, or without the practitioner who may stand in for it.

    Raises:
        PinRequiredError: the same request with the PIN is welcome; the assertion is not used up.
    """
    by_staff = bool(authorization.staff_assertion) and claims.staff_may_confirm
    if not authorization.pin and not by_staff:
        raise PinRequiredError(pin_free_fen=pin_free_fen(claims, limits), staff_may_confirm=claims.staff_may_confirm)


def check_assertion_limit(bill: Bill, amount_limit_fen: int) -> None:
    """Refuse a bill above what the assertion is good for.

    Raises:
        AmountOverLimitError: a new face session with a higher limit is needed.
    """
    if bill.total_fen > amount_limit_fen:
        raise AmountOverLimitError(limit_fen=amount_limit_fen)
