"""What differs between the engines that can hold our books, and which of them a URL names."""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Protocol

from sqlalchemy import URL, Connection, Engine


class Listener(Protocol):
    """Hears from the database that somebody committed an event."""

    def close(self) -> None:
        """Stop listening; returns when nothing will be heard any more."""


class Backend(Protocol):
    """One kind of database."""

    def open(self, url: URL, *, busy_timeout: timedelta, read_only: bool) -> Engine:
        """Return an engine whose write transactions begin with the write lock, or whose connections cannot write.

        Raises:
            ValueError: the URL is not one this engine can serve us with.
        """

    def open_for_migration(self, url: URL, *, busy_timeout: timedelta) -> Engine:
        """Return an engine whose transaction may drop and make tables anew."""

    def check_migrated(self, connection: Connection) -> None:
        """Look, before the commit, for what a migration may have broken.

        Raises:
            StoreFailedError: it has; nothing may be committed.
        """

    def touch(self, connection: Connection) -> None:
        """Make this transaction's commit write to the disk, and change nothing."""

    def listen(self, url: URL, on_heard: Callable[[], None]) -> Listener | None:
        """Have `on_heard` called, in a thread, after commits that announced an event; None where nobody can tell."""


@cache
def backend_named(name: str) -> Backend:
    """Return the backend for SQLAlchemy's name of it; a driver is loaded when it is needed, which saves a command time.

    Raises:
        ValueError: we do not support it.
    """
    if name == "sqlite":
        from server.store.sqlite import SqliteBackend  # noqa: PLC0415 - see above

        return SqliteBackend()
    if name == "postgresql":
        from server.store.postgresql import PostgresqlBackend  # noqa: PLC0415 - see above

        return PostgresqlBackend()
    raise ValueError(f"the database must be an SQLite file or PostgreSQL, not {name}")
