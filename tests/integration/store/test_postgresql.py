"""What only PostgreSQL does: connections that are lost, replicas that tell each other, errors that say too much."""

import asyncio
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import DataError, IntegrityError

from device_registry.tables.prepared import Prepared
from server.store import EventFollower, StoreFailedError, UnitOfWork, announce, open_reader, touch
from server.store.postgresql import CHANNEL
from server.store.tables.events import events
from server.store.tables.people import insured_people
from tests.support.clock import Clock
from tests.support.database import PostgresqlDatabase, a_unit_of_work
from tests.support.events import Ear, a_follower

HOUR = timedelta(hours=1)
"""A poll interval that no test waits for."""
PERSON = {
    "person_id": "p-1",
    "region": "330100",
    "id_number_index": b"made-up-index",
    "id_number_sealed": b"made-up-number",
    "name_sealed": b"made-up-name",
    "added_at": Clock().now(),
}


def end_connections(database: PostgresqlDatabase, *, listening: bool = False) -> int:
    """Cut connections from the server's side, the listeners' or all others, and return how many there were."""
    query = "LISTEN" if listening else ""
    ended = database.server.run(
        f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '{database.name}' AND (query LIKE 'LISTEN%') = {bool(query)}"""  # noqa: S608 - our own name
    )
    return len(ended)


async def until_listening(database: PostgresqlDatabase) -> None:
    """Wait until a listener has said that it listens."""
    async with asyncio.timeout(30):
        while not database.server.run(  # noqa: ASYNC110 - what is waited for happens in the database
            f"""SELECT 1 FROM pg_stat_activity
                WHERE datname = '{database.name}' AND query = 'LISTEN {CHANNEL}' AND state = 'idle'"""  # noqa: S608 - our own name
        ):
            await asyncio.sleep(0.01)


def subjects(connection: Connection) -> list[str]:
    return list(connection.scalars(select(events.c.subject).order_by(events.c.event_id)))


def test_i05_sessions_are_what_money_needs(postgresql_database: PostgresqlDatabase) -> None:
    names = ("synchronous_commit", "transaction_isolation", "transaction_read_only", "lock_timeout")

    def settings(connection: Connection) -> dict[str, str]:
        return {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names}

    reader = open_reader(postgresql_database.engine)
    with postgresql_database.engine.begin() as writing, reader.begin() as reading:
        assert settings(writing) == dict(zip(names, ("on", "read committed", "off", "2s"), strict=True))
        assert settings(reading) == dict(zip(names, ("on", "repeatable read", "on", "0"), strict=True))
    reader.dispose()


def test_i05_a_touch_writes_to_the_log_and_needs_no_special_role(postgresql_database: PostgresqlDatabase) -> None:
    outside = postgresql_database.outside()
    outside.execute("CREATE ROLE plain")
    # A transaction that has an id of its own is one whose commit is flushed.
    next_id = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    (before,) = outside.execute(next_id).fetchall()
    with postgresql_database.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL ROLE plain")
        touch(connection)
    (after,) = outside.execute(next_id).fetchall()
    outside.execute("DROP ROLE plain")

    assert after[0] == before[0] + 1


async def test_a_lost_connection_fails_its_batch_and_the_next_one_connects_anew(
    postgresql_database: PostgresqlDatabase,
) -> None:
    async with a_unit_of_work(postgresql_database.engine) as unit_of_work:

        def lose_it(connection: Connection) -> None:
            announce(connection, "terminal", "lost")
            end_connections(postgresql_database)
            announce(connection, "terminal", "too late")

        results = await asyncio.gather(
            unit_of_work.write(lambda connection: announce(connection, "terminal", "lost too")),
            unit_of_work.write(lose_it),
            unit_of_work.write(lambda connection: announce(connection, "terminal", "lost as well")),
            return_exceptions=True,
        )

        # The first may have had a batch of its own, which then was committed.
        assert {type(result) for result in results[1:]} == {StoreFailedError}
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "next"))
        assert (await unit_of_work.read(subjects))[-1:] == ["next"]
        assert "lost" not in await unit_of_work.read(subjects)


async def test_connections_that_died_while_they_rested_cost_nobody_anything(
    postgresql_database: PostgresqlDatabase,
) -> None:
    async with a_unit_of_work(postgresql_database.engine) as unit_of_work:
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "before"))
        await unit_of_work.read(subjects)

        assert end_connections(postgresql_database) >= 2
        await unit_of_work.write(lambda connection: announce(connection, "terminal", "after"))
        assert await unit_of_work.read(subjects) == ["before", "after"]


async def test_a_reader_that_loses_its_connection_fails_in_our_words(postgresql_database: PostgresqlDatabase) -> None:
    async with a_unit_of_work(postgresql_database.engine) as unit_of_work:

        def lose_it(connection: Connection) -> list[str]:
            subjects(connection)
            end_connections(postgresql_database)
            return subjects(connection)

        with pytest.raises(StoreFailedError):
            await unit_of_work.read(lose_it)
        assert await unit_of_work.read(subjects) == []


async def test_work_that_hides_a_failed_statement_fails_alone(postgresql_database: PostgresqlDatabase) -> None:
    twice = insert(events).values(event_id=1, topic="terminal", subject="once")

    def hide_it(connection: Connection) -> None:
        announce(connection, "terminal", "not kept")
        with pytest.raises(IntegrityError):
            connection.execute(twice)

    async with a_unit_of_work(postgresql_database.engine) as unit_of_work:
        await unit_of_work.write(lambda connection: connection.execute(twice).rowcount)
        results = await asyncio.gather(
            unit_of_work.write(hide_it),
            unit_of_work.write(lambda connection: announce(connection, "terminal", "kept")),
            return_exceptions=True,
        )

        assert isinstance(results[0], psycopg.errors.InFailedSqlTransaction)
        assert await unit_of_work.read(subjects) == ["once", "kept"]


async def test_i07_a_broken_constraint_and_a_bad_value_are_told_without_the_value(
    postgresql_database: PostgresqlDatabase,
) -> None:
    add = insert(insured_people).values(**PERSON)
    prepared = Prepared(add)
    async with a_unit_of_work(postgresql_database.engine) as unit_of_work:
        await unit_of_work.write(lambda connection: connection.execute(add).rowcount)
        for work in (lambda connection: connection.execute(add).rowcount, prepared.run):
            with pytest.raises(IntegrityError, match="pk_insured_people") as broken:
                await unit_of_work.write(work)

            assert "p-1" not in f"{broken.value}{broken.value.orig!r}"
        for statement, values in (
            ("SELECT CAST(:value AS bigint)", {"value": "Lin Xiaoyu"}),
            ("SELECT CAST(:value AS text)", {"value": "Lin Xiaoyu\0"}),
        ):
            with pytest.raises(DataError) as refused:
                await unit_of_work.write(lambda c, s=statement, v=values: c.execute(text(s), v).scalar())  # type: ignore[misc]  # mypy does not infer a lambda with a default

            assert "Xiaoyu" not in f"{refused.value}{refused.value.orig!r}"


async def test_i02_another_replica_is_heard_at_once(postgresql_database: PostgresqlDatabase) -> None:
    here, there = Ear(), Ear()
    async with (
        a_unit_of_work(postgresql_database.engine) as first,
        a_unit_of_work(postgresql_database.another_engine()) as second,
        a_follower(first, here, poll_interval=HOUR),
        a_follower(second, there, poll_interval=HOUR),
    ):
        await until_listening(postgresql_database)
        await asyncio.sleep(0.05)
        await first.write(lambda connection: announce(connection, "terminal", "suspended here"))
        await second.write(lambda connection: announce(connection, "terminal", "suspended there"))

        assert await here.until(2) == await there.until(2) == ["suspended here", "suspended there"]


async def test_a_rolled_back_event_wakes_nobody_and_leaves_no_gap(postgresql_database: PostgresqlDatabase) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(postgresql_database.engine) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=HOUR),
    ):
        await until_listening(postgresql_database)
        command = postgresql_database.another_engine()
        with command.connect() as connection, connection.begin() as transaction:
            announce(connection, "terminal", "never happened")
            transaction.rollback()
        with command.begin() as connection:
            announce(connection, "terminal", "happened")

        assert await ear.until(1) == ["happened"]
        assert postgresql_database.outside().execute("SELECT event_id FROM events").fetchall() == [(1,)]


async def test_a_listener_that_was_cut_off_comes_back_and_looks_at_what_it_missed(
    postgresql_database: PostgresqlDatabase,
) -> None:
    ear = Ear()
    async with (
        a_unit_of_work(postgresql_database.engine) as unit_of_work,
        a_follower(unit_of_work, ear, poll_interval=HOUR),
    ):
        await until_listening(postgresql_database)
        await asyncio.sleep(0.05)
        assert end_connections(postgresql_database, listening=True) == 1
        with postgresql_database.another_engine().begin() as connection:
            announce(connection, "terminal", "while it was away")

        assert await ear.until(1) == ["while it was away"]


async def test_a_listener_without_a_database_ends_when_it_is_told(postgresql_database: PostgresqlDatabase) -> None:
    unit_of_work = UnitOfWork(postgresql_database.engine, queue_length_max=1, batch_max=1, readers=1)
    unit_of_work.start()
    EventFollower(unit_of_work, poll_interval=HOUR, on_events=Ear().hear)
    postgresql_database.server.drop(postgresql_database.name)
    await asyncio.to_thread(unit_of_work.close)

    with pytest.raises(StoreFailedError):
        await unit_of_work.read(subjects)


async def test_i02_a_writer_that_stands_still_with_the_lock_is_cut_off_by_the_server(
    postgresql_database: PostgresqlDatabase,
) -> None:
    """As a machine that was suspended, or a network that ends in nothing, would hold everybody up for hours."""
    frozen = postgresql_database.another_engine()
    async with a_unit_of_work(postgresql_database.another_engine(busy_timeout=timedelta(seconds=10))) as unit_of_work:
        with frozen.connect() as connection:
            connection.begin()
            assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "1min"
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '50ms'")

            await unit_of_work.write(lambda c: announce(c, "terminal", "the lock is free"))
            connection.invalidate()

        assert await unit_of_work.read(subjects) == ["the lock is free"]
