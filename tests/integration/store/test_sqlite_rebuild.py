"""SQLite alters a table by making it anew; foreign keys to it and from it live through that."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Column, String, create_engine, make_url

from server.store import StoreFailedError
from server.store.backend import backend_named

PATIENCE = timedelta(seconds=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with a site and a terminal that cascades with it."""
    path = tmp_path / "fleet.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            """
            CREATE TABLE places (place_id TEXT PRIMARY KEY, name TEXT NOT NULL);
            CREATE TABLE boxes (
                box_id TEXT PRIMARY KEY, place_id TEXT NOT NULL REFERENCES places (place_id) ON DELETE CASCADE
            );
            INSERT INTO places VALUES ('p-1', 'Willow Bridge');
            INSERT INTO boxes VALUES ('b-1', 'p-1');
            """
        )
    return path


def rebuild(path: Path, *, foreign_keys: bool) -> None:
    """Alter the parent table as a revision would; with foreign keys on, as it would go without our care."""
    backend = backend_named("sqlite")
    url = make_url(f"sqlite:///{path}")
    engine = (
        backend.open(url, busy_timeout=PATIENCE, read_only=False)
        if foreign_keys
        else backend.open_for_migration(url, busy_timeout=PATIENCE)
    )
    try:
        with engine.begin() as connection:
            operations = Operations(MigrationContext.configure(connection))
            with operations.batch_alter_table("places", recreate="always") as batch:
                batch.add_column(Column("region", String(32), nullable=False, server_default="330100"))
            backend.check_migrated(connection)
    finally:
        engine.dispose()


def test_a_rebuilt_table_keeps_its_rows_and_those_that_refer_to_it(path: Path) -> None:
    rebuild(path, foreign_keys=False)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM places").fetchall() == [("p-1", "Willow Bridge", "330100")]
        assert connection.execute("SELECT * FROM boxes").fetchall() == [("b-1", "p-1")]
        connection.execute("PRAGMA foreign_keys=ON")
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute("INSERT INTO boxes VALUES ('b-2', 'nowhere')")


def test_with_foreign_keys_on_the_rebuild_would_lose_rows(path: Path) -> None:
    """Why they are off: if this ever keeps its rows, the care is no longer needed."""
    rebuild(path, foreign_keys=True)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM boxes").fetchone() == (0,)


def test_a_migration_that_leaves_orphans_is_refused_before_its_commit(path: Path) -> None:
    backend = backend_named("sqlite")
    engine = backend.open_for_migration(make_url(f"sqlite:///{path}"), busy_timeout=PATIENCE)

    def migrate() -> None:
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM places")
            backend.check_migrated(connection)

    with pytest.raises(StoreFailedError, match="1 rows without a parent in boxes"):
        migrate()
    engine.dispose()

    plain = create_engine(f"sqlite:///{path}")
    with plain.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM places").scalar_one() == 1
    plain.dispose()
