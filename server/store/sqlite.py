"""SQLite as our database: one file, readers beside one writer, each commit on the disk."""

import os
import sqlite3
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from server.store.errors import StoreFailedError

_GLANCE = timedelta(milliseconds=3)
"""How long SQLite itself waits for the write lock. It looks again after 1, 2, 5 ms, but soon only every 100 ms, and so
never meets a lock that a busy server frees for a few ms; asked anew each 3 ms it keeps looking often."""

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",  # readers never wait for the writer
    "PRAGMA synchronous=FULL",  # I5: what was acknowledged survives a power cut
    # The commit that fills the log to 1,000 pages (SQLite's default) copies it back; 4,000 and 16,000 were measured
    # with settlements and are no faster. A log that a long reader made larger shrinks to 32 MB again.
    "PRAGMA journal_size_limit=33554432",
    "PRAGMA secure_delete=ON",  # a deleted face or name is overwritten, not just unlinked; no cost was measurable
)

_UNDO_IN_MEMORY = "PRAGMA temp_store=MEMORY"
"""A savepoint keeps the pages it changes as they were. Beyond 64 KiB of them, about one settlement, SQLite puts them in
a file in the system's temporary folder: no place for them, and 50 of a settlement's 225 microseconds in SQLite."""


class SqliteBackend:
    """The embedded default."""

    def open(self, url: URL, *, busy_timeout: timedelta, read_only: bool) -> Engine:
        """Open the file; a new one is readable by its owner alone."""
        return _open(url, busy_timeout=busy_timeout, read_only=read_only, migrating=False)

    def open_for_migration(self, url: URL, *, busy_timeout: timedelta) -> Engine:
        """Open the file with foreign keys off.

        A table is altered by copying it and dropping the old one. With foreign keys on, the drop would first delete its
        rows, and fail on, or cascade to, whatever refers to them. Inside of a transaction they cannot be turned off.
        """
        return _open(url, busy_timeout=busy_timeout, read_only=False, migrating=True)

    def check_migrated(self, connection: Connection) -> None:
        """Look for rows whose parent is gone: nobody checked while foreign keys were off."""
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if orphans:
            tables = ", ".join(sorted({row[0] for row in orphans}))
            raise StoreFailedError(detail=f"the migration would leave {len(orphans)} rows without a parent in {tables}")

    def touch(self, connection: Connection) -> None:
        """Write one page."""
        connection.exec_driver_sql("PRAGMA user_version = 1")

    def listen(self, url: URL, on_heard: Callable[[], None]) -> None:  # noqa: ARG002 - the port's signature
        """Return None: SQLite tells nobody, followers poll."""
        return


def _open(url: URL, *, busy_timeout: timedelta, read_only: bool, migrating: bool) -> Engine:
    if url.database in {None, "", ":memory:"}:
        raise ValueError("the database must be a file: writer and readers share it")
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
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.execute(f"PRAGMA foreign_keys={int(not migrating)}")
        cursor.execute(f"PRAGMA query_only={int(read_only)}")
        if not read_only and not migrating:  # these two may sort more than memory should hold
            cursor.execute(_UNDO_IN_MEMORY)
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
