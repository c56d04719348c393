"""Something that keeps one of the database's lanes busy for as long as a test likes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import Connection


class Gate:
    """Work that lasts until it is let go."""

    def __init__(self) -> None:
        self.begun, self._open = threading.Event(), threading.Event()

    def work(self, _: Connection) -> str:
        """Say that it has begun, and last."""
        self.begun.set()
        self._open.wait(60)
        return "done"

    def open(self) -> None:
        """Let go."""
        self._open.set()


@asynccontextmanager
async def held(lane: Callable[[Callable[[Connection], str]], Awaitable[str]]) -> AsyncIterator["asyncio.Future[str]"]:
    """Keep a lane's thread busy."""
    gate = Gate()
    working: asyncio.Future[str] = asyncio.ensure_future(lane(gate.work))
    assert await asyncio.to_thread(gate.begun.wait, 30)
    try:
        yield working
    finally:
        gate.open()
        await asyncio.wait([working])
