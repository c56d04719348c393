"""The database: how it is opened, written in groups, read, followed and migrated."""

from server.store.engine import migrate, open_engine, open_reader, touch
from server.store.errors import EventsMissedError, StoreBusyError, StoreError, StoreFailedError
from server.store.events import Event, EventFollower, announce
from server.store.prepared import Prepared
from server.store.unit_of_work import UnitOfWork

__all__ = [
    "Event",
    "EventFollower",
    "EventsMissedError",
    "Prepared",
    "StoreBusyError",
    "StoreError",
    "StoreFailedError",
    "UnitOfWork",
    "announce",
    "migrate",
    "open_engine",
    "open_reader",
    "touch",
]
