"""How a change made in one process reaches the memory of every other: an outbox that each of them follows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, delete, func, insert, select

from server.store.errors import EventsMissedError, StoreError
from server.store.tables.events import events

if TYPE_CHECKING:
    from server.store.unit_of_work import UnitOfWork

_ANNOUNCED = "shualian_announced"
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


def announce(connection: Connection, topic: str, subject: str) -> None:
    """Tell all processes that something changed, if and when this transaction commits."""
    connection.execute(insert(events).values(topic=topic, subject=subject))
    connection.info[_ANNOUNCED] = True


def take_announced(connection: Connection) -> bool:
    """Return whether anything was announced on this connection since the last time it was asked."""
    return bool(connection.info.pop(_ANNOUNCED, False))


def prune(connection: Connection, *, kept_max: int = KEPT_MAX) -> int:
    """Remove the oldest events beyond `kept_max`, at most `PRUNE_MAX` of them, and return how many went."""
    newest = _newest_id(connection)
    oldest = connection.scalar(select(func.min(events.c.event_id)))
    if oldest is None:
        return 0
    last = min(newest - kept_max, oldest + PRUNE_MAX - 1)
    return connection.execute(delete(events).where(events.c.event_id <= last)).rowcount


class EventFollower:
    """Reads new events as they come and hands them on, in order, each at least once.

    It polls, because the writer may be another process (the CLI), and is woken at once by commits of our own. A poll is
    one look-up at the end of an index, which works the same on every engine.
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
        self._last_id: int | None = None
        self._polled_at = self._pruned_at = time.monotonic()
        unit_of_work.after_commit(self._woken.set)

    @property
    def lag(self) -> float:
        """Seconds since all that was committed had been read and handed on; readiness looks at it."""
        return time.monotonic() - self._polled_at

    async def mark(self) -> None:
        """Remember the newest event; call it before loading what the events are about, so that none falls between."""
        self._last_id = await self._unit_of_work.read(_newest_id)

    async def run(self) -> None:
        """Follow until cancelled. While the database fails the lag grows, and the next poll tries again.

        Raises:
            EventsMissedError: it fell so far behind that events were pruned unread.
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
        if self._last_id is None:
            await self.mark()
        while found := await self._unit_of_work.read(partial(_events_after, last_id=self._last_id or 0)):
            await self._on_events(found)
            self._last_id = found[-1].event_id
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


def _events_after(connection: Connection, last_id: int) -> list[Event]:
    rows = connection.execute(
        select(events).where(events.c.event_id > last_id).order_by(events.c.event_id).limit(FETCH_MAX)
    ).all()
    if rows and (connection.scalar(select(func.min(events.c.event_id))) or 0) > last_id + 1:
        raise EventsMissedError(detail=f"events after {last_id} are gone")
    return [Event(event_id=row.event_id, topic=row.topic, subject=row.subject) for row in rows]
