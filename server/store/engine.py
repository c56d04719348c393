"""How the database is opened, made safe for money, and brought to the newest schema."""

from datetime import timedelta

from sqlalchemy import Connection, Engine, inspect, make_url, text
from sqlalchemy.exc import DBAPIError

from server.store.backend import backend_named
from server.store.errors import store_error_from
from server.store.migrations import alembic_config, newest_revision_id

BUSY_TIMEOUT = timedelta(seconds=2)
"""How long a transaction waits for another process's write lock before it is StoreBusyError."""
MIGRATION_PATIENCE = timedelta(seconds=30)
"""How long a server that starts waits for another one that is migrating, or still writing."""


def open_engine(url: str, *, busy_timeout: timedelta = BUSY_TIMEOUT) -> Engine:
    """Open a database for writing; a transaction takes the write lock when it begins.

    Args:
        url: `sqlite:///relative.db`, `sqlite:////absolute.db`, or `postgresql://user@host/database`.
        busy_timeout: how long a transaction waits for another process's write lock.

    Raises:
        ValueError: it is neither, or an SQLite database that is no file.
    """
    parsed = make_url(url)
    return backend_named(parsed.get_backend_name()).open(parsed, busy_timeout=busy_timeout, read_only=False)


def open_reader(engine: Engine) -> Engine:
    """Open the same database again, for connections that can only read, each transaction one consistent view."""
    return backend_named(engine.dialect.name).open(engine.url, busy_timeout=BUSY_TIMEOUT, read_only=True)


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision, in one transaction; does nothing when it is there already.

    Whether it is there is seen without Alembic, which takes as long to load as all the rest of a small command.

    Raises:
        StoreBusyError: another process held the write lock all the time.
        StoreFailedError: the database does not open, or a migration would leave rows without their parents.
    """
    try:
        if not _is_newest(engine):
            _upgrade(engine)
    except DBAPIError as error:
        raise store_error_from(error) from error


def touch(connection: Connection) -> None:
    """Make this transaction write, and change nothing: on a full disk an empty transaction would still commit."""
    backend_named(connection.dialect.name).touch(connection)


def _is_newest(engine: Engine) -> bool:
    reader = open_reader(engine)
    try:
        with reader.connect() as connection:  # a look needs no lock, which a busy server might keep us waiting for
            return _revision(connection) == newest_revision_id()
    finally:
        reader.dispose()


def _revision(connection: Connection) -> str | None:
    """Return the revision the database is at, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def _upgrade(engine: Engine) -> None:
    """Migrate behind the write lock; whoever waited for it finds that nothing is left to do."""
    from alembic import command  # noqa: PLC0415 - see `migrate`

    backend = backend_named(engine.dialect.name)
    migrating = backend.open_for_migration(engine.url, busy_timeout=MIGRATION_PATIENCE)
    try:
        with migrating.begin() as connection:
            command.upgrade(alembic_config(connection), "head")
            backend.check_migrated(connection)
    finally:
        migrating.dispose()
