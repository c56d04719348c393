"""How the database file is opened and brought to its newest schema."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from server.store import migrate, open_engine, open_reader
from server.store.migrations import __main__ as migrations_command
from server.store.migrations import alembic_config
from server.store.tables import metadata
from tests.support.database import a_database


def test_the_migrated_schema_is_what_the_tables_say(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

        assert differences == []
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_check_constraints_are_migrated_too(tmp_path: Path) -> None:
    """Alembic does not compare CHECK constraints by itself."""
    migrated, fresh = a_database(tmp_path), open_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    metadata.create_all(fresh)

    def checks(engine_name: str) -> set[tuple[str, str]]:
        with closing(sqlite3.connect(tmp_path / engine_name)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        inspector = inspect(migrated if engine_name == "shualian.db" else fresh)
        return {(table, str(check["name"])) for table in tables for check in inspector.get_check_constraints(table)}

    assert checks("shualian.db") == checks("fresh.db") != set()
    migrated.dispose()
    fresh.dispose()


def test_migrating_again_changes_nothing(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    migrate(engine)
    migrate(engine)

    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_two_processes_may_migrate_at_the_same_time(tmp_path: Path) -> None:
    engines = [open_engine(f"sqlite:///{tmp_path / 'shared.db'}") for _ in range(2)]
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
    for engine in engines:
        engine.dispose()


def test_the_way_back_down_works(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), "base")

        assert inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_no_revision_is_written_when_the_tables_did_not_change(capsys: pytest.CaptureFixture[str]) -> None:
    versions = Path(migrations_command.__file__).parent / "versions"
    before = sorted(versions.glob("*.py"))

    assert migrations_command.main(["nothing changed"]) == 0
    assert sorted(versions.glob("*.py")) == before
    assert migrations_command.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_the_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'data' / 'shualian.db'}")
    migrate(engine)

    for path in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    engine.dispose()


def test_i05_commits_are_synced_and_foreign_keys_hold(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "query_only")
        }

        assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "query_only": 0}
        with pytest.raises(IntegrityError):
            connection.exec_driver_sql("INSERT INTO insurance_cards VALUES (x'00', 'nobody', 0)")
    engine.dispose()


def test_a_transaction_takes_the_write_lock_when_it_begins(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with (
        engine.connect() as first,
        first.begin(),
        closing(sqlite3.connect(tmp_path / "shualian.db", timeout=0, isolation_level=None)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")
    engine.dispose()


def test_a_read_transaction_takes_no_lock(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    reader = open_reader(engine)
    with reader.connect() as reading, reading.begin(), engine.connect() as writing, writing.begin():
        assert reading.exec_driver_sql("SELECT count(*) FROM events").scalar_one() == 0
    reader.dispose()
    engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/shualian"])
def test_what_is_no_sqlite_file_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="file"):
        open_engine(url)
