"""Whose frame is looked at next? That of the terminal that had least so far, however many it has waiting (I11)."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

REMEMBERED_MAX = 256
"""Terminals that are remembered beyond those that wait; who had no more than everybody else need not be."""


class FrameTurns:
    """So many frames are looked at at once; the others wait, terminal by terminal.

    A terminal with two sessions waits twice as long for each of them: the share is a terminal's, not a session's. How
    many can wait is bounded by the sessions there are, each of which waits with one frame.
    """

    def __init__(self, *, at_once: int) -> None:
        self._free = at_once
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._had: dict[str, int] = {}
        self._round = 0
        """What whoever was served last had until then: who comes anew begins there, and has nothing saved up."""

    @property
    def waiting(self) -> int:
        """How many frames wait for their turn."""
        return sum(len(places) for places in self._waiting.values())

    @asynccontextmanager
    async def turn(self, terminal_id: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while the block runs."""
        if self._free:
            self._free -= 1
            self._serve(terminal_id)
        else:
            await self._wait(terminal_id)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, terminal_id: str) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(terminal_id, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._pass_on()  # the turn came in the moment of leaving
            raise

    def _pass_on(self) -> None:
        """Give the turn to the terminal that had least."""
        while self._waiting:
            terminal_id = min(self._waiting, key=self._tally)
            places = self._waiting[terminal_id]
            place = places.popleft()
            if not places:
                del self._waiting[terminal_id]
            if not place.done():  # else its session was cut
                self._serve(terminal_id)
                place.set_result(None)
                return
        self._free += 1

    def _tally(self, terminal_id: str) -> int:
        return max(self._had.get(terminal_id, 0), self._round)

    def _serve(self, terminal_id: str) -> None:
        self._round = self._tally(terminal_id)
        self._had[terminal_id] = self._round + 1
        if len(self._had) > REMEMBERED_MAX:
            self._had = {each: had for each, had in self._had.items() if had > self._round}
