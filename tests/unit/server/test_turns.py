"""Whose frame comes next? One of each terminal in turn."""

import asyncio
from collections import Counter

import pytest

from server.faces.turns import FrameTurns


class Bench:
    """Sessions that always have another frame, and a worker that takes them one at a time."""

    def __init__(self, *, at_once: int = 1) -> None:
        self.turns = FrameTurns(at_once=at_once)
        self.looked_at: list[str] = []
        self.busy = self.busiest = 0
        self.enough = asyncio.Event()
        self.frames_max = 300

    async def frame_of(self, terminal_id: str) -> None:
        """Have one frame looked at."""
        async with self.turns.turn(terminal_id):
            self.busy += 1
            self.busiest = max(self.busiest, self.busy)
            self.looked_at.append(terminal_id)
            if len(self.looked_at) >= self.frames_max:
                self.enough.set()
            await asyncio.sleep(0)  # the work
            self.busy -= 1

    async def session(self, terminal_id: str) -> None:
        """Have frames looked at without end."""
        while True:
            await self.frame_of(terminal_id)

    async def run(self, *terminal_ids: str, frames: int = 300) -> Counter[str]:
        """Let these sessions compete; return how many frames of each terminal were looked at."""
        self.frames_max = frames
        sessions = [asyncio.create_task(self.session(terminal_id)) for terminal_id in terminal_ids]
        await self.enough.wait()
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        return Counter(self.looked_at[:frames])


async def test_i11_a_terminal_with_two_sessions_gets_no_more_than_one_with_one() -> None:
    shares = await Bench().run("greedy", "greedy", "modest")

    assert abs(shares["greedy"] - shares["modest"]) <= 2


async def test_i11_among_many_terminals_each_gets_its_share() -> None:
    shares = await Bench(at_once=2).run("a", "a", "b", "c", "c", "d", frames=400)

    assert all(abs(share - 100) <= 3 for share in shares.values())
    assert len(shares) == 4


async def test_no_more_are_looked_at_at_once_than_there_are_workers() -> None:
    bench = Bench(at_once=2)
    await bench.run("a", "b", "c", "d")

    assert bench.busiest == 2


@pytest.mark.parametrize("when", range(6))
async def test_a_session_that_is_cut_while_it_waits_takes_nobodys_turn(when: int) -> None:
    bench = Bench()
    tasks = [asyncio.create_task(bench.frame_of(name)) for name in ("a", "b", "b", "c")]
    for _ in range(when):
        await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert set(bench.looked_at) >= {"a", "c"}
    assert bench.turns.waiting == 0
    await asyncio.wait_for(bench.frame_of("d"), timeout=30)


async def test_an_error_in_a_turn_passes_the_turn_on() -> None:
    turns = FrameTurns(at_once=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="bad frame"):
            async with turns.turn("a"):
                raise ValueError("bad frame")
