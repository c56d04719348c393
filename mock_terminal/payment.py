"""How a terminal pays a bill so that, whatever breaks, it is paid once or not at all."""

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from enum import StrEnum
from typing import Final

import uuid_utils
from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call
from mock_terminal.errors import OutcomeUnknownError, PlatformRefusedError, StateError, UnreachableError
from mock_terminal.journal import Entry, EntryState, Journal
from mock_terminal.report import Reporter
from mock_terminal.self_paid import offers_in_words, parts_in_words
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc

DIED: Final = 137
NOT_UNDER_WAY_AFTER: Final = timedelta(days=7)
"""No Settle is still on its way after this, whatever the clocks say."""


_ENDED: Final[Mapping[int, EntryState]] = {
    settlement_pb2.SETTLEMENT_STATE_CANCELLED: EntryState.CANCELLED,
    settlement_pb2.SETTLEMENT_STATE_REVERSED: EntryState.REVERSED,
}


def new_transaction_id() -> str:
    """Return a new UUIDv7, by this machine's clock."""
    return str(uuid_utils.uuid7())


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
    self_pay: tuple[settlement_pb2.SelfPay, ...] = ()
    """How the self-paid part is paid; empty is cash."""
    binding_id: str = ""
    """The relative who was treated, from the payer's bindings; empty when it is the payer."""


class Cashier:
    """Quotes, settles, and finds out."""

    def __init__(
        self,
        channel: aio.Channel,
        journal: Journal,
        report: Reporter,
        *,
        die_at: DieAt | None = None,
        new_id: Callable[[], str] = new_transaction_id,
    ) -> None:
        self._stub: Final = settlement_pb2_grpc.SettlementServiceStub(channel)
        self._journal: Final = journal
        self._report: Final = report
        self._die_at: Final = die_at
        self._new_id: Final = new_id

    async def quote(self, order: Order) -> settlement_pb2.PreSettleResponse:
        """Ask who would pay what."""
        request = settlement_pb2.PreSettleRequest(
            bill=order.bill, authorization=order.authorization, binding_id=order.binding_id
        )
        quote = await call(lambda: self._stub.PreSettle(request, timeout=CALL_SECONDS_MAX))
        self._report.event(
            "quote",
            quote_id=quote.quote_id,
            pin_required=quote.pin_required,
            **_shares(quote.shares),
            self_pay_offers=offers_in_words(quote.self_pay_offers),
            why=[step.text_en for step in quote.reckoning],
        )
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
        request = _request(order, quote_id)
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
        self._end(order.transaction_id, EntryState.SETTLED, receipt=answer.receipt)
        self._report.event("settled", **_receipt(answer.receipt))
        if repeat:
            again = await call(lambda: self._stub.Settle(request, timeout=CALL_SECONDS_MAX))
            self._report.event("repeated", same_receipt=again.receipt == answer.receipt, **_receipt(again.receipt))
        return answer.receipt

    async def overtake(self, order: Order, quote_id: str) -> None:
        """Ask for a Settle and for its reversal at once, and leave it to the network which of the two arrives first.

        Raises:
            PlatformRefusedError, UnreachableError: nobody knows; the journal keeps it as to be reversed.
        """
        self._journal.begin(
            transaction_id=order.transaction_id, bill_number=order.bill.bill_number, total_fen=order.bill.total_fen
        )
        self._journal.undo(order.transaction_id, EntryState.REVERSING)
        self._die_if(DieAt.INTENT_WRITTEN)
        request = _request(order, quote_id)
        settling = asyncio.ensure_future(self._stub.Settle(request, timeout=CALL_SECONDS_MAX))
        try:
            await self._reverse(order.transaction_id, is_unknown=False)
        finally:
            await asyncio.gather(settling, return_exceptions=True)  # its answer changes nothing any more

    async def cancel(self, transaction_id: str) -> EntryState:
        """Undo a settled bill on the day it was paid; the wish is on disk before the platform is asked.

        Returns CANCELLED; SETTLED when the platform says that it is too late; REVERSED when it had been reversed.

        Raises:
            PlatformRefusedError, UnreachableError: nobody knows; `resume` goes on.
        """
        self._journal.undo(transaction_id, EntryState.CANCELLING)
        return await self._cancelled(transaction_id)

    async def undo(self, transaction_id: str) -> None:
        """Make sure that a transaction is not paid, settled or not; the wish is on disk before the platform is asked.

        Raises:
            PlatformRefusedError, UnreachableError: nobody knows; `resume` goes on.
        """
        self._journal.undo(transaction_id, EntryState.REVERSING)
        await self._reverse(transaction_id, is_unknown=False)

    async def resume(self, *, but_not: Collection[str] = ()) -> Sequence[Entry]:
        """Find out what became of every transaction that the journal has unfinished; return those that still are.

        Args:
            but_not: transactions that somebody else of this process is busy with.
        """
        for entry in self._journal.unfinished():
            if entry.transaction_id in but_not:
                continue
            try:
                await self._finish(entry)
            except PlatformRefusedError as refused:
                self._report.event("unresolved", transaction_id=entry.transaction_id, why=str(refused))
            except UnreachableError as error:  # nor will it be there for the next one
                self._report.event("unresolved", transaction_id=entry.transaction_id, why=str(error))
                break
        return [entry for entry in self._journal.unfinished() if entry.transaction_id not in but_not]

    async def find_out(self, transaction_id: str) -> settlement_pb2.Receipt | None:
        """Ask what became of a transaction; what is not paid is reversed, so that it never will be.

        Returns the receipt, None when it is certainly not paid.
        """
        found = await self._look_up(transaction_id)
        if found is not None and found.state == settlement_pb2.SETTLEMENT_STATE_SETTLED:
            self._end(transaction_id, EntryState.SETTLED, receipt=found.receipt)
            self._report.event("settled", resumed=True, **_receipt(found.receipt))
            return found.receipt
        await self._reverse(transaction_id, is_unknown=found is None)
        return None

    async def _finish(self, entry: Entry) -> None:
        """Go on where an unfinished transaction was left."""
        match entry.state:
            case EntryState.CANCELLING:
                await self._cancelled(entry.transaction_id)
            case EntryState.REVERSING:
                found = await self._look_up(entry.transaction_id)
                await self._reverse(entry.transaction_id, is_unknown=found is None)
            case _:
                await self.find_out(entry.transaction_id)

    async def _look_up(self, transaction_id: str) -> settlement_pb2.GetSettlementResponse | None:
        """Return what the platform has under an id, None when it says that it never saw it."""
        look_up = settlement_pb2.GetSettlementRequest(transaction_id=transaction_id)
        try:
            return await call(lambda: self._stub.GetSettlement(look_up, timeout=CALL_SECONDS_MAX))
        except PlatformRefusedError as refused:
            if refused.reason != "SETTLEMENT_NOT_FOUND":
                raise
            return None

    async def _cancelled(self, transaction_id: str) -> EntryState:
        """Cancel what the journal has as to be cancelled; return how it ended."""
        found = await self._look_up(transaction_id)
        if found is not None and found.state in _ENDED:
            ended = _ENDED[found.state]
        else:
            request = settlement_pb2.CancelRequest(
                transaction_id=self._new_id(), settlement_transaction_id=transaction_id
            )
            try:
                await call(lambda: self._stub.Cancel(request, timeout=CALL_SECONDS_MAX))
                ended = EntryState.CANCELLED
            except PlatformRefusedError as refused:
                if refused.reason != "CANCEL_TOO_LATE":
                    raise
                ended = EntryState.SETTLED
        self._end(transaction_id, ended)
        self._report.event(ended.value, transaction_id=transaction_id)
        return ended

    async def _reverse(self, transaction_id: str, *, is_unknown: bool) -> None:
        """Make sure that a transaction is not and will not be paid.

        Args:
            transaction_id: of the Settle.
            is_unknown: whether the platform has just said that it never saw it.
        """
        reverse = settlement_pb2.ReverseRequest(transaction_id=self._new_id(), settlement_transaction_id=transaction_id)
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

    def _end(self, transaction_id: str, state: EntryState, *, receipt: settlement_pb2.Receipt | None = None) -> None:
        """Note the outcome; one that cannot be noted is for `resume` to find again.

        Raises:
            OutcomeUnknownError: the journal cannot be written, so it goes on saying "open".
        """
        try:
            settled_at = None if receipt is None else receipt.settled_at.ToDatetime(tzinfo=UTC)
            self._journal.end(transaction_id, state, settled_at=settled_at)
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


def _request(order: Order, quote_id: str) -> settlement_pb2.SettleRequest:
    return settlement_pb2.SettleRequest(
        transaction_id=order.transaction_id,
        quote_id=quote_id,
        bill=order.bill,
        authorization=order.authorization,
        self_pay=order.self_pay,
        binding_id=order.binding_id,
    )


def _shares(shares: settlement_pb2.Shares) -> dict[str, int]:
    seldom = {"catastrophic_fen": shares.catastrophic_fen, "prepaid_fen": shares.prepaid_fen}
    return {
        "total_fen": shares.total_fen,
        "pooled_fund_fen": shares.pooled_fund_fen,
        "personal_account_fen": shares.personal_account_fen,
        "self_pay_fen": shares.self_pay_fen,
        **{name: fen for name, fen in seldom.items() if fen},
    }


def _receipt(receipt: settlement_pb2.Receipt) -> dict[str, object]:
    return {
        "receipt_id": receipt.receipt_id,
        "transaction_id": receipt.transaction_id,
        "bill_number": receipt.bill_number,
        **_shares(receipt.shares),
        "settled_at": receipt.settled_at.ToDatetime().isoformat() + "Z",
        "personal_account_balance_fen": receipt.personal_account_balance_fen,
        "self_pay": parts_in_words(receipt.self_pay),
        "payer": receipt.masked_payer_name,
        "patient": receipt.masked_patient_name,
    }
