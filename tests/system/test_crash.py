"""The power goes, the network goes, the terminal goes: a bill is paid once or not at all, and the books are right."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from itertools import count

import grpc
import pytest
import uuid_utils

from mock_terminal.folder import Folder
from mock_terminal.journal import EntryState, Journal
from mock_terminal.payment import Cashier, Order
from mock_terminal.report import Reporter
from shualian.terminal.v1 import settlement_pb2
from tests.support.deployment import (
    ACCOUNT_FEN,
    SECONDS_MAX,
    Box,
    Cardholder,
    Deployment,
    Finished,
    a_cardholder,
    a_deployment,
    a_terminal,
    an_enrolled_box,
    balance_fen,
    eventually,
)
from tests.support.payments import a_bill, by_card, desk, found, quoted
from tests.support.platform import EnrolledTerminal
from tests.support.proxy import Proxy

SEED = 20260302
PAYERS = 10
BILLS_EACH = 3
"""At least; whoever pays goes on until the last kill is over, so that each one meets work under way."""
KILLS = 3
AGAIN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNKNOWN,  # as grpc calls a stream that was reset under the call
}
PAUSE_SECONDS = 0.25


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Return a platform to be killed; each test leaves it running."""
    with a_deployment(tmp_path_factory.mktemp("mortal")) as deployment:
        yield deployment


async def test_i05_a_platform_killed_between_commit_and_answer_has_paid_once_and_the_terminal_finds_out(
    mortal: Deployment,
) -> None:
    box, holder = await an_enrolled_box(mortal), await a_cardholder(mortal)
    order = an_order(holder)
    with Proxy(mortal.ready.terminal) as proxy:
        async with Folder(path=box.state).channel(proxy.address) as channel:
            cashier = Cashier(channel, Journal(box.state), Reporter(as_json=True))
            quote = await cashier.quote(order)
            proxy.swallow_answers()
            settling = asyncio.create_task(cashier.settle(order, quote.quote_id))
            await committed(mortal, order.transaction_id)
            await asyncio.to_thread(mortal.kill)
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)
    left_open = Journal(box.state).unfinished()
    await asyncio.to_thread(mortal.start)
    resumed = await asyncio.to_thread(box.verb, "resume")

    assert [entry.transaction_id for entry in left_open] == [order.transaction_id]
    assert resumed.code == 0
    receipt = resumed.event("settled")
    assert (receipt["transaction_id"], receipt["resumed"]) == (order.transaction_id, True)
    statement = "SELECT state FROM settlements WHERE person_id = :id"
    assert mortal.query(statement, id=holder.person.person_id) == [("SETTLED",)]
    assert balance_fen(mortal, holder.account) == ACCOUNT_FEN - receipt["personal_account_fen"]
    assert await asyncio.to_thread(mortal.books_are_sound)


async def test_i05_i06_whatever_was_acknowledged_before_a_kill_is_there_after_it_and_each_bill_is_paid_once(
    mortal: Deployment,
) -> None:
    terminal = await a_terminal(mortal)
    holders = [await a_cardholder(mortal) for _ in range(PAYERS)]
    acknowledged: dict[str, settlement_pb2.Receipt] = {}
    line, kills_are_over = Line(terminal), asyncio.Event()
    paying = [asyncio.create_task(pay_bills(line, holder, acknowledged, kills_are_over)) for holder in holders]
    chance, seen = random.Random(SEED), [0]  # noqa: S311  # seeded on purpose
    for _ in range(KILLS):
        wanted = seen[-1] + PAYERS // 2
        await eventually(lambda wanted=wanted: len(acknowledged) >= wanted)  # type: ignore[misc]  # a default has no type
        await asyncio.sleep(chance.uniform(0, 0.15))
        await asyncio.to_thread(mortal.kill)
        seen.append(len(acknowledged))
        await asyncio.to_thread(mortal.start)
        await line.reconnect()
    kills_are_over.set()
    await asyncio.gather(*paying)
    async with terminal.channel() as channel:
        answers = {transaction_id: await found(channel, transaction_id) for transaction_id in acknowledged}
    await line.close()

    assert len(acknowledged) >= PAYERS * BILLS_EACH
    assert {key: answer.receipt for key, answer in answers.items()} == acknowledged
    rows = mortal.query(
        "SELECT transaction_id, state FROM settlements WHERE terminal_id = :id", id=terminal.terminal_id
    )
    assert sorted(rows) == sorted((transaction_id, "SETTLED") for transaction_id in acknowledged)
    spent = sum(receipt.shares.personal_account_fen for receipt in acknowledged.values())
    left = sum(balance_fen(mortal, holder.account) for holder in holders)
    assert left == PAYERS * ACCOUNT_FEN - spent
    assert await asyncio.to_thread(mortal.books_are_sound)


class Line:
    """The connection of a terminal, renewed after each kill: ports change when the platform comes back."""

    def __init__(self, terminal: EnrolledTerminal) -> None:
        self._terminal = terminal
        self.channel = terminal.channel()

    async def reconnect(self) -> None:
        """Connect to where the platform listens now."""
        await self.channel.close(None)
        self.channel = self._terminal.channel()

    async def close(self) -> None:
        """Hang up."""
        await self.channel.close(None)


async def pay_bills(
    line: Line, holder: Cardholder, acknowledged: dict[str, settlement_pb2.Receipt], may_end: asyncio.Event
) -> None:
    """Pay bills one after the other, each until it is acknowledged, whatever happens on the way."""
    for number in count(1):
        if number > BILLS_EACH and may_end.is_set():
            return
        request: settlement_pb2.SettleRequest | None = None
        while True:
            try:
                if request is None:
                    request = await quoted(line.channel, by_card(holder.card_number, holder.pin))
                answer = await desk(line.channel).Settle(request)
            except grpc.aio.AioRpcError as error:
                if error.code() not in AGAIN:
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            except (asyncio.CancelledError, grpc.aio.UsageError):  # the line was closed under the call
                if (task := asyncio.current_task()) and task.cancelling():
                    raise
                await asyncio.sleep(PAUSE_SECONDS)
            else:
                acknowledged[request.transaction_id] = answer.receipt
                break


@pytest.mark.parametrize(
    ("moment", "event", "state"),
    [("intent-written", "reversed", EntryState.REVERSED), ("answer-received", "settled", EntryState.SETTLED)],
)
async def test_i05_a_terminal_that_drops_dead_finds_out_when_it_comes_back(
    shared: Deployment, moment: str, event: str, state: EntryState
) -> None:
    box, holder = await an_enrolled_box(shared), await a_cardholder(shared)
    died = await asyncio.to_thread(pay_by_card, box, holder, "--die-at", moment)
    (left_open,) = Journal(box.state).unfinished()
    resumed = await asyncio.to_thread(box.verb, "resume")

    assert died.code == 137
    assert resumed.code == 0
    assert resumed.event(event)["transaction_id"] == left_open.transaction_id
    assert [entry.state for entry in Journal(box.state).entries()] == [state]
    rows = shared.query("SELECT state FROM settlements WHERE transaction_id = :id", id=left_open.transaction_id)
    assert rows == [(state.name,)]
    paid = 12_000 if state is EntryState.SETTLED else 0
    assert ACCOUNT_FEN - balance_fen(shared, holder.account) == paid  # below the deductible: all from the account


async def test_i05_a_network_that_cuts_again_and_again_makes_no_bill_paid_twice(shared: Deployment) -> None:
    box, holder = await an_enrolled_box(shared), await a_cardholder(shared)
    chance, orders = random.Random(SEED), [an_order(holder) for _ in range(4)]  # noqa: S311  # seeded on purpose
    with Proxy(shared.ready.terminal) as proxy:
        async with Folder(path=box.state).channel(proxy.address) as channel:
            cashier = Cashier(channel, Journal(box.state), Reporter(as_json=True))
            quotes = [await cashier.quote(order) for order in orders]
            cutting = asyncio.create_task(cut_now_and_then(proxy, chance))
            for order, quote in zip(orders, quotes, strict=True):
                with suppress(Exception):  # whatever it made of it: what counts is the end
                    await cashier.settle(order, quote.quote_id)
            cutting.cancel()
            await asyncio.gather(cutting, return_exceptions=True)
            still_open = await cashier.resume()

    entries = Journal(box.state).entries()
    assert still_open == []
    assert len(entries) == len(orders)
    for entry in entries:
        rows = shared.query("SELECT state FROM settlements WHERE transaction_id = :id", id=entry.transaction_id)
        assert rows == [(entry.state.name,)]
    paid = sum(entry.total_fen for entry in entries if entry.state is EntryState.SETTLED)
    assert ACCOUNT_FEN - balance_fen(shared, holder.account) == paid
    assert paid > 0


async def test_a_control_stream_that_is_cut_comes_back(shared: Deployment) -> None:
    box = await an_enrolled_box(shared)
    with Proxy(shared.ready.terminal) as proxy:
        running = box.start("run", address=proxy.address)
        await asyncio.to_thread(running.wait_for, "connected", within=SECONDS_MAX)
        proxy.cut()
        _, ended = await asyncio.to_thread(running.wait_for, "stream_ended", within=SECONDS_MAX)
        await asyncio.to_thread(running.wait_for, "connected", within=SECONDS_MAX)

        assert ended["code"] == "UNAVAILABLE"
        assert await asyncio.to_thread(running.stop) == 0


def an_order(holder: Cardholder) -> Order:
    return Order(
        transaction_id=str(uuid_utils.uuid7()),
        bill=a_bill(),
        authorization=by_card(holder.card_number, holder.pin),
    )


async def committed(deployment: Deployment, transaction_id: str) -> None:
    """Wait until the settlement is in the database, whoever has heard of it."""
    statement = "SELECT 1 FROM settlements WHERE transaction_id = :id"
    await eventually(lambda: bool(deployment.query(statement, id=transaction_id)))


def pay_by_card(box: Box, holder: Cardholder, *options: str) -> Finished:
    typed = json.dumps({"card_number": holder.card_number, "pin": holder.pin})
    return box.verb("pay", "--card-file", "-", "--total-fen", "12000", *options, typed=typed)


async def cut_now_and_then(proxy: Proxy, chance: random.Random) -> None:
    """Cut, each time a little later than before: so that on a slow machine, too, some bill is paid."""
    for patience in count(1):
        await asyncio.sleep(chance.uniform(0.02, 0.25) * 1.1**patience)
        proxy.cut()
