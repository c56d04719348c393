"""From start to stop and to the next start: nothing half-made is lost, and everybody is told."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from sqlalchemy import select, update

from server.store import open_engine
from server.store.tables.settlement import settlements
from shualian.terminal.v1 import device_pb2
from tests.support.conversation import control_call
from tests.support.insurer import Fault, RemoteInsurerInMemory
from tests.support.payments import by_card, desk, quoted
from tests.support.platform import a_platform, an_enrolled_terminal
from tests.support.visitors import CARD_NUMBER, LIN, PIN, at, insured

CARD = by_card(CARD_NUMBER, PIN)
QUICK = {"resolve_interval": timedelta(milliseconds=100), "resolve_attempts_max": 1}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shualian-") as name:  # short, for the socket's path
        yield Path(name)


def state_in(folder: Path, **changes: object) -> str:
    """Return the state of the one settlement there is, after changing it if so told."""
    engine = open_engine(f"sqlite:///{folder / 'shualian.sqlite'}")
    with engine.begin() as connection:
        if changes:
            connection.execute(update(settlements).values(changes))
        state = connection.scalars(select(settlements.c.state)).one()
    engine.dispose()
    return str(state)


async def test_i05_a_settlement_under_way_lands_before_the_books_are_closed(folder: Path) -> None:
    insurer = RemoteInsurerInMemory()
    insurer.gate = asyncio.Event()
    async with a_platform(folder=folder, insurer=insurer) as running:
        await insured(running, LIN)
        channel = (await an_enrolled_terminal(running)).channel()
        settling = asyncio.ensure_future(desk(channel).Settle(await quoted(channel, CARD)))
        await insurer.settle_arrived.wait()
        gate = insurer.gate
        settling.add_done_callback(lambda _: gate.set())  # it answers when the terminal's call has been cut off already

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await settling
    await channel.close(None)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert state_in(folder) == "SETTLED"


async def paid(folder: Path, insurer: RemoteInsurerInMemory) -> None:
    """Run a platform for as long as it takes to pay one bill."""
    async with a_platform(folder=folder, insurer=insurer) as running:
        await insured(running, LIN)
        async with (await an_enrolled_terminal(running)).channel() as channel:
            await desk(channel).Settle(await quoted(channel, CARD))


async def test_i05_what_a_crash_left_pending_is_in_doubt_at_the_next_start_and_worked_off(folder: Path) -> None:
    insurer = RemoteInsurerInMemory()
    await paid(folder, insurer)
    assert state_in(folder, state="PENDING", receipt_id=None, settled_at=None) == "PENDING"

    async with a_platform(folder=folder, insurer=insurer, settlement=QUICK) as running, asyncio.timeout(30):
        while not running.counted("settlement_resolutions_total", outcome="SETTLED"):  # noqa: ASYNC110  # a metric
            await asyncio.sleep(0.02)

    assert state_in(folder) == "SETTLED"
    assert insurer.calls.count("settle") == 1


async def test_a_doubt_that_is_given_up_on_is_counted_as_a_dead_letter(folder: Path) -> None:
    insurer = RemoteInsurerInMemory()
    await paid(folder, insurer)
    state_in(folder, state="PENDING", receipt_id=None, settled_at=None)
    insurer.fail_next("query", Fault.DOWN)

    async with a_platform(folder=folder, insurer=insurer, settlement=QUICK) as running, asyncio.timeout(30):
        while not running.counted("settlement_resolutions_total", outcome="DEAD_LETTER"):  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.02)

    assert state_in(folder) == "UNKNOWN"


async def test_a_stopping_platform_ends_streams_well_takes_no_new_call_and_is_not_ready() -> None:
    async with a_platform(limits={"reconnect_spread": timedelta(seconds=1)}) as running:
        terminal = await an_enrolled_terminal(running)
        channel = terminal.channel()
        call = control_call(channel)
        await call.write(device_pb2.ConnectRequest(hello=device_pb2.Hello(firmware_version="1.0", terminal_time=at())))
        assert (await call.read()).WhichOneof("message") == "welcome"
        health = running.platform.health

    goodbye = await call.read()
    assert goodbye.goodbye.reconnect_after.ToTimedelta() <= timedelta(seconds=1)
    assert await call.ended_well()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await quoted(channel, CARD)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await channel.close(None)
    found = await health.readiness()
    assert (found.is_ready, found.checks["running"]) == (False, False)
    assert not Path(running.ready.diagnostics).exists()  # noqa: ASYNC240  # a test may look at a disk
