"""How the database is opened and brought to its newest schema."""

import stat
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, func, insert, inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from server.store import StoreBusyError, StoreFailedError, announce, migrate, open_engine, open_reader
from server.store import engine as store_engine
from server.store.errors import store_error_from
from server.store.migrations import __main__ as migrations_command
from server.store.migrations import alembic_config
from server.store.tables import metadata
from server.store.tables.events import events
from tests.support.database import Database, PostgresqlDatabase, SqliteDatabase, locked


@pytest.fixture
def empty(database: Database) -> Iterator[str]:
    """Return the URL of a database without any table."""
    if isinstance(database, PostgresqlDatabase):
        name = f"{database.name}_empty"
        yield database.server.create(name)
        database.server.drop(name)
    else:
        yield f"{database.url}-empty"


def checks_of(engine: Engine) -> set[tuple[str, str]]:
    inspector = inspect(engine)
    return {
        (table, str(check["name"]))
        for table in inspector.get_table_names()
        for check in inspector.get_check_constraints(table)
    }


def test_the_migrated_schema_is_what_the_tables_say(database: Database) -> None:
    with database.engine.begin() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

        assert differences == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_check_constraints_are_migrated_too(database: Database, empty: str) -> None:
    """Alembic does not compare CHECK constraints by itself."""
    fresh = open_engine(empty)
    metadata.create_all(fresh)

    assert checks_of(database.engine) == checks_of(fresh) != set()
    fresh.dispose()


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrate(database.engine)
    migrate(database.engine)

    with database.engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_two_processes_may_migrate_at_the_same_time(empty: str) -> None:
    engines = [open_engine(empty) for _ in range(2)]
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            migrate(engines[number])
        except Exception as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert set(inspect(engines[0]).get_table_names()) == {*metadata.tables, "alembic_version"}
    for engine in engines:
        engine.dispose()


def test_a_migration_that_never_gets_the_lock_is_busy(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_engine, "MIGRATION_PATIENCE", timedelta(milliseconds=50))
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")
    with locked(database), pytest.raises(StoreBusyError):
        migrate(database.engine)

    migrate(database.engine)
    assert "events" in inspect(database.engine).get_table_names()


def test_a_migration_that_fails_leaves_the_schema_as_it_was(database: Database) -> None:
    with database.engine.begin() as connection:
        announce(connection, "terminal", "kept")
    with database.engine.connect() as connection, connection.begin() as transaction:
        command.downgrade(alembic_config(connection), "base")
        transaction.rollback()

    assert database.outside().execute("SELECT subject FROM events").fetchall() == [("kept",)]


def test_the_way_back_down_works(database: Database) -> None:
    with database.engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")

        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_database_that_does_not_open_is_said_in_our_words(tmp_path: Path, postgresql_database: Database) -> None:
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1000)
    for url in (f"sqlite:///{tmp_path / 'damaged.db'}", postgresql_database.url.replace("/test_", "/no_such_")):
        engine = open_engine(url)

        with pytest.raises(StoreFailedError):
            migrate(engine)
        engine.dispose()


def test_no_revision_is_written_when_the_tables_did_not_change(capsys: pytest.CaptureFixture[str]) -> None:
    versions = Path(migrations_command.__file__).parent / "versions"
    before = sorted(versions.glob("*.py"))

    assert migrations_command.main(["nothing changed"]) == 0
    assert sorted(versions.glob("*.py")) == before
    assert migrations_command.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_i05_a_transaction_takes_the_write_lock_when_it_begins(database: Database) -> None:
    second = database.another_engine(busy_timeout=timedelta(milliseconds=20))
    with database.engine.connect() as first, first.begin():
        with second.connect() as waiting, pytest.raises(DBAPIError) as caught:
            waiting.begin()

        assert isinstance(store_error_from(caught.value), StoreBusyError)
    with second.begin() as connection:
        announce(connection, "terminal", "free again")


def test_a_read_transaction_takes_no_lock_and_keeps_one_view(database: Database) -> None:
    reader = open_reader(database.engine)
    count = select(func.count()).select_from(events)
    with reader.connect() as reading, reading.begin():
        assert reading.scalar(count) == 0
        with database.engine.begin() as writing:
            announce(writing, "terminal", "meanwhile")

        assert reading.scalar(count) == 0
    with reader.connect() as reading:
        assert reading.scalar(count) == 1
    reader.dispose()


def test_foreign_keys_hold(database: Database) -> None:
    with database.engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(
            insert(metadata.tables["person_pins"]).values(person_id="nobody", pin_hash="made up", attempts=0)
        )


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'data' / 'shualian.db'}")
    migrate(engine)

    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    engine.dispose()


def test_i05_sqlite_commits_are_synced(sqlite_database: SqliteDatabase) -> None:
    with sqlite_database.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "query_only")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "query_only": 0}


def test_what_a_savepoint_may_have_to_undo_is_put_in_no_temporary_file(sqlite_database: SqliteDatabase) -> None:
    with sqlite_database.engine.connect() as connection, open_reader(sqlite_database.engine).connect() as reader:
        modes = [each.exec_driver_sql("PRAGMA temp_store").scalar_one() for each in (connection, reader)]

    assert modes == [2, 0]  # memory; and for who only reads, as SQLite has it


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql+pymysql://localhost/shualian"])
def test_what_is_neither_an_sqlite_file_nor_postgresql_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the database must be"):
        open_engine(url)
