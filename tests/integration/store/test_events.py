"""Events reach every follower, in order, soon, whoever wrote them."""

import asyncio
import threading
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, delete, func, insert, select

from server.store import (
    EventFollower,
    EventsMissedError,
    StoreBusyError,
    UnitOfWork,
    announce,
)
from server.store import (
    events as store_events,
)
from server.store.tables.events import events
from tests.support.database import Database, a_unit_of_work
from tests.support.events import Ear, a_follower
from tests.support.promptly import within


def announce_many(connection: Connection, *, count: int) -> None:
    for number in range(count):
        announce(connection, "terminal", str(number))


async def test_an_own_commit_wakes_the_follower_at_once(database: Database) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(database.engine) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(hours=1)),
    ):
        await asyncio.sleep(0.02)
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "t-1"))

        assert await ear.until(1) == ["t-1"]


async def test_i02_another_process_is_heard_within_the_poll_interval(database: Database) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(database.engine) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=50)),
    ):
        other_process = database.another_engine()
        with other_process.begin() as connection:
            announce(connection, "terminal", "revoked")

        assert await within(1, ear.until(1)) == ["revoked"]


async def test_what_was_announced_before_the_mark_is_not_told_again(database: Database) -> None:
    ear = Ear()
    async with a_unit_of_work(database.engine) as unit_of_work:
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "loaded already"))
        async with a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=20)):
            await unit_of_work.write(lambda connection: announce(connection, "command", "new"))

            assert await ear.until(1) == ["new"]


async def test_a_long_backlog_comes_in_helpings_and_in_order(database: Database) -> None:
    ear = Ear()
    count = store_events.FETCH_MAX + 10
    async with (
        a_unit_of_work(database.engine) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=20)),
    ):
        await unit_of_work.write(partial(announce_many, count=count))

        assert await ear.until(count) == [str(number) for number in range(count)]


async def test_a_rolled_back_event_is_never_told(database: Database) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(database.engine) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=20)),
    ):

        def announce_and_fail(connection: Connection) -> None:
            announce(connection, "terminal", "never happened")
            raise StoreBusyError(detail="made up")

        with pytest.raises(StoreBusyError):
            await unit_of_work.write(announce_and_fail)
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "happened"))

        assert await ear.until(1) == ["happened"]


async def test_lag_is_small_while_it_follows_and_grows_when_it_does_not(database: Database) -> None:
    ear = Ear()
    async with a_unit_of_work(database.engine) as unit_of_work:
        async with a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=10)) as follower:
            await asyncio.sleep(0.5)
            async with asyncio.timeout(30):
                while follower.lag >= 0.4:  # noqa: ASYNC110  # one that does not follow lags more and more
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

        assert follower.lag >= 0.1


async def test_a_database_that_fails_for_a_while_makes_it_late_and_nothing_lost(database: Database) -> None:
    ear, gate, inside = Ear(), threading.Event(), threading.Event()

    def hold(_: Connection) -> None:
        inside.set()
        gate.wait(60)

    async def hold_the_only_place(unit_of_work: UnitOfWork) -> None:
        while not inside.is_set():
            with suppress(StoreBusyError):  # the follower itself was reading just then
                await unit_of_work.read_at_once(hold)
            await asyncio.sleep(0.001)

    async with (
        a_unit_of_work(database.engine, queue_length_max=1) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=timedelta(milliseconds=10)) as follower,
    ):
        await asyncio.sleep(0.05)
        held = asyncio.ensure_future(hold_the_only_place(unit_of_work))
        await asyncio.to_thread(inside.wait, 30)
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "while it failed"))
        await asyncio.sleep(0.15)
        assert (ear.heard, follower.lag > 0.1) == ([], True)
        gate.set()
        await held

        assert await ear.until(1) == ["while it failed"]


async def test_the_follower_prunes_as_it_goes(database: Database) -> None:
    ear = Ear()
    async with a_unit_of_work(database.engine) as unit_of_work:
        many = [
            {"event_id": number, "topic": "terminal", "subject": str(number)}
            for number in range(1, store_events.KEPT_MAX + 6)
        ]
        await unit_of_work.write(lambda connection: connection.execute(insert(events), many).rowcount)
        follower = EventFollower(
            unit_of_work, poll_interval=timedelta(milliseconds=5), on_events=ear.hear, prune_every=timedelta(0)
        )
        following = asyncio.ensure_future(follower.run())

        def count(connection: Connection) -> int:
            return connection.scalar(select(func.count()).select_from(events)) or 0

        async with asyncio.timeout(30):
            while await unit_of_work.read(count) > store_events.KEPT_MAX:
                pass
        following.cancel()
        assert await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("written_since", [0, 1, 2])
async def test_i02_a_follower_whose_database_was_set_back_says_so(database: Database, written_since: int) -> None:
    """As after a restore, or a fail-over to a copy that had not heard of the last events."""
    async with a_unit_of_work(database.engine) as unit_of_work:
        follower = EventFollower(unit_of_work, poll_interval=timedelta(milliseconds=10), on_events=Ear().hear)
        await unit_of_work.write(partial(announce_many, count=3))
        await follower.mark()
        await unit_of_work.write(lambda c: c.execute(delete(events).where(events.c.event_id > 1)).rowcount)
        for number in range(written_since):
            await unit_of_work.write(lambda c, n=number: announce(c, "terminal", f"other {n}"))  # type: ignore[misc]  # mypy does not infer a lambda with a default

        with pytest.raises(EventsMissedError):
            await follower.run()


async def test_a_follower_that_fell_behind_the_pruning_says_so(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        follower = EventFollower(unit_of_work, poll_interval=timedelta(milliseconds=10), on_events=Ear().hear)
        await follower.mark()
        await unit_of_work.write(partial(announce_many, count=20))
        await unit_of_work.write(lambda connection: store_events.prune(connection, kept_max=5))

        with pytest.raises(EventsMissedError):
            await follower.run()


async def test_pruning_keeps_the_newest_and_takes_few_at_once(database: Database) -> None:
    engine = database.engine
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
