"""How much may be paid, on what proof, and how old may an id be?"""

from dataclasses import dataclass
from datetime import timedelta

from server.credentials.assertion import AssertionClaims
from server.credentials.codes import CodeClaims
from server.settlement.errors import AmountOverLimitError, BillInvalidError, PinRequiredError
from server.settlement.model import Bill, CodeAuthorization, FaceAuthorization

Shown = AssertionClaims | CodeClaims
"""What can be used up, and says what it is good for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementLimits:
    """The bounds of the settlement room."""

    pin_free_fen: int = 50_000
    """免密额度: bills up to this are paid with a face alone, in fen. No national figure is public; wallets ask for a
    password from 1,000 yuan on, half of that is the careful start."""
    pin_free_day_fen: int = 100_000
    """What one person pays without a PIN on one day, in fen, all terminals together. Twice the single payment, and the
    amount from which on wallets ask for a password: so much is what a wrong accept, or a code over somebody's shoulder,
    costs at worst before the next morning."""
    pin_free_day_count: int = 10
    """How often, on one day. Wallets stop at ten as well; a day at a hospital with registration, examinations,
    settlement and dispensing takes about seven."""
    code_pin_free_fen: int = 20_000
    """The same for a dynamic code, which can be photographed: 200 yuan."""
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


def pin_free_fen(claims: Shown, limits: SettlementLimits) -> int:
    """Return up to which amount this face or code pays alone: its own limit, and never beyond the configured one."""
    configured = limits.code_pin_free_fen if isinstance(claims, CodeClaims) else limits.pin_free_fen
    return min(claims.pin_free_limit_fen, configured)


def pin_required(bill: Bill, claims: Shown, limits: SettlementLimits) -> bool:
    """Return whether a face needs a PIN beside it; the whole bill counts, so the patient can tell beforehand."""
    return bill.total_fen > pin_free_fen(claims, limits)


def is_confirmed(authorization: FaceAuthorization | CodeAuthorization, claims: Shown) -> bool:
    """Return whether a PIN came with it, or with a face a practitioner who may stand in; neither is checked yet."""
    has_staff = isinstance(authorization, FaceAuthorization) and bool(authorization.staff_assertion)
    return bool(authorization.pin) or (has_staff and claims.staff_may_confirm)


def check_confirmed(
    authorization: FaceAuthorization | CodeAuthorization, claims: Shown, limits: SettlementLimits
) -> None:
    """Refuse a face or code that needs a PIN and came without one, or without whoever may stand in for it.

    Raises:
        PinRequiredError: the same request with the PIN is welcome; the assertion is not used up.
    """
    if not is_confirmed(authorization, claims):
        raise PinRequiredError(
            pin_free_fen=pin_free_fen(claims, limits),
            staff_may_confirm=claims.staff_may_confirm,
            field="authorization.code.pin" if isinstance(claims, CodeClaims) else "",
        )


def check_assertion_limit(bill: Bill, amount_limit_fen: int) -> None:
    """Refuse a bill above what the assertion is good for.

    Raises:
        AmountOverLimitError: a new face session with a higher limit is needed.
    """
    if bill.total_fen > amount_limit_fen:
        raise AmountOverLimitError(limit_fen=amount_limit_fen)
