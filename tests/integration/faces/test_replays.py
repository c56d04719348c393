"""What one replica saw, the others recognise, also after a restart; and no more is kept than is bounded."""

import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import numpy as np
import pytest
from sqlalchemy import Connection, func, select

from face_pipeline.liveness.replay import PRINT_BYTES
from server.faces.replays import Replays
from server.store import StoreError, UnitOfWork
from server.store.tables.faces import face_prints
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work

TERMINAL = "01980000-0000-7000-8000-00000000a001"
MONTH = timedelta(days=30)


def session(number: int) -> str:
    return f"01980000-0000-7000-8000-{number:012d}"


def prints_of(number: int, count: int = 10) -> list[bytes]:
    rng = np.random.default_rng(number)
    return [rng.bytes(PRINT_BYTES) for _ in range(count)]


@asynccontextmanager
async def a_replica(
    database: Database, clock: Clock, *, prints_max: int = 1_000, sessions_max: int = 100
) -> AsyncIterator[tuple[Replays, UnitOfWork]]:
    with ThreadPoolExecutor(max_workers=1) as executor:
        async with a_unit_of_work(database.another_engine()) as unit_of_work:
            yield (
                Replays(
                    unit_of_work=unit_of_work,
                    executor=executor,
                    now=clock.now,
                    prints_max=prints_max,
                    distance_max=24,
                    kept_for=MONTH,
                    sessions_max=sessions_max,
                ),
                unit_of_work,
            )


async def record(replica: tuple[Replays, UnitOfWork], *numbers: int) -> None:
    replays, unit_of_work = replica
    for number in numbers:
        seen = partial(replays.record, session_id=session(number), terminal_id=TERMINAL, prints=prints_of(number))
        await unit_of_work.write(seen)


async def test_frames_that_another_replica_saw_are_recognised_at_once(database: Database) -> None:
    clock = Clock()
    async with a_replica(database, clock) as here, a_replica(database, clock) as there:
        await there[0].load()
        await record(here, 1)

        found = await there[0].recognise(session(2), prints_of(1))

        assert (found.frames, found.session_id) == (10, session(1))


async def test_frames_that_another_replica_saw_during_the_search_are_recognised(database: Database) -> None:
    clock = Clock()
    async with a_replica(database, clock) as here, a_replica(database, clock) as there:
        search = await there[0].search()
        for each in prints_of(1):
            search.look_for(each)
        await record(here, 1)

        found = await there[0].recognise(session(2), prints_of(1), search)

        assert (found.frames, found.session_id) == (10, session(1))


async def test_a_restart_forgets_nothing(database: Database) -> None:
    clock = Clock()
    async with a_replica(database, clock) as before:
        await record(before, 1, 2, 3)

    async with a_replica(database, clock) as after:
        assert (await after[0].recognise(session(9), prints_of(2))).session_id == session(2)
        assert (await after[0].recognise(session(10), prints_of(11))).frames == 0


async def test_a_restart_with_less_memory_takes_up_the_newest(database: Database) -> None:
    clock = Clock()
    async with a_replica(database, clock) as before:
        await record(before, 1, 2, 3)

    async with a_replica(database, clock, prints_max=20) as after:
        assert (await after[0].recognise(session(9), prints_of(1))).frames == 0
        assert (await after[0].recognise(session(10), prints_of(3))).frames == 10


async def test_a_session_does_not_recognise_its_own_prints_when_they_are_read_back(database: Database) -> None:
    clock = Clock()
    async with a_replica(database, clock) as replica:
        await replica[0].recognise(session(1), prints_of(1))
        await record(replica, 1)

        assert (await replica[0].recognise(session(2), prints_of(1))).frames == 10
        assert (await replica[0].recognise(session(3), prints_of(3))).frames == 0


async def test_i11_old_prints_and_too_many_of_them_are_given_up(database: Database) -> None:
    clock = Clock()
    async with a_replica(database, clock, sessions_max=3) as replica:
        await record(replica, *range(1, 6))
        many = await replica[1].read(_sessions_kept)
        clock.advance(MONTH + timedelta(days=1))
        await record(replica, 6)

        assert many == 3
        assert await replica[1].read(_sessions_kept) == 1


async def test_i10_without_the_database_nothing_is_said_to_be_new(database: Database) -> None:
    async with a_replica(database, Clock()) as replica:
        replica[1].close()

        with pytest.raises(StoreError):
            await replica[0].recognise(session(1), prints_of(1))


def _sessions_kept(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(face_prints)) or 0


async def test_what_a_session_writes_costs_no_more_the_more_is_kept(database: Database) -> None:
    if database.kind != "sqlite":
        pytest.skip("only SQLite tells how many steps it takes; the statement is the same")
    async with a_replica(database, Clock(), sessions_max=100_000) as replica:
        await record(replica, *range(1, 31))
        few = await _steps_of_recording(replica, 31)
        await record(replica, *range(32, 600))

        assert await _steps_of_recording(replica, 600) < 2 * few


async def _steps_of_recording(replica: tuple[Replays, UnitOfWork], number: int) -> int:
    """Return how many tens of steps SQLite takes to record one session."""
    tens: list[int] = []

    def work(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.set_progress_handler(lambda: tens.append(1), 10)
        try:
            replica[0].record(connection, session_id=session(number), terminal_id=TERMINAL, prints=prints_of(number))
        finally:
            driver.set_progress_handler(None, 0)

    await replica[1].write(work)
    return len(tens)
