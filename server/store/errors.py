"""What can go wrong between us and the database, in the store's own words."""

import sqlite3
from typing import ClassVar

from sqlalchemy.exc import DBAPIError

_PRIMARY_CODE = 0xFF  # extended SQLite codes keep the primary one in the low byte
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})


class StoreError(Exception):
    """Root of everything the store raises on purpose; nothing of the transaction was written."""

    reason: ClassVar[str] = "STORE_ERROR"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class StoreBusyError(StoreError):
    """The queue is full, or another process holds the database; the same request may work in a moment."""

    reason: ClassVar[str] = "STORE_BUSY"


class StoreFailedError(StoreError):
    """The database refused to write or read: disk full, file damaged, connection lost, store closed."""

    reason: ClassVar[str] = "STORE_FAILED"


class EventsMissedError(StoreError):
    """Events were pruned before this process had read them; what it knows is stale and only a new start mends it."""

    reason: ClassVar[str] = "STORE_EVENTS_MISSED"


def store_error_from(error: Exception) -> StoreError:
    """Return the database driver's complaint in our words, with the original as its cause.

    The driver's text names tables and conditions, never values: statements run with `hide_parameters`.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", None)
    kind = StoreBusyError if code is not None and code & _PRIMARY_CODE in _BUSY_CODES else StoreFailedError
    translated = kind(detail=str(original))
    translated.__cause__ = error
    return translated
