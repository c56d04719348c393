"""What can go wrong between us and the database, in the store's own words."""

import sqlite3
from typing import ClassVar

from sqlalchemy.exc import DBAPIError

_PRIMARY_CODE = 0xFF  # extended SQLite codes keep the primary one in the low byte
_BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BUSY_STATES = frozenset(
    {
        "55P03",  # lock_not_available: another writer, for longer than we wait
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "53300",  # too_many_connections
        "57P03",  # cannot_connect_now: it is starting or recovering
    }
)


class StoreError(Exception):
    """Root of everything the store raises on purpose; nothing of the transaction was written."""

    reason: ClassVar[str] = "STORE_ERROR"

    def __init__(self, *, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


class StoreBusyError(StoreError):
    """The queue is full, or another process holds the database; the same request may work in a moment."""

    reason: ClassVar[str] = "STORE_BUSY"


class WalkUnderWayError(StoreError):
    """Somebody walks through a whole table; one such walk at a time, so that the terminals are served meanwhile."""

    reason: ClassVar[str] = "STORE_WALK_UNDER_WAY"

    def __init__(self) -> None:
        super().__init__(detail="another walk through a whole table is under way")


class StoreFailedError(StoreError):
    """The database refused to write or read: disk full, file damaged, connection lost, store closed.

    When PostgreSQL's connection is lost during the commit itself, nobody can tell whether it happened; whoever asks
    again with the same transaction id learns it.
    """

    reason: ClassVar[str] = "STORE_FAILED"


class EventsMissedError(StoreError):
    """Events this process relied on are gone; what it knows is stale and only a new start mends it."""

    reason: ClassVar[str] = "STORE_EVENTS_MISSED"


def store_error_from(error: Exception) -> StoreError:
    """Return the database driver's complaint in our words, with the original as its cause.

    The driver's text names tables and conditions, never values: statements run with `hide_parameters`, and on
    PostgreSQL through a cursor that leaves the values out.
    """
    original = error.orig if isinstance(error, DBAPIError) else error
    kind = StoreBusyError if _is_busy(original) else StoreFailedError
    translated = kind(detail=str(original))
    translated.__cause__ = error
    return translated


def is_from_driver(error: BaseException) -> bool:
    """Return whether a database driver raised this itself, without SQLAlchemy between it and us."""
    return hasattr(error, "sqlite_errorcode") or hasattr(error, "sqlstate")


def _is_busy(original: BaseException | None) -> bool:
    code = getattr(original, "sqlite_errorcode", None)
    if code is not None:
        return code & _PRIMARY_CODE in _BUSY_CODES
    return getattr(original, "sqlstate", None) in _BUSY_STATES
