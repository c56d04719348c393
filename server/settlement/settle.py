"""How a bill gets paid in one transaction: seen before? authorized? within limits? as quoted? booked, audited.

`settle` is a plain function on a connection. Whatever it raises rolls all of it back, so an assertion is used up if
and only if the settlement is written (I4), and money moves if and only if its id is taken (I5).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo

import uuid_utils
from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.caller import Caller
from server.credentials.assertion import Assertions
from server.credentials.codes import CodeClaims, DynamicCodes
from server.credentials.family import FamilyAccounts
from server.credentials.staff import StaffAssertions, StaffClaims
from server.settlement.errors import (
    InsurerRefusedError,
    OutcomeUnknownError,
    PinRequiredError,
    QuoteExpiredError,
    QuoteMismatchError,
    QuoteOutdatedError,
    QuoteUnknownError,
    TransactionCancelledError,
    TransactionIdReusedError,
    TransactionReversedError,
)
from server.settlement.insurers import Entitlement, Insurer
from server.settlement.limits import SettlementLimits, Shown, check_assertion_limit
from server.settlement.model import Bill, Intent, Receipt, SelfPay, SelfPayKind, SettlementState
from server.settlement.once import check_new_id
from server.settlement.pin_free import count_payment
from server.settlement.quote import CHINA, claim_for
from server.settlement.self_pay.cash import Cash
from server.settlement.self_pay.channels import SelfPays
from server.settlement.store import QuoteRow, SettlementRow, find_settlement, insert_settlement, take_quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What the steps work with, besides the connection."""

    now: Callable[[], datetime]
    insurer: Insurer
    assertions: Assertions
    staff_assertions: StaffAssertions
    codes: DynamicCodes
    family: FamilyAccounts
    audit: AuditLog
    limits: SettlementLimits
    retry_after: timedelta
    """When a terminal may ask again about a settlement in doubt."""
    self_pays: SelfPays = field(default_factory=lambda: SelfPays(Cash()))
    """What the self-paid part may be paid with."""
    zone: tzinfo = CHINA
    """Whose midnight begins a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One settle request whose authorization was proven."""

    caller: Caller
    transaction_id: str
    body_sha256: str
    quote_id: str
    bill: Bill
    person_id: str
    """Who is here, and pays."""
    claims: Shown | None
    """The assertion or code to use up; None when a card and its PIN were shown."""
    binding_id: str = ""
    """Names the relative who was treated; empty when it is the payer."""
    staff: StaffClaims | None = None
    """The practitioner's assertion that is used up with it; None when there was a PIN, or no need for one."""
    is_confirmed: bool = False
    """Whether a PIN, or a practitioner in its place, was checked; what is not counts among the day's PIN-free."""
    self_pay: tuple[SelfPay, ...] = ()
    """How the self-paid part is paid; empty is cash."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A settlement as it stands, and whether this very request wrote it."""

    row: SettlementRow
    is_new: bool
    entitlement: Entitlement | None = None
    """What a remote insurer may be asked with; it is in no row, and lives as long as this request."""


def settle(connection: Connection, order: Order, means: Means) -> Paid:
    """Pay a bill, or return what became of it when it was asked before.

    With an insurer in house it is SETTLED when this commits; with a remote one it is PENDING: written down, still to
    be asked.

    Raises:
        SettlementError: one of many, with the assertion unused and the quote still open.
        CredentialError: the assertion is not good for this.
    """
    seen = seen_before(
        connection, order.transaction_id, terminal_id=order.caller.terminal_id, body_sha256=order.body_sha256
    )
    if seen is not None:
        return Paid(seen, is_new=False)
    now = means.now()
    check_new_id(order.transaction_id, now=now, limits=means.limits)
    if order.claims is not None:
        _use_up(connection, order, order.claims, means)
    if order.staff is not None:
        _confirm(connection, order, order.staff, means)
    quote = _quote_for(connection, order, means, now)
    row = _booked(connection, order, quote, means, now, pin_free_on=_counted(connection, order, means, now))
    if order.self_pay:
        row = _taken(connection, order, row, means, now)
    insert_settlement(connection, row)
    record(connection, means.audit, row, request_id=order.caller.request_id)
    return Paid(row, is_new=True)


def _counted(connection: Connection, order: Order, means: Means, now: datetime) -> date | None:
    """Count what no PIN stands behind; return the day it is counted on, None when there is nothing to count.

    Raises:
        PinRequiredError: the day's bound of payments without a PIN is reached.
    """
    if order.is_confirmed:
        return None
    day = now.astimezone(means.zone).date()
    if not count_payment(connection, order.person_id, day=day, amount_fen=order.bill.total_fen, limits=means.limits):
        raise PinRequiredError(
            pin_free_fen=0, staff_may_confirm=order.claims is not None and order.claims.staff_may_confirm
        )
    return day


def _taken(connection: Connection, order: Order, row: SettlementRow, means: Means, now: datetime) -> SettlementRow:
    """Take what the self-paid part is paid with, and return the row that says so.

    Raises:
        SettlementError: a self-pay channel does not pay.
    """
    means.self_pays.take(connection, row, order.self_pay, now=now)
    taken = {pay.kind: pay.amount_fen for pay in order.self_pay}
    return replace(
        row,
        electronic_account_fen=taken.get(SelfPayKind.ELECTRONIC_ACCOUNT),
        credit_fen=taken.get(SelfPayKind.CREDIT),
    )


def _use_up(connection: Connection, order: Order, claims: Shown, means: Means) -> None:
    """Use up the assertion or the code, if it pays this much."""
    check_assertion_limit(order.bill, claims.amount_limit_fen)
    if isinstance(claims, CodeClaims):
        means.codes.redeem(connection, claims, transaction_id=order.transaction_id)
        return
    means.assertions.redeem(
        connection,
        claims,
        terminal_id=order.caller.terminal_id,
        business_type=order.bill.business_type,
        transaction_id=order.transaction_id,
    )


def _confirm(connection: Connection, order: Order, staff: StaffClaims, means: Means) -> None:
    """Use up the practitioner's assertion, and note which session it was: who confirmed is to be found for good."""
    means.staff_assertions.redeem(
        connection,
        staff,
        terminal_id=order.caller.terminal_id,
        business_type=order.bill.business_type,
        transaction_id=order.transaction_id,
    )
    means.audit.append(
        connection,
        actor=f"terminal:{order.caller.terminal_id}",
        action="settlement.confirmed",
        subject=order.transaction_id,
        request_id=order.caller.request_id,
        details={"practitioner_id": staff.practitioner_id, "session_id": staff.session_id},
    )


def seen_before(
    connection: Connection, transaction_id: str, *, terminal_id: str, body_sha256: str
) -> SettlementRow | None:
    """Return the settlement that the same request made earlier.

    Raises:
        TransactionIdReusedError: the id belongs to another body, another terminal or another kind of request.
    """
    row, taken_by_undoing = find_settlement(connection, transaction_id)
    if taken_by_undoing:
        raise TransactionIdReusedError
    if row is None:
        return None
    # A tombstone has no body: whatever its own terminal asks under that id is what was reversed.
    if row.terminal_id != terminal_id or row.body_sha256 not in {None, body_sha256}:
        raise TransactionIdReusedError
    return row


def receipt_of(row: SettlementRow, *, retry_after: timedelta) -> Receipt:
    """Return the receipt of a settled row.

    Raises:
        SettlementError: it is not paid, or nobody knows yet; the class says which.
    """
    match row.state:
        case SettlementState.PENDING | SettlementState.UNKNOWN:
            raise OutcomeUnknownError(retry_after=retry_after)
        case SettlementState.FAILED:
            raise InsurerRefusedError(code=row.refusal_code or "")
        case SettlementState.REVERSED:
            raise TransactionReversedError
        case SettlementState.CANCELLED:
            raise TransactionCancelledError
        case SettlementState.SETTLED:
            receipt = row.receipt
    if receipt is None:  # a settled row has its receipt in the same INSERT or UPDATE; never guess one
        raise OutcomeUnknownError(retry_after=retry_after)
    return receipt


def record(connection: Connection, audit: AuditLog, row: SettlementRow, *, request_id: str = "") -> None:
    """Note in the audit log where a settlement stands now."""
    details: dict[str, str | int] = {}
    if row.total_fen is not None:
        details = {
            "total_fen": row.total_fen,
            "pooled_fund_fen": row.pooled_fund_fen or 0,
            "personal_account_fen": row.personal_account_fen or 0,
        }
    audit.append(
        connection,
        actor=f"terminal:{row.terminal_id}",
        action=f"settlement.{row.state.value.lower()}",
        subject=row.transaction_id,
        reason=row.refusal_code or "",
        request_id=request_id,
        details=details,
    )


def _quote_for(connection: Connection, order: Order, means: Means, now: datetime) -> QuoteRow:
    """Use up the quote that the order names, if it was made for this terminal, people and bill, and still holds."""
    quote = take_quote(connection, quote_id=order.quote_id, terminal_id=order.caller.terminal_id)
    if quote is None:
        raise QuoteUnknownError
    treated = order.person_id
    if order.binding_id:  # asked again: it may have been ended since the quote
        treated = means.family.relative_of(connection, order.binding_id, holder_id=order.person_id)
    if (quote.person_id, quote.payer_id) != (treated, order.person_id) or quote.bill != order.bill:
        raise QuoteMismatchError
    if quote.expires_at <= now:
        raise QuoteExpiredError
    return quote


def _booked(
    connection: Connection, order: Order, quote: QuoteRow, means: Means, now: datetime, *, pin_free_on: date | None
) -> SettlementRow:
    """Return the row to write: settled by an insurer in house, pending for a remote one."""
    is_settled = False
    balance, deductible, eligible, prepaid_back = None, 0, 0, 0
    if means.insurer.is_in_house:
        booking = means.insurer.book(
            connection,
            transaction_id=order.transaction_id,
            claim=claim_for(
                order.caller,
                quote.bill,
                person_id=quote.person_id,
                payer_id=quote.payer_id,
                person_region=quote.person_region,
                site_kind=quote.site_kind,
                benefit_year=quote.benefit_year,
            ),
            quoted=quote.shares,
        )
        # The shares may be the same and the cash that goes back another: somebody has prepaid more since, or less.
        if booking.prepaid_back_fen != quote.prepaid_back_fen:
            raise QuoteOutdatedError
        is_settled, balance = True, booking.personal_account_balance_fen
        deductible, eligible = booking.deductible_fen, booking.eligible_fen
        prepaid_back = booking.prepaid_back_fen
    return SettlementRow(
        transaction_id=order.transaction_id,
        terminal_id=order.caller.terminal_id,
        body_sha256=order.body_sha256,
        state=SettlementState.SETTLED if is_settled else SettlementState.PENDING,
        intent=Intent.SETTLE,
        person_id=quote.person_id,
        person_region=quote.person_region,
        site_id=order.caller.site_id,
        site_region=order.caller.region,
        site_kind=quote.site_kind,
        benefit_year=quote.benefit_year,
        bill_number=order.bill.bill_number,
        business_type=order.bill.business_type,
        total_fen=order.bill.total_fen,
        not_covered_fen=order.bill.not_covered_fen,
        pooled_fund_fen=quote.shares.pooled_fund_fen,
        personal_account_fen=quote.shares.personal_account_fen,
        deductible_fen=deductible,
        eligible_fen=eligible,
        began_at=now,
        receipt_id=str(uuid_utils.uuid7()) if is_settled else None,
        settled_at=now if is_settled else None,
        personal_account_balance_fen=balance,
        payer_id=quote.payer_id,
        stay_number=order.bill.stay_number,
        chronic_disease=order.bill.chronic_disease,
        catastrophic_fen=quote.shares.catastrophic_fen,
        prepaid_fen=quote.shares.prepaid_fen,
        prepaid_back_fen=prepaid_back,
        pin_free_on=pin_free_on,
    )
