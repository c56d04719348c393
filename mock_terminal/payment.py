"""How a terminal pays a bill so that, whatever breaks, it is paid once or not at all."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

import uuid_utils
from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call
from mock_terminal.errors import OutcomeUnknownError, PlatformRefusedError, StateError, UnreachableError
from mock_terminal.journal import Entry, EntryState, Journal
from mock_terminal.report import Reporter
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc

DIED: Final = 137
NOT_UNDER_WAY_AFTER: Final = timedelta(days=7)
"""No Settle is still on its way after this, whatever the clocks say."""


class DieAt(StrEnum):
    """A test aid: moments at which the process drops dead, as when the plug is pulled."""

    INTENT_WRITTEN = "intent-written"
    """The journal knows, the platform does not."""
    ANSWER_RECEIVED = "answer-received"
    """The platform has paid, the journal does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One bill to pay."""

    transaction_id: str
    bill: settlement_pb2.Bill
    authorization: settlement_pb2.Authorization


class Cashier:
    """Quotes, settles, and finds out."""

    def __init__(
        self, channel: aio.Channel, journal: Journal, report: Reporter, *, die_at: DieAt | None = None
    ) -> None:
        self._stub: Final = settlement_pb2_grpc.SettlementServiceStub(channel)
        self._journal: Final = journal
        self._report: Final = report
        self._die_at: Final = die_at

    async def quote(self, order: Order) -> settlement_pb2.PreSettleResponse:
        """Ask who would pay what."""
        request = settlement_pb2.PreSettleRequest(bill=order.bill, authorization=order.authorization)
        quote = await call(lambda: self._stub.PreSettle(request, timeout=CALL_SECONDS_MAX))
        self._report.event("quote", quote_id=quote.quote_id, pin_required=quote.pin_required, **_shares(quote.shares))
        return quote

    async def settle(self, order: Order, quote_id: str, *, repeat: bool = False) -> settlement_pb2.Receipt:
        """Pay as quoted. The intent is on disk before the platform is asked.

        Args:
            order: what to pay.
            quote_id: from `quote`.
            repeat: send the very same request once more afterwards, to see that nothing happens twice.

        Raises:
            PlatformRefusedError: not paid.
            OutcomeUnknownError: the journal keeps it open; `resume` goes on.
        """
        self._journal.begin(
            transaction_id=order.transaction_id, bill_number=order.bill.bill_number, total_fen=order.bill.total_fen
        )
        self._die_if(DieAt.INTENT_WRITTEN)
        request = settlement_pb2.SettleRequest(
            transaction_id=order.transaction_id, quote_id=quote_id, bill=order.bill, authorization=order.authorization
        )
        try:
            answer = await call(lambda: self._stub.Settle(request, timeout=CALL_SECONDS_MAX))
        except PlatformRefusedError as refused:
            if refused.is_definite:
                self._end(order.transaction_id, EntryState.REFUSED)
                raise
            return await self._found_out(order.transaction_id, refused)
        except UnreachableError as error:
            return await self._found_out(order.transaction_id, error)
        self._die_if(DieAt.ANSWER_RECEIVED)
        self._end(order.transaction_id, EntryState.SETTLED)
        self._report.event("settled", **_receipt(answer.receipt))
        if repeat:
            again = await call(lambda: self._stub.Settle(request, timeout=CALL_SECONDS_MAX))
            self._report.event("repeated", same_receipt=again.receipt == answer.receipt, **_receipt(again.receipt))
        return answer.receipt

    async def resume(self) -> Sequence[Entry]:
        """Find out what became of every transaction that the journal has open; return those that still are."""
        for entry in self._journal.unfinished():
            try:
                await self.find_out(entry.transaction_id)
            except PlatformRefusedError as refused:
                self._report.event("unresolved", transaction_id=entry.transaction_id, why=str(refused))
            except UnreachableError as error:  # nor will it be there for the next one
                self._report.event("unresolved", transaction_id=entry.transaction_id, why=str(error))
                break
        return self._journal.unfinished()

    async def find_out(self, transaction_id: str) -> settlement_pb2.Receipt | None:
        """Ask what became of a transaction; what is not paid is reversed, so that it never will be.

        Returns the receipt, None when it is certainly not paid.
        """
        look_up = settlement_pb2.GetSettlementRequest(transaction_id=transaction_id)
        is_unknown = False
        try:
            found = await call(lambda: self._stub.GetSettlement(look_up, timeout=CALL_SECONDS_MAX))
        except PlatformRefusedError as refused:
            is_unknown = refused.reason == "SETTLEMENT_NOT_FOUND"
            if not is_unknown:
                raise
        else:
            if found.state == settlement_pb2.SETTLEMENT_STATE_SETTLED:
                self._end(transaction_id, EntryState.SETTLED)
                self._report.event("settled", resumed=True, **_receipt(found.receipt))
                return found.receipt
        await self._reverse(transaction_id, is_unknown=is_unknown)
        return None

    async def _reverse(self, transaction_id: str, *, is_unknown: bool) -> None:
        """Make sure that a transaction is not and will not be paid.

        Args:
            transaction_id: of the Settle.
            is_unknown: whether the platform has just said that it never saw it.
        """
        reverse = settlement_pb2.ReverseRequest(
            transaction_id=str(uuid_utils.uuid7()), settlement_transaction_id=transaction_id
        )
        try:
            done = await call(lambda: self._stub.Reverse(reverse, timeout=CALL_SECONDS_MAX))
        except PlatformRefusedError as refused:
            if not (is_unknown and _is_never_taken(refused, transaction_id)):
                raise
            self._end(transaction_id, EntryState.REFUSED)
            self._report.event("never_arrived", transaction_id=transaction_id)
            return
        self._end(transaction_id, EntryState.REVERSED)
        self._report.event("reversed", transaction_id=transaction_id, money_moved_back=done.money_moved_back)

    async def _found_out(self, transaction_id: str, cause: Exception) -> settlement_pb2.Receipt:
        """Return the receipt of a Settle whose answer got lost.

        Raises:
            OutcomeUnknownError: nobody could be asked.
            PlatformRefusedError, UnreachableError: it is certainly not paid; the cause of the doubt, again.
        """
        try:
            receipt = await self.find_out(transaction_id)
        except (PlatformRefusedError, UnreachableError) as error:
            raise OutcomeUnknownError(transaction_id) from error
        if receipt is None:
            raise cause
        return receipt

    def _end(self, transaction_id: str, state: EntryState) -> None:
        """Note the outcome; one that cannot be noted is for `resume` to find again.

        Raises:
            OutcomeUnknownError: the journal cannot be written, so it goes on saying "open".
        """
        try:
            self._journal.end(transaction_id, state)
        except StateError as error:
            raise OutcomeUnknownError(transaction_id) from error

    def _die_if(self, moment: DieAt) -> None:
        if self._die_at is moment:
            os._exit(DIED)


def _is_never_taken(refused: PlatformRefusedError, transaction_id: str) -> bool:
    """Return whether a Settle of this id, which the platform has never seen, can no longer be taken.

    Then there is nothing to reverse. Without this, one that was off for too long would have it open for ever.
    """
    if refused.reason == "TRANSACTION_ID_NOT_V7":
        return True
    # The reversal has an id of its own, refused as well when the clock is wrong: only a very old one is beyond doubt.
    age_ms = uuid_utils.uuid7().timestamp - uuid_utils.UUID(transaction_id).timestamp
    return refused.reason == "TRANSACTION_ID_TIME" and timedelta(milliseconds=age_ms) > NOT_UNDER_WAY_AFTER


def _shares(shares: settlement_pb2.Shares) -> dict[str, int]:
    return {
        "total_fen": shares.total_fen,
        "pooled_fund_fen": shares.pooled_fund_fen,
        "personal_account_fen": shares.personal_account_fen,
        "self_pay_fen": shares.self_pay_fen,
    }


def _receipt(receipt: settlement_pb2.Receipt) -> dict[str, object]:
    return {
        "receipt_id": receipt.receipt_id,
        "transaction_id": receipt.transaction_id,
        "bill_number": receipt.bill_number,
        **_shares(receipt.shares),
        "settled_at": receipt.settled_at.ToDatetime().isoformat() + "Z",
        "personal_account_balance_fen": receipt.personal_account_balance_fen,
    }
