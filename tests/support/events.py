"""Someone who hears events, for tests of how changes travel."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from server.store import Event, EventFollower, UnitOfWork


class Ear:
    """Hears events and can be waited for."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._woken = asyncio.Event()

    async def hear(self, found: Sequence[Event]) -> None:
        """Take what the follower hands on."""
        self.heard += [event.subject for event in found]
        self._woken.set()

    async def until(self, count: int) -> list[str]:
        """Wait for so many events and return their subjects."""
        async with asyncio.timeout(30):
            while len(self.heard) < count:
                self._woken.clear()
                await self._woken.wait()
        return self.heard


@asynccontextmanager
async def a_follower(unit_of_work: UnitOfWork, ear: Ear, *, poll_interval: timedelta) -> AsyncIterator[EventFollower]:
    """Follow from now on, for the length of a test."""
    follower = EventFollower(unit_of_work, poll_interval=poll_interval, on_events=ear.hear)
    await follower.mark()
    following = asyncio.ensure_future(follower.run())
    try:
        yield follower
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
