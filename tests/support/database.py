"""Real databases for tests: migrated once per process, then copied."""

import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path

from sqlalchemy import Engine

from server.store import UnitOfWork, migrate, open_engine
from server.store.writer import Batch


def a_database(folder: Path, *, name: str = "shualian.db") -> Engine:
    """Return an engine on a fresh, migrated SQLite file in `folder`."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(_migrated())
    return open_engine(f"sqlite:///{path}")


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
