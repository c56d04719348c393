"""A process has many lives: killed, stopped, starved of disk, and never left behind."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from server.checker.actors import Actor
from server.programs import StepFailedError

ECHO = """
import json, sys
print(json.dumps({"event": "open"}), flush=True)
for line in sys.stdin:
    try:
        with open(sys.argv[1], "a") as file:
            file.write(line * 1000)
        print(json.dumps({"event": "wrote"}), flush=True)
    except OSError:
        print(json.dumps({"event": "full"}), flush=True)
"""
SECONDS_MAX = 30.0


class Heard:
    """What a process said."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._came = asyncio.Event()

    def __call__(self, said: dict[str, Any]) -> None:
        """Take one line."""
        self.events.append(said["event"])
        self._came.set()

    async def next(self, count: int) -> list[str]:
        """Return the events once there are so many."""
        async with asyncio.timeout(SECONDS_MAX):
            while len(self.events) < count:
                self._came.clear()
                await self._came.wait()
        return self.events


def an_actor(folder: Path, heard: Heard, *, program: Sequence[str] = (ECHO, "grows")) -> Actor:
    script, *arguments = program
    return Actor(
        "till-1",
        lambda: [sys.executable, "-c", script, *(str(folder / argument) for argument in arguments)],
        env=dict(os.environ),
        log=folder / "log",
        on_line=heard,
    )


async def test_a_killed_process_comes_back_as_another_one(tmp_path: Path) -> None:
    actor = an_actor(tmp_path, Heard())
    await actor.start()
    first = actor.pid
    actor.kill()
    code = await actor.ended()
    was_up = actor.is_up
    await actor.start()
    second = actor.pid
    await actor.stop()

    assert (code, was_up) == (-9, False)
    assert first != second
    assert actor.lives == 2
    assert not actor.is_running


async def test_a_process_on_a_full_disk_writes_nothing_until_there_is_room_again(tmp_path: Path) -> None:
    heard = Heard()
    actor = an_actor(tmp_path, heard)
    await actor.start()
    with actor.disk_full(4_096):
        await actor.write("a line of text")
        full = list(await heard.next(2))
    await actor.write("a line of text")
    wrote = list(await heard.next(3))
    actor.close_input()

    assert await actor.ended() == 0
    assert (full, wrote) == (["open", "full"], ["open", "full", "wrote"])


async def test_a_process_that_does_not_come_up_is_told_with_its_last_words(tmp_path: Path) -> None:
    actor = an_actor(tmp_path, Heard(), program=("import sys; sys.exit('no such key')",))

    with pytest.raises(StepFailedError, match="no such key"):
        await actor.start()
    await actor.stop()
    assert not await actor.write("to nobody")
