"""Events reach every follower, in order, soon, whoever wrote them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from server.store import (
    Event,
    EventFollower,
    EventsMissedError,
    StoreBusyError,
    UnitOfWork,
    announce,
    open_engine,
)
from server.store import (
    events as store_events,
)
from server.store.tables.events import events
from tests.support.database import a_database, a_unit_of_work


def announce_many(connection: Connection, *, count: int) -> None:
    for number in range(count):
        announce(connection, "terminal", str(number))


class Ear:
    """Hears events and can be waited for."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._woken = asyncio.Event()

    async def hear(self, found: Sequence[Event]) -> None:
        """Take what the follower hands on."""
        self.heard += [event.subject for event in found]
        self._woken.set()

    async def until(self, count: int) -> list[str]:
        """Wait for so many events and return their subjects."""
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self._woken.clear()
                await self._woken.wait()
        return self.heard


@asynccontextmanager
async def a_follower(unit_of_work: UnitOfWork, ear: Ear, *, poll_interval: timedelta) -> AsyncIterator[EventFollower]:
    follower = EventFollower(unit_of_work, poll_interval=poll_interval, on_events=ear.hear)
    await follower.mark()
    following = asyncio.ensure_future(follower.run())
    try:
        yield follower
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following


async def test_an_own_commit_wakes_the_follower_at_once(tmp_path: Path) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(a_database(tmp_path)) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(hours=1)),
    ):
        await asyncio.sleep(0.02)
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "t-1"))

        assert await ear.until(1) == ["t-1"]


async def test_i02_another_process_is_heard_within_the_poll_interval(tmp_path: Path) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(a_database(tmp_path)) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=50)),
    ):
        other_process = open_engine(f"sqlite:///{tmp_path / 'shualian.db'}")
        loop = asyncio.get_running_loop()
        with other_process.begin() as connection:
            announce(connection, "terminal", "revoked")
        committed_at = loop.time()
        other_process.dispose()

        assert await ear.until(1) == ["revoked"]
        assert loop.time() - committed_at < 1


async def test_what_was_announced_before_the_mark_is_not_told_again(tmp_path: Path) -> None:
    ear = Ear()
    async with a_unit_of_work(a_database(tmp_path)) as unit_of_work:
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "loaded already"))
        async with a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=20)):
            await unit_of_work.write(lambda connection: announce(connection, "command", "new"))

            assert await ear.until(1) == ["new"]


async def test_a_long_backlog_comes_in_helpings_and_in_order(tmp_path: Path) -> None:
    ear = Ear()
    count = store_events.FETCH_MAX + 10
    async with (
        a_unit_of_work(a_database(tmp_path)) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=20)),
    ):
        await unit_of_work.write(partial(announce_many, count=count))

        assert await ear.until(count) == [str(number) for number in range(count)]


async def test_a_rolled_back_event_is_never_told(tmp_path: Path) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(a_database(tmp_path)) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=20)),
    ):

        def announce_and_fail(connection: Connection) -> None:
            announce(connection, "terminal", "never happened")
            raise StoreBusyError(detail="made up")

        with pytest.raises(StoreBusyError):
            await unit_of_work.write(announce_and_fail)
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "happened"))

        assert await ear.until(1) == ["happened"]


async def test_lag_is_small_while_it_follows_and_grows_when_it_does_not(tmp_path: Path) -> None:
    ear = Ear()
    async with a_unit_of_work(a_database(tmp_path)) as unit_of_work:
        async with a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=10)) as follower:
            await asyncio.sleep(0.5)
            assert follower.lag < 0.4
        await asyncio.sleep(0.1)

        assert follower.lag >= 0.1


async def test_a_database_that_fails_for_a_while_makes_it_late_and_nothing_lost(tmp_path: Path) -> None:
    ear, gate, inside = Ear(), threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        inside.set()
        gate.wait(5)

    async def hold_the_only_place(unit_of_work: UnitOfWork) -> None:
        while not inside.is_set():
            with suppress(StoreBusyError):  # the follower itself was reading just then
                await unit_of_work.read(hold)
            await asyncio.sleep(0.001)

    async with (
        a_unit_of_work(a_database(tmp_path), queue_length_max=1) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=10)) as follower,
    ):
        await asyncio.sleep(0.05)
        held = asyncio.ensure_future(hold_the_only_place(unit_of_work))
        await asyncio.to_thread(inside.wait, 5)
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "while it failed"))
        await asyncio.sleep(0.15)
        assert (ear.heard, follower.lag > 0.1) == ([], True)
        gate.set()
        await held

        assert await ear.until(1) == ["while it failed"]


async def test_the_follower_prunes_as_it_goes(tmp_path: Path) -> None:
    ear = Ear()
    async with a_unit_of_work(a_database(tmp_path)) as unit_of_work:
        await unit_of_work.write(partial(announce_many, count=store_events.KEPT_MAX + 5))
        follower = EventFollower(
            unit_of_work, poll_interval=timedelta(milliseconds=5), on_events=ear.hear, prune_every=timedelta(0)
        )
        following = asyncio.ensure_future(follower.run())

        def count(connection: Connection) -> int:
            return connection.scalar(select(func.count()).select_from(events)) or 0

        async with asyncio.timeout(5):
            while await unit_of_work.read(count) > store_events.KEPT_MAX:
                pass
        following.cancel()
        assert await asyncio.gather(following, return_exceptions=True)


async def test_a_follower_that_fell_behind_the_pruning_says_so(tmp_path: Path) -> None:
    async with a_unit_of_work(a_database(tmp_path)) as unit_of_work:
        follower = EventFollower(unit_of_work, poll_interval=timedelta(milliseconds=10), on_events=Ear().hear)
        await follower.mark()
        await unit_of_work.write(partial(announce_many, count=20))
        await unit_of_work.write(lambda connection: store_events.prune(connection, kept_max=5))

        with pytest.raises(EventsMissedError):
            await follower.run()


async def test_pruning_keeps_the_newest_and_takes_few_at_once(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection:
        assert store_events.prune(connection, kept_max=0) == 0
        for number in range(store_events.PRUNE_MAX + 50):
            announce(connection, "terminal", str(number))

        assert store_events.prune(connection, kept_max=10) == store_events.PRUNE_MAX
        assert store_events.prune(connection, kept_max=10) == 40
        assert store_events.prune(connection, kept_max=10) == 0
        assert connection.scalar(select(func.count()).select_from(events)) == 10
        announce(connection, "terminal", "next")
        assert connection.scalar(select(func.max(events.c.event_id))) == store_events.PRUNE_MAX + 51
    engine.dispose()
