"""Group commit on a real database: what is acknowledged is there, what failed is not, and nobody waits for ever."""

import asyncio
import resource
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta

import pytest
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from server.store import StoreBusyError, StoreFailedError, UnitOfWork, announce, touch
from server.store.tables.events import events
from server.store.writer import Batch
from tests.support.database import Database, SqliteDatabase, a_unit_of_work, locked


class RefusedError(Exception):
    """What a domain would raise."""


def subjects_in(database: Database) -> list[str]:
    """Return what another process sees."""
    rows = database.outside().execute("SELECT subject FROM events ORDER BY event_id").fetchall()
    return [subject for (subject,) in rows]


def write_then_refuse(connection: Connection) -> None:
    announce(connection, "terminal", "half-written")
    raise RefusedError


@asynccontextmanager
async def writer_held(unit_of_work: UnitOfWork) -> AsyncIterator[None]:
    """Keep the writer thread busy, so that all that is written inside waits, and then shares one batch."""
    begun, gate = threading.Event(), threading.Event()

    def wait(_: Connection) -> None:
        begun.set()
        gate.wait(60)

    holding = asyncio.ensure_future(unit_of_work.write(wait))
    await asyncio.to_thread(begun.wait, 30)
    try:
        yield
    finally:
        gate.set()
        await holding


@contextmanager
def no_file_may_grow(size: int) -> Iterator[None]:
    """Make every write past `size` fail, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def log_length_of(database: SqliteDatabase) -> int:
    return database.path.with_name(database.path.name + "-wal").stat().st_size


async def test_i05_what_is_acknowledged_is_seen_by_another_process(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "kept"))

        assert subjects_in(database) == ["kept"]


async def test_many_writers_share_commits_and_each_gets_its_own_result(database: Database) -> None:
    batches: list[Batch] = []
    async with a_unit_of_work(database.engine, batch_max=16, on_batch=batches.append) as unit_of_work:

        def write_one(connection: Connection, number: int) -> int:
            announce(connection, "terminal", str(number))
            return number

        async with writer_held(unit_of_work):
            waiting = [
                asyncio.ensure_future(unit_of_work.write(lambda connection, n=number: write_one(connection, n)))  # type: ignore[misc]  # mypy does not infer a lambda with a default
                for number in range(100)
            ]
            await asyncio.sleep(0)

        assert await asyncio.gather(*waiting) == list(range(100))
        assert subjects_in(database) == [str(number) for number in range(100)]
        assert [len(batch.jobs) for batch in batches] == [1] + 6 * [16] + [4]


async def test_a_transaction_that_fails_leaves_the_others_of_its_batch_alone(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        async with writer_held(unit_of_work):
            waiting = [
                asyncio.ensure_future(
                    unit_of_work.write(lambda connection: announce(connection, "terminal", "before"))
                ),
                asyncio.ensure_future(unit_of_work.write(write_then_refuse)),
                asyncio.ensure_future(unit_of_work.write(lambda connection: announce(connection, "terminal", "after"))),
            ]
            await asyncio.sleep(0)
        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert [type(result) for result in results] == [type(None), RefusedError, type(None)]
        assert subjects_in(database) == ["before", "after"]


async def test_a_broken_constraint_reaches_the_caller_as_itself(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        twice = insert(events).values(event_id=1, topic="terminal", subject="only once")
        await unit_of_work.write(lambda connection: connection.execute(twice).rowcount)

        with pytest.raises(IntegrityError) as caught:
            await unit_of_work.write(lambda connection: connection.execute(twice).rowcount)

        assert "only once" not in str(caught.value)


async def test_a_full_queue_is_busy_at_once(database: Database) -> None:
    async with a_unit_of_work(database.engine, queue_length_max=2) as unit_of_work:
        async with writer_held(unit_of_work):
            waiting = [asyncio.ensure_future(unit_of_work.write(lambda _: True)) for _ in range(2)]
            await asyncio.sleep(0)
            assert unit_of_work.queue_length == 2

            with pytest.raises(StoreBusyError):
                await unit_of_work.write(lambda _: True)
        assert await asyncio.gather(*waiting) == [True, True]


async def test_too_many_reads_are_busy_at_once(database: Database) -> None:
    gate = threading.Event()
    async with a_unit_of_work(database.engine, queue_length_max=1) as unit_of_work:
        held = asyncio.ensure_future(unit_of_work.read(lambda _: gate.wait(60)))
        await asyncio.sleep(0)

        with pytest.raises(StoreBusyError):
            await unit_of_work.read(lambda _: True)
        gate.set()
        assert await held


async def test_a_locked_database_is_busy_and_nothing_is_half_written(database: Database) -> None:
    engine = database.another_engine(busy_timeout=timedelta(milliseconds=50))
    async with a_unit_of_work(engine) as unit_of_work:
        with locked(database):
            refused = await asyncio.gather(
                *(unit_of_work.write(lambda connection: announce(connection, "terminal", "late")) for _ in range(3)),
                return_exceptions=True,
            )

        assert {type(result) for result in refused} == {StoreBusyError}
        assert subjects_in(database) == []
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "later"))
        assert subjects_in(database) == ["later"]


async def test_a_full_disk_fails_the_whole_batch_and_the_next_one_works(sqlite_database: SqliteDatabase) -> None:
    async with a_unit_of_work(sqlite_database.engine) as unit_of_work:
        pages = await unit_of_work.write(
            lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        )

        def fill(connection: Connection) -> None:
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages + 4}")
            for _ in range(200):
                announce(connection, "terminal" * 4, "x" * 64 * 40)

        async with writer_held(unit_of_work):
            waiting = [
                asyncio.ensure_future(unit_of_work.write(lambda c: announce(c, "terminal", "same batch"))),
                asyncio.ensure_future(unit_of_work.write(fill)),
                asyncio.ensure_future(unit_of_work.write(lambda c: announce(c, "terminal", "never run"))),
            ]
            await asyncio.sleep(0)
        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert {type(result) for result in results} == {StoreFailedError}
        assert subjects_in(sqlite_database) == []
        await unit_of_work.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=100000").scalar_one())
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "space again"))
        assert subjects_in(sqlite_database) == ["space again"]


async def test_a_disk_that_fills_up_at_the_commit_fails_the_whole_batch(sqlite_database: SqliteDatabase) -> None:
    async with a_unit_of_work(sqlite_database.engine) as unit_of_work:
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "before"))
        log_length = log_length_of(sqlite_database)
        with no_file_may_grow(log_length + 100):
            results = await asyncio.gather(
                *(unit_of_work.write(lambda c: announce(c, "terminal", "lost")) for _ in range(3)),
                return_exceptions=True,
            )

        assert {type(result) for result in results} == {StoreFailedError}
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "after"))
        assert subjects_in(sqlite_database) == ["before", "after"]


async def test_i10_a_touch_notices_a_full_disk(sqlite_database: SqliteDatabase) -> None:
    async with a_unit_of_work(sqlite_database.engine) as unit_of_work:
        await unit_of_work.write(touch)
        log_length = log_length_of(sqlite_database)
        with no_file_may_grow(log_length + 100), pytest.raises(StoreFailedError):
            await unit_of_work.write(touch)


def commit_it_all(connection: Connection) -> None:
    announce(connection, "terminal", "too early")
    connection.commit()


def commit_it_all_and_hide_it(connection: Connection) -> None:
    with suppress(Exception):
        commit_it_all(connection)


def roll_it_all_back(connection: Connection) -> None:
    announce(connection, "terminal", "gone")
    connection.rollback()


@pytest.mark.parametrize("ending", [commit_it_all, commit_it_all_and_hide_it, roll_it_all_back])
async def test_i05_work_that_ends_the_transaction_fails_its_batch_and_nothing_of_it_is_kept(
    database: Database, ending: Callable[[Connection], None]
) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        async with writer_held(unit_of_work):
            waiting = [
                asyncio.ensure_future(unit_of_work.write(lambda c: announce(c, "terminal", "before"))),
                asyncio.ensure_future(unit_of_work.write(ending)),
                asyncio.ensure_future(unit_of_work.write(lambda c: announce(c, "terminal", "after"))),
            ]
            await asyncio.sleep(0)
        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert {type(result) for result in results} == {StoreFailedError}
        assert subjects_in(database) == []
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "next"))
        assert subjects_in(database) == ["next"]


async def test_another_process_gets_the_lock_soon_from_a_writer_that_never_rests(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        stop = False

        async def keep_writing() -> None:
            while not stop:
                await unit_of_work.write(lambda connection: announce(connection, "terminal", "busy"))

        busy = [asyncio.ensure_future(keep_writing()) for _ in range(32)]

        def command() -> float:
            other = database.another_engine(busy_timeout=timedelta(seconds=30))
            began = time.monotonic()
            for _ in range(5):
                with other.begin() as connection:
                    announce(connection, "terminal", "command")
            return time.monotonic() - began

        seconds = await asyncio.to_thread(command)
        stop = True
        await asyncio.gather(*busy)

        assert subjects_in(database).count("command") == 5
        assert seconds < 20


async def test_work_whose_caller_gave_up_before_it_began_is_dropped(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        async with writer_held(unit_of_work):
            given_up = asyncio.ensure_future(unit_of_work.write(lambda c: announce(c, "terminal", "nobody waits")))
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.sleep(0)
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "somebody waits"))

        assert subjects_in(database) == ["somebody waits"]


async def test_close_finishes_what_is_waiting_and_refuses_what_comes_later(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        waiting = [
            asyncio.ensure_future(unit_of_work.write(lambda c: announce(c, "terminal", "waiting"))) for _ in range(200)
        ]
        await asyncio.sleep(0)
        unit_of_work.close()

        await asyncio.gather(*waiting)
        assert len(subjects_in(database)) == 200
        with pytest.raises(StoreFailedError):
            await unit_of_work.write(lambda _: None)
        with pytest.raises(StoreFailedError):
            await unit_of_work.read(lambda _: None)


async def test_a_reader_cannot_write(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        with pytest.raises(StoreFailedError):
            await unit_of_work.read(lambda connection: announce(connection, "terminal", "sneaked in"))

        assert subjects_in(database) == []


async def test_a_reader_sees_what_was_written_and_is_not_held_up_by_a_writer(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "written"))
        async with writer_held(unit_of_work):
            seen = await unit_of_work.read(lambda connection: connection.scalars(select(events.c.subject)).all())

        assert seen == ["written"]


async def test_a_busy_event_loop_hands_over_to_the_writer_soon_enough(database: Database) -> None:
    """At Python's own 5 ms a saturated loop left 129 transactions a second; see `UnitOfWork.start`."""
    async with a_unit_of_work(database.engine) as unit_of_work:
        assert sys.getswitchinterval() <= 0.0001

        stop = False

        async def be_busy() -> None:
            while not stop:
                sum(range(5_000))
                await asyncio.sleep(0)

        busy = asyncio.ensure_future(be_busy())
        for number in range(20):
            await unit_of_work.write(lambda connection, n=number: announce(connection, "terminal", str(n)))  # type: ignore[misc]  # mypy does not infer a lambda with a default
        stop = True
        await busy

    assert len(subjects_in(database)) == 20
