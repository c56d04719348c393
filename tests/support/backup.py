"""A backup of a whole database, on any engine, and what its restoration brings back: the past."""

from collections.abc import Callable

from sqlalchemy import Engine, delete, insert, select

from device_registry import metadata


def a_backup(engine: Engine) -> Callable[[], None]:
    """Copy every row; return what puts the database back to this moment, as if nothing had happened since."""
    with engine.begin() as connection:
        kept = {
            table: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in metadata.sorted_tables
        }

    def restore() -> None:
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
            for table, rows in kept.items():
                if rows:
                    connection.execute(insert(table), rows)

    return restore
