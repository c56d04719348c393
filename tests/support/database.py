"""Real databases for tests, on SQLite and on PostgreSQL: migrated once per process, then copied or emptied."""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import psycopg
from sqlalchemy import Connection, Engine, inspect

from server.store import UnitOfWork, migrate, open_engine, open_reader
from server.store.engine import BUSY_TIMEOUT
from server.store.postgresql import WRITE_LOCK
from server.store.writer import Batch
from tests.support.clean_databases import CleanDatabases
from tests.support.postgres import PostgresServer


class Database(Protocol):
    """One fresh, migrated database for one test; the fixture `database` gives first SQLite, then PostgreSQL."""

    kind: str
    """"sqlite" or "postgresql", for the rare test that must know."""
    url: str
    """What goes into the configuration: `a_platform(store={"url": database.url})`."""
    engine: Engine
    """Opened for writing, as the server does; disposed of when the test ends."""

    def another_engine(self, *, busy_timeout: timedelta = BUSY_TIMEOUT) -> Engine:
        """Open it once more, as another process would; disposed of when the test ends."""

    def outside(self) -> Any:  # noqa: ANN401 - the drivers share no type, but both have execute(...).fetchall()
        """Return a bare connection of the driver, in autocommit; closed when the test ends."""

    def hold_write_lock(self, outside: Any) -> None:  # noqa: ANN401 - as above
        """Begin a transaction on a bare connection that keeps every writer waiting; ROLLBACK ends it."""

    def bytes_on_disk(self) -> bytes:
        """Return everything that is written for it, for a test that looks for what must not be there."""

    def close(self) -> None:
        """Close what was opened, and remove it."""


def migrated_at(path: Path) -> None:
    """Put a fresh SQLite database there, migrated; in a moment, as it was migrated once before."""
    path.touch(mode=0o600)
    path.write_bytes(_migrated())


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Hold the write lock as another process would."""
    outside = database.outside()
    database.hold_write_lock(outside)
    try:
        yield
    finally:
        outside.execute("ROLLBACK")


class SqliteDatabase:
    """A file in the test's folder."""

    kind = "sqlite"

    def __init__(self, folder: Path, *, name: str = "shualian.db") -> None:
        self.path = folder / name
        migrated_at(self.path)
        self.url = f"sqlite:///{self.path}"
        self.engine = open_engine(self.url)
        self._opened: list[Callable[[], None]] = [self.engine.dispose]

    def another_engine(self, *, busy_timeout: timedelta = BUSY_TIMEOUT) -> Engine:
        """Open the file once more."""
        engine = open_engine(self.url, busy_timeout=busy_timeout)
        self._opened.append(engine.dispose)
        return engine

    def outside(self) -> sqlite3.Connection:
        """Return a bare connection; it gives up on locks at once."""
        connection = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        self._opened.append(connection.close)
        return connection

    def hold_write_lock(self, outside: sqlite3.Connection) -> None:
        """Begin a write."""
        outside.execute("BEGIN IMMEDIATE")

    def bytes_on_disk(self) -> bytes:
        """Return the file and its log."""
        return b"".join(part.read_bytes() for part in sorted(self.path.parent.glob(self.path.name + "*")))

    def close(self) -> None:
        """Close what was opened; the folder is pytest's."""
        for close in reversed(self._opened):
            close()


class PostgresqlDatabase:
    """A database on the test process's own server."""

    kind = "postgresql"

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self.name = _clean_databases(server).lend()
        self.url = server.url(self.name)
        self.engine = open_engine(self.url)
        self._opened: list[Callable[[], None]] = [self.engine.dispose]

    def another_engine(self, *, busy_timeout: timedelta = BUSY_TIMEOUT) -> Engine:
        """Connect once more."""
        engine = open_engine(self.url, busy_timeout=busy_timeout)
        self._opened.append(engine.dispose)
        return engine

    def another_reader(self) -> Engine:
        """Connect once more, to read."""
        engine = open_reader(self.engine)
        self._opened.append(engine.dispose)
        return engine

    def outside(self) -> psycopg.Connection[Any]:
        """Return a bare connection."""
        connection = self.server.connect(self.name)
        self._opened.append(connection.close)
        return connection

    def hold_write_lock(self, outside: psycopg.Connection[Any]) -> None:
        """Take the writers' advisory lock."""
        outside.execute("BEGIN")
        outside.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})".encode())

    def bytes_on_disk(self) -> bytes:
        """Return the files of the database; not the server's log, which other tests write to."""
        self.server.run("CHECKPOINT")
        ((oid,),) = self.server.run(f"SELECT oid FROM pg_database WHERE datname = '{self.name}'")  # noqa: S608 - our own name
        files = sorted((self.server.folder / "base" / str(oid)).iterdir())
        return b"".join(file.read_bytes() for file in files if file.is_file())

    def close(self) -> None:
        """Close what was opened, and give the database back."""
        for close in reversed(self._opened):
            close()
        _clean_databases(self.server).take_back(self.name)


def a_database(folder: Path, *, name: str = "shualian.db") -> Engine:
    """Return an engine on a fresh, migrated SQLite file in `folder`; a test for both engines takes `database`."""
    return SqliteDatabase(folder, name=name).engine


@asynccontextmanager
async def a_unit_of_work(
    engine: Engine,
    *,
    queue_length_max: int = 1_000,
    batch_max: int = 64,
    readers: int = 2,
    on_batch: Callable[[Batch], None] = lambda _: None,
) -> AsyncIterator[UnitOfWork]:
    """Run a unit of work for the length of a test."""
    unit_of_work = UnitOfWork(
        engine, queue_length_max=queue_length_max, batch_max=batch_max, readers=readers, on_batch=on_batch
    )
    unit_of_work.start()
    try:
        yield unit_of_work
    finally:
        unit_of_work.close()
        engine.dispose()


def bytes_on_disk(engine: Engine) -> bytes:
    """Return everything SQLite has written for this database: the file and its log."""
    path = Path(engine.url.database or "")
    return b"".join(part.read_bytes() for part in sorted(path.parent.glob(path.name + "*")))


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "migrated.db"
        engine = open_engine(f"sqlite:///{path}")
        migrate(engine)
        engine.dispose()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


@cache
def _clean_databases(server: PostgresServer) -> CleanDatabases:
    return CleanDatabases(server)


def forget_checks(connection: Connection) -> None:
    """Let a test damage what CHECK constraints guard, as someone with the database's own tools could."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
        return
    inspector = inspect(connection)
    for table in inspector.get_table_names():
        for check in inspector.get_check_constraints(table):
            connection.exec_driver_sql(f'ALTER TABLE {table} DROP CONSTRAINT "{check["name"]}"')


def break_inserts(connection: Connection, table: str) -> None:
    """Make every INSERT into a table fail, saying "broken"; `mend_inserts` ends it."""
    if connection.dialect.name == "sqlite":
        what = "BEGIN SELECT RAISE(ABORT, 'broken'); END"
    else:
        body = "BEGIN RAISE EXCEPTION 'broken'; END"
        connection.exec_driver_sql(f"CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $${body}$$")
        what = "EXECUTE FUNCTION break()"
    connection.exec_driver_sql(f"CREATE TRIGGER broken BEFORE INSERT ON {table} {what}")


def mend_inserts(connection: Connection, table: str) -> None:
    """Let INSERTs into a table pass again."""
    where = "" if connection.dialect.name == "sqlite" else f" ON {table}"
    connection.exec_driver_sql(f"DROP TRIGGER broken{where}")
