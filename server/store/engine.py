"""How the database is opened, made safe for money, and brought to the newest schema."""

import os
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from server.store.migrations import alembic_config, newest_revision_id

BUSY_TIMEOUT = timedelta(seconds=2)
"""How long a transaction waits for another process's write lock before it is StoreBusyError."""
_GLANCE = timedelta(milliseconds=3)
"""How long SQLite itself waits for the write lock. It looks again after 1, 2, 5 ms, but soon only every 100 ms, and so
never meets a lock that a busy server frees for a few ms; asked anew each 3 ms it keeps looking often."""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",  # readers never wait for the writer
    "PRAGMA synchronous=FULL",  # I5: what was acknowledged survives a power cut
    "PRAGMA foreign_keys=ON",
    # The commit that fills the log to 1,000 pages (SQLite's default) copies it back; 4,000 and 16,000 were measured
    # with settlements and are no faster. A log that a long reader made larger shrinks to 32 MB again.
    "PRAGMA journal_size_limit=33554432",
    "PRAGMA secure_delete=ON",  # a deleted face or name is overwritten, not just unlinked; no cost was measurable
)


def open_engine(url: str, *, busy_timeout: timedelta = BUSY_TIMEOUT) -> Engine:
    """Open a database for writing; a transaction takes the write lock when it begins.

    Args:
        url: `sqlite:///relative.db` or `sqlite:////absolute.db`. A new file is readable by its owner alone.
        busy_timeout: how long a transaction waits for another process's write lock.
    """
    return _open(make_url(url), busy_timeout=busy_timeout, read_only=False)


def open_reader(engine: Engine) -> Engine:
    """Open the same database again, for connections that can only read, each transaction one consistent view."""
    return _open(engine.url, busy_timeout=BUSY_TIMEOUT, read_only=True)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision, in one transaction; does nothing when it is there already.

    Whether it is there is seen without Alembic, which takes as long to load as all the rest of a small command.
    """
    reader = open_reader(engine)
    with reader.connect() as connection:  # a look needs no lock, which a busy server might keep us waiting for
        is_newest = _revision(connection) == newest_revision_id()
    reader.dispose()
    if is_newest:
        return
    with engine.begin() as connection:
        from alembic import command  # noqa: PLC0415 - see above

        command.upgrade(alembic_config(connection), "head")


def _revision(connection: Connection) -> str | None:
    """Return the revision the database is at, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def touch(connection: Connection) -> None:
    """Write one page and change nothing: on a full disk an empty transaction would still commit."""
    connection.exec_driver_sql("PRAGMA user_version = 1")


def _open(url: URL, *, busy_timeout: timedelta, read_only: bool) -> Engine:
    if url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"}:
        raise ValueError("the database must be an SQLite file: writer and readers share it")
    if not read_only:
        _create_private(Path(str(url.database)))
    engine = create_engine(
        url,
        hide_parameters=True,  # an error's text ends up in logs, and parameters are people (I7)
        max_overflow=-1,  # threads are bounded where they are made
        # isolation_level None: the driver begins nothing by itself, so that BEGIN IMMEDIATE and SAVEPOINT are ours.
        connect_args={
            "timeout": (busy_timeout if read_only else min(busy_timeout, _GLANCE)).total_seconds(),
            "isolation_level": None,
        },
    )

    @event.listens_for(engine, "connect")
    def prepare(driver_connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = driver_connection.cursor()
        for pragma in (*_PRAGMAS, f"PRAGMA query_only={int(read_only)}"):
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        if read_only:
            connection.exec_driver_sql("BEGIN")
        elif not _has_lock(connection, time.monotonic() + busy_timeout.total_seconds()):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last try; its failure is the transaction's

    return engine


def _has_lock(connection: Connection, deadline: float) -> bool:
    """Try for the write lock until the deadline; return whether the transaction has begun."""
    cursor = connection.connection.cursor()
    try:
        while time.monotonic() < deadline:
            try:
                cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    return False  # the last try says it in SQLAlchemy's words
            else:
                return True
    finally:
        cursor.close()
    return False


def _create_private(path: Path) -> None:
    """Make the file before SQLite does, with mode 0600, which its log and index files inherit."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
