"""PostgreSQL as our database: many machines, and still one writer at a time.

Every write transaction begins with one advisory lock, so that code which reads and then writes is exactly as right as
behind SQLite's BEGIN IMMEDIATE; group commit pays for it (docs/decisions/0004-one-writer-on-postgresql.md).
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, Self

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from server.store.announcements import is_announcing
from server.store.listener import PostgresqlListener

WRITE_LOCK: Final = int.from_bytes(b"shualian")
"""The advisory lock that every writer of this database takes: a number of ours, within the 63 bits there are."""
CHANNEL: Final = "shualian_events"
"""Where a commit that announced an event is heard."""

_IDLE_WRITER_MAX = timedelta(seconds=60)
"""A writer that says nothing for so long inside its transaction is cut off by the server: it holds everybody's lock."""
_CLOSE_TO_HOME = {
    "connect_timeout": "5",  # seconds
    # A host that vanished without a word is noticed within half a minute, not after the kernel's two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",  # milliseconds
    "fallback_application_name": "shualian",
}
_POOL_SIZE = 16
"""Connections kept open; threads are bounded where they are made, and a connection above this is closed after use."""
_ALL_SESSIONS = {
    "synchronous_commit": "on",  # I5: what was acknowledged survives a power cut, whatever the server's default is
    "client_encoding": "UTF8",
    # The server, too, must notice a client that vanished: it may hold the lock.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_READERS = {
    "default_transaction_isolation": "repeatable read",  # one consistent view
    "default_transaction_read_only": "on",
}


class PostgresqlBackend:
    """The engine for more than one machine."""

    def open(self, url: URL, *, busy_timeout: timedelta, read_only: bool) -> Engine:
        """Return an engine; a password comes from libpq's password file, never from the URL's text."""
        engine = create_engine(
            with_driver(url),
            hide_parameters=True,  # an error's text ends up in logs, and parameters are people (I7)
            pool_size=_POOL_SIZE,
            max_overflow=-1,
            pool_pre_ping=True,  # a database that was restarted costs the batch that was in it, not the next ones too
            connect_args={**_CLOSE_TO_HOME, "cursor_factory": DiscreetCursor},
        )
        settings = _ALL_SESSIONS | (_READERS if read_only else _writers(busy_timeout))

        @event.listens_for(engine, "connect")
        def prepare(driver_connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
            cursor = driver_connection.cursor()
            for name, value in settings.items():
                cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
            cursor.close()
            driver_connection.commit()  # else a later rollback would take the settings with it

        if not read_only:
            event.listen(engine, "begin", _take_write_lock)
            event.listen(engine, "commit", _tell_who_listens)
        return engine

    def open_for_migration(self, url: URL, *, busy_timeout: timedelta) -> Engine:
        """Return an engine like any writer's: PostgreSQL alters a table in its place."""
        return self.open(url, busy_timeout=busy_timeout, read_only=False)

    def check_migrated(self, connection: Connection) -> None:
        """Look for nothing: constraints were never off."""

    def touch(self, connection: Connection) -> None:
        """Write a message that nobody reads to the log; it gives the transaction an id, and so its commit a flush."""
        connection.exec_driver_sql("SELECT pg_logical_emit_message(true, 'shualian', '')")

    def listen(self, url: URL, on_heard: Callable[[], None]) -> PostgresqlListener:
        """Listen on a connection of its own, which comes back by itself."""
        dsn: dict[str, Any] = {**_CLOSE_TO_HOME, **with_driver(url).translate_connect_args(username="user")}
        dsn |= {"dbname": dsn.pop("database", None), **url.query}
        return PostgresqlListener(
            connect=lambda: psycopg.connect(**dsn, autocommit=True), channel=CHANNEL, on_heard=on_heard
        )


class DiscreetCursor(psycopg.Cursor[Any]):
    """A cursor whose errors do not repeat the values they are about.

    PostgreSQL explains a broken constraint with "Key (name)=(…) already exists", and that would reach our logs (I7).
    """

    def execute(self, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 - psycopg's signature, whatever it is
        """Run a statement."""
        try:
            return super().execute(*args, **kwargs)
        except psycopg.Error as error:
            _forget_values(error)
            raise

    def executemany(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as above
        """Run a statement many times."""
        try:
            super().executemany(*args, **kwargs)
        except psycopg.Error as error:
            _forget_values(error)
            raise


def with_driver(url: URL) -> URL:
    """Return the URL with the one driver that we use."""
    return url.set(drivername="postgresql+psycopg")


def _forget_values(error: psycopg.Error) -> None:
    """Leave of an error's text what cannot hold a value; of a data error (class 22) not even the sentence."""
    if error.sqlstate is None:  # the connection's own words, or the driver's about a value it could not send
        if isinstance(error, psycopg.DataError):
            error.args = ("a value cannot be stored",)
        return
    sentence = "a value cannot be stored" if error.sqlstate.startswith("22") else error.diag.message_primary
    error.args = (f"{sentence} ({error.sqlstate})",)


def _writers(busy_timeout: timedelta) -> dict[str, str]:
    return {
        "default_transaction_isolation": "read committed",  # after the lock each statement sees all that is committed
        "default_transaction_read_only": "off",
        "lock_timeout": f"{max(1, round(busy_timeout.total_seconds() * 1000))}ms",
        "idle_in_transaction_session_timeout": f"{round(_IDLE_WRITER_MAX.total_seconds() * 1000)}ms",
    }


def _take_write_lock(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")


def _tell_who_listens(connection: Connection) -> None:
    """Notify at the commit, once however many events it has; PostgreSQL delivers it only if the commit succeeds."""
    if is_announcing(connection):
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
