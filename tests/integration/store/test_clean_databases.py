"""Is a database that served one test as good as new for the next?"""

from contextlib import closing

import pytest
from psycopg import OperationalError
from sqlalchemy import insert, select

from server.store.tables.events import events
from tests.support.database import PostgresqlDatabase, break_inserts, forget_checks
from tests.support.postgres import PostgresServer

LEFT_BEHIND = "what-a-test-left-behind"


def the_next(server: PostgresServer) -> PostgresqlDatabase:
    """Return the database that is lent next: the one that was given back last, when it could be emptied."""
    return PostgresqlDatabase(server)


def oid_of(database: PostgresqlDatabase) -> int:
    """Return what stays the same when a database is renamed."""
    ((oid,),) = database.server.run(f"SELECT oid FROM pg_database WHERE datname = '{database.name}'")  # noqa: S608 - our own name
    return int(oid)


def write_an_event(database: PostgresqlDatabase) -> int:
    with database.engine.begin() as connection:
        connection.execute(insert(events).values(topic="test", subject=LEFT_BEHIND))
        return int(connection.execute(select(events.c.event_id)).scalar_one())


def test_the_next_test_finds_no_row_and_no_byte_of_the_last_one(postgres_server: PostgresServer) -> None:
    one = PostgresqlDatabase(postgres_server)
    first, written, oid = write_an_event(one), one.bytes_on_disk(), oid_of(one)
    one.close()
    two = the_next(postgres_server)
    again, left = two.bytes_on_disk(), oid_of(two)
    second = write_an_event(two)
    two.close()

    assert LEFT_BEHIND.encode() in written
    assert left == oid
    assert LEFT_BEHIND.encode() not in again
    assert (first, second) == (1, 1)
    assert two.name != one.name


@pytest.mark.parametrize("change", ["checks", "trigger", "revision"])
def test_a_database_whose_schema_was_changed_serves_nobody_again(change: str, postgres_server: PostgresServer) -> None:
    one = PostgresqlDatabase(postgres_server)
    oid = oid_of(one)
    with one.engine.begin() as connection:
        match change:
            case "checks":
                forget_checks(connection)
            case "trigger":
                break_inserts(connection, "events")
            case _:
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'other'")
    one.close()
    two = the_next(postgres_server)
    left = oid_of(two)
    two.close()

    assert left != oid


def test_who_still_runs_is_disconnected_and_finds_the_database_no_more(postgres_server: PostgresServer) -> None:
    one = PostgresqlDatabase(postgres_server)
    with closing(postgres_server.connect(one.name)) as straggler:
        straggler.execute("BEGIN")
        straggler.execute("LOCK TABLE events")
        one.close()

        with pytest.raises(OperationalError):
            straggler.execute("SELECT 1")
        with pytest.raises(OperationalError, match="does not exist"):
            postgres_server.connect(one.name)
