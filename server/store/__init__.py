"""The database: how it is opened, written in groups, read, followed and migrated."""

from server.store.announcements import announce
from server.store.engine import migrate, open_engine, open_reader, touch
from server.store.errors import EventsMissedError, StoreBusyError, StoreError, StoreFailedError, WalkUnderWayError
from server.store.events import Event, EventFollower
from server.store.unit_of_work import WALK_PATIENCE, UnitOfWork

__all__ = [
    "WALK_PATIENCE",
    "Event",
    "EventFollower",
    "EventsMissedError",
    "StoreBusyError",
    "StoreError",
    "StoreFailedError",
    "UnitOfWork",
    "WalkUnderWayError",
    "announce",
    "migrate",
    "open_engine",
    "open_reader",
    "touch",
]
