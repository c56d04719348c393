"""What does a transaction tell all processes when it commits? An outbox, written in the transaction itself."""

from sqlalchemy import Connection, func, insert, select

from server.store.tables.events import events

_ANNOUNCED = "shualian_announced"
_NEXT_ID = select(func.coalesce(func.max(events.c.event_id), 0) + 1).scalar_subquery()


def announce(connection: Connection, topic: str, subject: str) -> None:
    """Tell all processes that something changed, if and when this transaction commits.

    The id is one more than the newest. There is one writer, so no two take the same; and unlike a sequence's, which
    PostgreSQL does not give back on a rollback, ids have no gaps: a gap always means that events were pruned.
    """
    connection.execute(insert(events).values(event_id=_NEXT_ID, topic=topic, subject=subject))
    connection.info[_ANNOUNCED] = True


def is_announcing(connection: Connection) -> bool:
    """Return whether anything was announced on this connection and not yet taken."""
    return _ANNOUNCED in connection.info


def take_announced(connection: Connection) -> bool:
    """Return whether anything was announced on this connection since the last time it was asked."""
    return bool(connection.info.pop(_ANNOUNCED, False))
