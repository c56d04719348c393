"""How a change made in one process reaches the memory of every other: each follows the outbox of `announcements.py`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, delete, func, select

from server.store.errors import EventsMissedError, StoreError
from server.store.tables.events import events

if TYPE_CHECKING:
    from server.store.unit_of_work import UnitOfWork

KEPT_MAX = 10_000
"""Events that stay in the table; a follower further behind is told that it missed some."""
FETCH_MAX = 500
"""Events read at once; a longer backlog comes in several helpings."""
PRUNE_EVERY = timedelta(minutes=1)
PRUNE_MAX = 1_000
"""Events removed at once, so that pruning never holds the writer for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something changed; look it up again."""

    event_id: int
    topic: str
    """What kind of thing: "terminal" (its standing), "command" (its outbox)."""
    subject: str
    """Which one."""


_NONE_YET: Final = Event(event_id=0, topic="", subject="")


def prune(connection: Connection, *, kept_max: int = KEPT_MAX) -> int:
    """Remove the oldest events beyond `kept_max`, at most `PRUNE_MAX` of them, and return how many went.

    The newest one stays whatever `kept_max` says: the next id is counted from it.
    """
    newest = _newest_id(connection)
    oldest = connection.scalar(select(func.min(events.c.event_id)))
    if oldest is None:
        return 0
    last = min(newest - max(kept_max, 1), oldest + PRUNE_MAX - 1)
    return connection.execute(delete(events).where(events.c.event_id <= last)).rowcount


class EventFollower:
    """Reads new events as they come and hands them on, in order, each at least once.

    It is woken at once by commits of our own, and on PostgreSQL by those of every other process. Where nobody tells it
    (SQLite, a connection that was lost) it polls, which is one look-up at the end of an index.
    """

    def __init__(
        self,
        unit_of_work: "UnitOfWork",
        *,
        poll_interval: timedelta,
        on_events: Callable[[Sequence[Event]], Awaitable[None]],
        prune_every: timedelta = PRUNE_EVERY,
    ) -> None:
        self._unit_of_work: Final = unit_of_work
        self._poll_interval: Final = poll_interval
        self._on_events: Final = on_events
        self._prune_every: Final = prune_every
        self._woken: Final = asyncio.Event()
        self._last: Event | None = None
        self._polled_at = self._pruned_at = time.monotonic()
        unit_of_work.after_commit(self._woken.set)

    @property
    def lag(self) -> float:
        """Seconds since all that was committed had been read and handed on; readiness looks at it."""
        return time.monotonic() - self._polled_at

    async def mark(self) -> None:
        """Remember the newest event; call it before loading what the events are about, so that none falls between."""
        self._last = await self._unit_of_work.read_at_once(_newest)

    async def run(self) -> None:
        """Follow until cancelled. While the database fails the lag grows, and the next poll tries again.

        Raises:
            EventsMissedError: it fell so far behind that events were pruned unread, or the database was set back.
        """
        while True:
            try:
                await self._poll()
                await self._prune_if_due()
            except EventsMissedError:
                raise
            except StoreError:
                pass  # not silent: readiness watches the lag
            await self._wait()

    async def _poll(self) -> None:
        if self._last is None:
            await self.mark()
        while found := await self._unit_of_work.read_at_once(partial(_events_after, last=self._last or _NONE_YET)):
            await self._on_events(found)
            self._last = found[-1]
        self._polled_at = time.monotonic()

    async def _prune_if_due(self) -> None:
        if time.monotonic() - self._pruned_at < self._prune_every.total_seconds():
            return
        self._pruned_at = time.monotonic()
        await self._unit_of_work.write(prune)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._poll_interval.total_seconds()):
                await self._woken.wait()
        except TimeoutError:
            return
        self._woken.clear()


def _newest_id(connection: Connection) -> int:
    return connection.scalar(select(func.max(events.c.event_id))) or 0


def _newest(connection: Connection) -> Event:
    row = connection.execute(select(events).order_by(events.c.event_id.desc()).limit(1)).first()
    return _NONE_YET if row is None else Event(event_id=row.event_id, topic=row.topic, subject=row.subject)


def _events_after(connection: Connection, last: Event) -> list[Event]:
    """Return what follows an event, which must still be there.

    It is gone when it was pruned, and also when the database was set back under us: restored, or failed over to a copy
    that had not heard of it yet. Ids then begin again below ours, and what we remember is nobody's truth any more.
    """
    rows = connection.execute(
        select(events).where(events.c.event_id >= last.event_id).order_by(events.c.event_id).limit(FETCH_MAX + 1)
    ).all()
    found = [Event(event_id=row.event_id, topic=row.topic, subject=row.subject) for row in rows]
    if last is _NONE_YET:
        is_whole = not found or found[0].event_id == 1
        return found if is_whole else _missed(last)
    return found[1:] if found and found[0] == last else _missed(last)


def _missed(last: Event) -> list[Event]:
    raise EventsMissedError(detail=f"event {last.event_id}, or the one after it, is gone")
