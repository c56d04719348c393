"""How a bill gets unpaid: Cancel on the same day, Reverse when a terminal does not know what became of its Settle.

Both are plain functions on a connection, one transaction each. A reversal of a settlement that we have never seen
leaves a tombstone under its id, so a Settle that arrives late finds the id taken: the reversal that overtook it wins
(I5).
"""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from sqlalchemy import Connection, select

from server.caller import Caller
from server.settlement.errors import (
    CancelTooLateError,
    InsurerRefusedError,
    NotSettledError,
    OutcomeUnknownError,
    ReversalTooLateError,
    SettlementNotFoundError,
    TransactionIdReusedError,
)
from server.settlement.model import Intent, SettlementState
from server.settlement.once import check_form, check_new_id
from server.settlement.settle import Means, record
from server.settlement.store import (
    IN_DOUBT,
    SettlementRow,
    UndoingRow,
    find_settlement,
    find_undoing,
    insert_settlement,
    insert_undoing,
    move_settlement,
)
from server.store.tables.settlement import ledger_postings


@dataclass(frozen=True, slots=True)
class Undoing:
    """One request to cancel or to reverse."""

    caller: Caller
    transaction_id: str
    """Id of the request itself."""
    settlement_transaction_id: str
    """Id of what is to be undone."""


def cancel(connection: Connection, undoing: Undoing, means: Means, zone: tzinfo) -> SettlementRow:
    """Undo a settled bill on the day it was paid, by the calendar of `zone`.

    Returns the settlement CANCELLED, or UNKNOWN when a remote insurer still has to be told.

    Raises:
        SettlementNotFoundError: the caller has no such settlement.
        NotSettledError: there is nothing to cancel.
        CancelTooLateError: the day is over.
        InsurerRefusedError: it is in the books of another insurer, from before the configuration was changed.
        TransactionIdReusedError: the id belongs to another request.
    """
    now = means.now()
    is_repeated = _claim_id(connection, undoing, Intent.CANCEL, means, now)
    row, _ = find_settlement(connection, undoing.settlement_transaction_id)
    if row is None or row.terminal_id != undoing.caller.terminal_id:
        raise SettlementNotFoundError
    if is_repeated and (row.state is SettlementState.CANCELLED or row.intent is Intent.CANCEL):
        return row
    if row.state in IN_DOUBT:
        raise OutcomeUnknownError(retry_after=means.retry_after)
    if row.state is not SettlementState.SETTLED or row.settled_at is None:
        raise NotSettledError(state=row.state)
    if row.settled_at.astimezone(zone).date() != now.astimezone(zone).date():
        raise CancelTooLateError
    return _undo(connection, row, Intent.CANCEL, undoing=undoing, means=means, now=now)


def reverse(connection: Connection, undoing: Undoing, means: Means) -> SettlementRow:
    """Make sure that a transaction is not and will not be paid, whether or not it has arrived yet.

    Returns the settlement REVERSED or CANCELLED, or UNKNOWN when a remote insurer still has to be told.

    Raises:
        ReversalTooLateError: it was settled too long ago for anyone to be in doubt.
        InsurerRefusedError: as in `cancel`.
        TransactionIdReusedError: one of the ids belongs to another request or another terminal.
    """
    now = means.now()
    _claim_id(connection, undoing, Intent.REVERSE, means, now)
    row, is_no_settlement = find_settlement(connection, undoing.settlement_transaction_id)
    if is_no_settlement:
        raise TransactionIdReusedError
    if row is None:
        return _tombstone(connection, undoing, means, now)
    if row.terminal_id != undoing.caller.terminal_id:
        raise TransactionIdReusedError
    is_under_way = row.state is SettlementState.UNKNOWN and row.intent is Intent.REVERSE
    if is_under_way or row.state in {SettlementState.REVERSED, SettlementState.CANCELLED}:
        return row
    if row.settled_at is not None and now - row.settled_at > means.limits.reversal_window:
        raise ReversalTooLateError
    return _undo(connection, row, Intent.REVERSE, undoing=undoing, means=means, now=now)


def _claim_id(connection: Connection, undoing: Undoing, intent: Intent, means: Means, now: datetime) -> bool:
    """Take the request's own id; return whether the same request had taken it before."""
    asked = UndoingRow(
        transaction_id=undoing.transaction_id,
        terminal_id=undoing.caller.terminal_id,
        intent=intent,
        settlement_transaction_id=undoing.settlement_transaction_id,
    )
    check_form(undoing.transaction_id)
    check_form(undoing.settlement_transaction_id)
    earlier = find_undoing(connection, undoing.transaction_id)
    if earlier is not None:
        if earlier != asked:
            raise TransactionIdReusedError
        return True
    row, _ = find_settlement(connection, undoing.transaction_id)
    if row is not None or undoing.transaction_id == undoing.settlement_transaction_id:
        raise TransactionIdReusedError
    check_new_id(undoing.transaction_id, now=now, limits=means.limits, may_be_ahead=intent is Intent.REVERSE)
    insert_undoing(connection, asked, asked_at=now)
    return False


def _undo(
    connection: Connection, row: SettlementRow, intent: Intent, *, undoing: Undoing, means: Means, now: datetime
) -> SettlementRow:
    """Undo at once where we can; where a remote insurer may have booked, write down what we want of it."""
    ended = SettlementState.CANCELLED if intent is Intent.CANCEL else SettlementState.REVERSED
    if row.state is SettlementState.FAILED:
        changes = {"state": ended, "intent": intent, "ended_at": now, "money_moved_back": False}
    elif _is_in_other_books(connection, row, means):
        raise InsurerRefusedError(code="OTHER_INSURER")
    elif means.insurer.is_in_house:
        means.insurer.unbook(connection, row.booked)
        changes = {"state": ended, "intent": intent, "ended_at": now, "money_moved_back": True}
    else:
        changes = {
            "state": SettlementState.UNKNOWN,
            "intent": intent,
            "tries": 0,
            "next_try_at": now + means.retry_after,
            # Whoever works on what was wanted before holds no right to this.
            "leased_until": None,
            **({} if row.state is SettlementState.UNKNOWN else {"doubt_since": now}),
        }
    moved = move_settlement(connection, row, came_from=(row.state,), wanted=row.intent, **changes)
    if moved is None:  # read and changed in one transaction; nothing can come between on one writer
        raise OutcomeUnknownError(retry_after=means.retry_after)
    if moved.state is ended and row.state is not SettlementState.FAILED:  # what failed has given it back already
        means.self_pays.ended(connection, moved, now=now)
    record(connection, means.audit, moved, request_id=undoing.caller.request_id)
    return moved


def _is_in_other_books(connection: Connection, row: SettlementRow, means: Means) -> bool:
    """Return whether the insurer of another configuration has booked it: the one of this would move nothing back."""
    if not row.pooled_fund_fen and not row.personal_account_fen:
        return False
    posting = select(ledger_postings.c.posting_id).where(ledger_postings.c.posting_id == f"settle:{row.transaction_id}")
    return (connection.scalar(posting) is not None) is not means.insurer.is_in_house


def _tombstone(connection: Connection, undoing: Undoing, means: Means, now: datetime) -> SettlementRow:
    check_new_id(undoing.settlement_transaction_id, now=now, limits=means.limits, may_be_ahead=True)
    row = SettlementRow(
        transaction_id=undoing.settlement_transaction_id,
        terminal_id=undoing.caller.terminal_id,
        state=SettlementState.REVERSED,
        intent=Intent.REVERSE,
        began_at=now,
        ended_at=now,
        money_moved_back=False,
    )
    insert_settlement(connection, row)
    record(connection, means.audit, row, request_id=undoing.caller.request_id)
    return row
