"""Is what was deleted gone from the disk too, and not just from what queries see?"""

import mmap
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import DBAPICursor

from face_pipeline.template_keys import KEY_ID_BYTES
from face_pipeline.templates import FORMAT, FORMAT_UNNAMED, HEAD

_MODEL_LENGTH_MAX: Final = 512
_HEAD_BYTES_MAX: Final = 1 + KEY_ID_BYTES + HEAD.size + _MODEL_LENGTH_MAX
_AGAIN_AFTER_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """How far the engine went."""

    is_complete: bool
    """Whether the files of the database were brought up to date; a reader may hold an older state for a while."""


def scrub(engine: Engine, *, patience: timedelta = timedelta(seconds=2)) -> Scrubbed:
    """Have the engine overwrite what was deleted, as far as it does that.

    SQLite overwrites deleted rows with zeros (`secure_delete`), but the log keeps the older pages until it is copied
    back and cut. PostgreSQL frees the row for new ones; its log, pages and backups keep the encrypted bytes a while.
    """
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        if engine.dialect.name == "sqlite":
            return Scrubbed(is_complete=_log_is_cut(cursor, time.monotonic() + patience.total_seconds()))
        driver: Any = connection.driver_connection
        driver.autocommit = True  # VACUUM runs in no transaction
        cursor.execute("VACUUM face_templates")
        driver.autocommit = False
        return Scrubbed(is_complete=True)
    finally:
        connection.close()


def _log_is_cut(cursor: DBAPICursor, deadline: float) -> bool:
    """Copy SQLite's log back and cut it to nothing; whoever reads an older state keeps it until they are done."""
    while True:
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        is_busy, *_ = cursor.fetchone() or (1,)
        if not is_busy or time.monotonic() > deadline:
            return not is_busy
        time.sleep(_AGAIN_AFTER_SECONDS)


def template_remnants(engine: Engine, person_id: str) -> int | None:
    """Return in how many places of the database's files a sealed template of this person begins.

    None on an engine whose files are not ours to read. A row begins with the person's id; the sealed bytes follow.
    """
    if engine.dialect.name != "sqlite":
        return None
    path = Path(str(engine.url.database))
    return sum(_beginnings(file, person_id.encode()) for file in (path, path.with_name(path.name + "-wal")))


def _beginnings(path: Path, person_id: bytes) -> int:
    if not path.exists() or not path.stat().st_size:
        return 0
    found = 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(person_id)
        while at >= 0:
            start = at + len(person_id)
            found += _is_beginning(content[start : start + _HEAD_BYTES_MAX])
            at = content.find(person_id, at + 1)
    return found


def _is_beginning(after: bytes) -> bool:
    """Return whether these bytes begin as a sealed template does: format, key, length and name of the model."""
    head = {FORMAT_UNNAMED: 1, FORMAT: 1 + KEY_ID_BYTES}.get(after[:1])
    if head is None or len(after) < head + HEAD.size:
        return False
    (length,) = HEAD.unpack_from(after, head)
    model = after[head + HEAD.size : head + HEAD.size + length]
    return 0 < length <= _MODEL_LENGTH_MAX and len(model) == length and model.isascii() and model.decode().isprintable()
