"""When is a request the same request? The id's form and age, and the digest of what was asked."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import uuid_utils

from server.settlement.errors import TransactionIdNotV7Error, TransactionIdTimeError
from server.settlement.limits import SettlementLimits
from server.settlement.model import Bill, SelfPay

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION_7 = 7  # `version` is None unless the variant is the standard one


def check_form(transaction_id: str) -> None:
    """Refuse an id that is not a UUIDv7 in its usual spelling.

    Raises:
        TransactionIdNotV7Error: another version, another variant, or not written as 36 lower-case characters: one id
        must
            have one spelling, or the same request could be taken for two.
    """
    _age_from_epoch(transaction_id)


def check_new_id(transaction_id: str, *, now: datetime, limits: SettlementLimits, may_be_ahead: bool = False) -> None:
    """Refuse an id, not seen before, that no terminal with a sound clock can have made; the bounds are in `limits.py`.

    One that is ahead of its time comes of age: a terminal whose clock was far ahead, and that never heard what became
    of its Settle, must be able to reverse it, or it would be in doubt for ever.

    Raises:
        TransactionIdNotV7Error: no UUIDv7.
        TransactionIdTimeError: too far in the future or in the past.
    """
    ahead = _age_from_epoch(transaction_id) - (now - _EPOCH)
    is_ahead = ahead > limits.transaction_id_ahead_max and not may_be_ahead
    if is_ahead or ahead < -limits.transaction_id_age_max:
        raise TransactionIdTimeError(ahead=timedelta(seconds=round(ahead.total_seconds())))


def _age_from_epoch(transaction_id: str) -> timedelta:
    """Return how long after 1970 a UUIDv7 was made; a span, because its 48 bits reach past the year 9999."""
    try:
        parsed = uuid_utils.UUID(transaction_id)
    except ValueError as error:
        raise TransactionIdNotV7Error from error
    if parsed.version != _VERSION_7 or str(parsed) != transaction_id:
        raise TransactionIdNotV7Error
    return timedelta(milliseconds=parsed.int >> 80)


def body_digest(
    *,
    terminal_id: str,
    quote_id: str,
    bill: Bill,
    authorized_by: str,
    self_pay: Sequence[SelfPay] = (),
    binding_id: str = "",
) -> str:
    """Return the SHA-256 of a settle request in its one canonical form, as lower-case hex.

    Args:
        terminal_id: who asks; another terminal's request is another body.
        quote_id: as asked.
        bill: as asked.
        authorized_by: the kind of authorization and what names it without giving it away, from `authorization.py`.
        self_pay: as asked, in the order asked.
        binding_id: as asked; empty when the payer was treated.
    """
    parts: list[object] = [
        terminal_id,
        quote_id,
        bill.bill_number,
        bill.business_type,
        bill.total_fen,
        bill.not_covered_fen,
        authorized_by,
    ]
    # The release before knew no more than these: a request that says no more keeps its digest, whichever of two
    # replicas hears it, and its repetition after an upgrade is answered with the same receipt.
    if bill.stay_number or bill.chronic_disease or self_pay or binding_id:
        paid_with = [[pay.kind, pay.amount_fen] for pay in self_pay]
        parts += [bill.stay_number, bill.chronic_disease, paid_with, binding_id]
    canonical = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
