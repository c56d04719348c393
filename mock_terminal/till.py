"""How does a terminal take one bill after the other, some at once, for as long as it runs?

Every order has a bill number of its own and is tried once: what became of it is one `outcome` line. What stayed in
doubt is asked about again and again, beside the orders that follow, and gets its `outcome` line late.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import uuid_utils
from grpc import aio

from mock_terminal.errors import PlatformRefusedError, TerminalError, UnreachableError
from mock_terminal.journal import Journal
from mock_terminal.means import code_for
from mock_terminal.orders import By, Then, TillOrder
from mock_terminal.payment import Cashier, Order
from mock_terminal.report import Reporter
from mock_terminal.self_paid import fitted, parts_in_words
from shualian.terminal.v1 import settlement_pb2

ASK_AGAIN_AFTER: Final = timedelta(seconds=1)
NOT_ASKED: Final = "not_asked"
"""Outcome of an order for which no Settle was ever sent."""
UNKNOWN: Final = "unknown"
"""Outcome of an order that is in doubt; another outcome follows."""


class Till:
    """Works orders off."""

    def __init__(
        self,
        channel: aio.Channel,
        journal: Journal,
        report: Reporter,
        *,
        at_once: int,
        new_id: Callable[[], str],
    ) -> None:
        """Take what it works with.

        Args:
            channel: to the platform.
            journal: where every intent is before the platform is asked.
            report: told of each order's outcome; of the steps on the way only `repeated` is told.
            at_once: orders that are worked on side by side.
            new_id: makes transaction ids by the terminal's clock, which may be wrong.
        """
        self._channel: Final = channel
        self._journal: Final = journal
        self._report: Final = report
        self._at_once: Final = at_once
        self._new_id: Final = new_id
        self._busy: Final[dict[str, str]] = {}
        self._steps: Final = _Steps(report)

    async def serve(self, orders: AsyncIterator[TillOrder]) -> int:
        """Work off all orders, then what is in doubt; return how many still are when nothing moves any more."""
        asking = asyncio.create_task(self._ask_again())
        free, running = asyncio.Semaphore(self._at_once), set[asyncio.Task[None]]()
        try:
            while True:
                await free.acquire()
                order = await anext(orders, None)
                if order is None:
                    break
                task = asyncio.create_task(self._work_off(order))
                running.add(task)
                task.add_done_callback(running.discard)
                task.add_done_callback(lambda _: free.release())
            await asyncio.gather(*running)
        finally:
            asking.cancel()
            await asyncio.gather(asking, *running, return_exceptions=True)
        return await self._resume()

    async def _work_off(self, order: TillOrder) -> None:
        transaction_id = self._new_id()
        names = {"bill_number": order.bill.bill_number, "transaction_id": transaction_id}
        self._busy[transaction_id] = order.bill.bill_number
        try:
            self._report.event("outcome", **names, **await self._outcome(order, transaction_id))
        finally:
            del self._busy[transaction_id]

    async def _outcome(self, order: TillOrder, transaction_id: str) -> dict[str, object]:
        cashier = Cashier(self._channel, self._journal, self._steps, die_at=order.die_at, new_id=self._new_id)
        try:
            asked = await self._shown(order, transaction_id)
            quote = await cashier.quote(asked)
        except (PlatformRefusedError, UnreachableError) as error:
            return {"outcome": NOT_ASKED, "reason": error.reason}
        asked = _as_quoted(order, asked, quote)
        names = {"bill_number": order.bill.bill_number, "transaction_id": transaction_id}
        self._report.event("asking", **names, **_beside(asked.self_pay))
        try:
            if order.then is Then.OVERTAKE:
                await cashier.overtake(asked, quote.quote_id)
            else:
                receipt = await cashier.settle(asked, quote.quote_id, repeat=order.then is Then.REPEAT)
                self._report.event("paid", bill_number=order.bill.bill_number, **_receipt(receipt))
            if order.then is Then.CANCEL:
                await cashier.cancel(transaction_id)
            elif order.then is Then.REVERSE:
                await cashier.undo(transaction_id)
        except TerminalError as error:
            return {"outcome": self._standing(transaction_id), "reason": error.reason}
        return {"outcome": self._standing(transaction_id)}

    async def _shown(self, order: TillOrder, transaction_id: str) -> Order:
        """Return what is asked for a quote: with the card, or with a code that is made for its holder now."""
        authorization = settlement_pb2.Authorization(card=order.card)
        if order.by is By.CODE:
            code = await code_for(self._channel, order.card)
            authorization = settlement_pb2.Authorization(code=settlement_pb2.CodeAuthorization(code=code))
        return Order(
            transaction_id=transaction_id, bill=order.bill, authorization=authorization, binding_id=order.binding_id
        )

    def _standing(self, transaction_id: str) -> str:
        """Return where the journal has a transaction: what is not in it was never asked for."""
        try:
            entry = self._journal.entry(transaction_id)
        except TerminalError:  # it cannot be read now
            return UNKNOWN
        if entry is None:
            return NOT_ASKED
        return UNKNOWN if entry.is_unfinished else entry.state.value

    async def _ask_again(self) -> None:
        while True:
            await asyncio.sleep(ASK_AGAIN_AFTER.total_seconds())
            await self._resume()

    async def _resume(self) -> int:
        """Ask about everything that is in doubt and that nobody is busy with; tell what came of it."""
        cashier = Cashier(self._channel, self._journal, self._steps, new_id=self._new_id)
        try:
            before = [entry for entry in self._journal.unfinished() if entry.transaction_id not in self._busy]
            if not before:
                return 0
            left = {entry.transaction_id for entry in await cashier.resume(but_not=self._busy)}
        except TerminalError as error:  # a journal that cannot be used now may be later
            self._report.event("journal_unusable", reason=error.reason)
            return 1
        for entry in before:
            if entry.transaction_id not in left:
                names = {"bill_number": entry.bill_number, "transaction_id": entry.transaction_id}
                self._report.event("outcome", **names, outcome=self._standing(entry.transaction_id), late=True)
        return len(left)


def ids_by_a_clock_off_by(offset: timedelta, *, now_ns: Callable[[], int]) -> Callable[[], str]:
    """Return what makes transaction ids on a terminal whose clock is wrong by so much."""
    shift = offset // timedelta(microseconds=1) * 1_000
    return lambda: str(uuid_utils.uuid7(nanoseconds=now_ns() + shift))


class _Steps(Reporter):
    """Passes on of a cashier's steps what an outcome does not say: a repetition, and why a doubt does not end."""

    def __init__(self, report: Reporter) -> None:
        self._outer: Final = report
        self._told: Final[dict[object, object]] = {}

    def event(self, name: str, **fields: object) -> None:
        """Pass it on; the same reason for the same transaction only once."""
        if name == "repeated":
            self._outer.event(name, **fields)
        elif name == "unresolved" and self._told.get(fields["transaction_id"]) != fields["why"]:
            self._told[fields["transaction_id"]] = fields["why"]
            self._outer.event(name, **fields)


def _as_quoted(order: TillOrder, asked: Order, quote: settlement_pb2.PreSettleResponse) -> Order:
    """Return what is asked to be paid: the self-paid part as the quote allows it, and a code with the PIN it wants."""
    self_pay, authorization = fitted(order.self_pay, quote), asked.authorization
    channels = {part.channel for part in self_pay}
    wants_pin = any(offer.pin_required and offer.channel in channels for offer in quote.self_pay_offers)
    if order.by is By.CODE and (quote.pin_required or wants_pin):
        code = settlement_pb2.CodeAuthorization(code=authorization.code.code, pin=order.card.pin)
        authorization = settlement_pb2.Authorization(code=code)
    return replace(asked, authorization=authorization, self_pay=self_pay)


def _receipt(receipt: settlement_pb2.Receipt) -> dict[str, object]:
    return {
        "transaction_id": receipt.transaction_id,
        "receipt_id": receipt.receipt_id,
        "total_fen": receipt.shares.total_fen,
        "pooled_fund_fen": receipt.shares.pooled_fund_fen,
        "personal_account_fen": receipt.shares.personal_account_fen,
        "self_pay_fen": receipt.shares.self_pay_fen,
        **_beside(receipt.self_pay),
    }


def _beside(parts: Iterable[settlement_pb2.SelfPay]) -> dict[str, int]:
    """Return what each channel that moves money on the platform's books pays; the rest is cash."""
    paid = parts_in_words(parts)
    return {"electronic_account_fen": paid.get("electronic", 0), "credit_fen": paid.get("credit", 0)}
