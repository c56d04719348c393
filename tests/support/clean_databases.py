"""Which PostgreSQL database does a test get? A copy of one that was migrated; emptied after it, it serves the next.

To copy one is three hundred files, the dearest thing that a test of the store does; to empty one is a few.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import psycopg

from server.store import migrate, open_engine
from tests.support.postgres import PostgresServer

_TEMPLATE = "migrated"
_SHAPES = (
    "pg_attrdef", "pg_attribute", "pg_constraint", "pg_extension", "pg_index", "pg_proc", "pg_trigger", "pg_type",
    "alembic_version",
)  # fmt: skip
"""Where a change of the schema leaves a row that is newer, or one less; emptying a table leaves none."""


class CleanDatabases:
    """The databases of one server: migrated, empty, and each for one test at a time."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self._free: list[str] = []
        engine = open_engine(server.create(_TEMPLATE))
        migrate(engine)
        engine.dispose()
        with server.connect(_TEMPLATE) as connection:
            self._shape = _shape(connection)
            self._tables = [name for (name,) in _rows(connection, _TABLES)]

    def lend(self) -> str:
        """Return the name of one that nobody else has; no test before had one of this name."""
        name = f"test_{next(self._numbers)}"
        if self._free:
            self._rename(self._free.pop(), name)
        else:
            self._server.create(name, template=_TEMPLATE)
        return name

    def take_back(self, name: str) -> None:
        """Empty it for the next; one whose schema a test has changed is dropped, as the test itself may have done."""
        if not self._server.run(f"SELECT oid FROM pg_database WHERE datname = '{name}'"):  # noqa: S608 - our own name
            return
        free = f"{name}_free"
        self._rename(name, free)  # whatever a test has left running does not find it any more
        with self._server.connect(free) as connection:
            is_whole = _shape(connection) == self._shape
            if is_whole:
                self._empty(connection)
        if is_whole:
            self._free.append(free)
        else:
            self._server.drop(free)

    def _rename(self, name: str, new: str) -> None:
        self._server.disconnect(name)
        self._server.run(f"ALTER DATABASE {name} RENAME TO {new}")

    def _empty(self, connection: psycopg.Connection[Any]) -> None:
        """Give every table that has rows new, empty files, so that nothing of a test is left on the disk either."""
        has_rows = ", ".join(f"CASE WHEN EXISTS (SELECT FROM {table}) THEN '{table}' END" for table in self._tables)
        ((used,),) = _rows(connection, f"SELECT array_remove(ARRAY[{has_rows}], NULL)")
        if used:
            connection.execute(f"TRUNCATE {', '.join(used)} CASCADE".encode())
        connection.execute("SELECT setval(sequencename::regclass, 1, false) FROM pg_sequences")


_TABLES = """
SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY tablename
"""


def _shape(connection: psycopg.Connection[Any]) -> Sequence[tuple[Any, ...]]:
    """Return what differs once a table, a column, a check, a trigger or a function is made, changed or removed."""
    newest = (f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in _SHAPES)  # noqa: S608
    return _rows(connection, " UNION ALL ".join(newest))


def _rows(connection: psycopg.Connection[Any], statement: str) -> Sequence[tuple[Any, ...]]:
    return connection.execute(statement.encode()).fetchall()
