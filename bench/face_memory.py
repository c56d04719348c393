"""Does the platform's memory stay flat over thousands of face sessions?

The real server is a process; terminals begin sessions, show a few real frames and end them in mixed ways: with a match,
by saying that no more frames come, by hanging up, and with bytes that are no picture until the platform has enough of
them. The server's memory is read meanwhile. What grows by design is small here from the beginning: the memory of prints
holds the fewest it can, and is full long before the first reading that counts.
"""

import asyncio
import os
from collections import Counter
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import cycle
from typing import Final

import grpc
import numpy as np
from numpy.typing import NDArray

from bench.deployment import Deployment, Settings, a_deployment
from bench.face_reels import Reel, reels
from bench.face_window import FaceTerminal, Sitting, a_face_terminal, in_turn, made_up_people
from bench.terminals import enrolled
from face_pipeline import FacePipeline, FacePolicy, load_manifest, portrait
from server.config import load_config

SESSIONS, SESSIONS_QUICK = 2_000, 60
AT_ONCE: Final = 8
PEOPLE: Final = 40
VISITS: Final = 40
"""Shown for a verdict; when one of them comes again, the memory of prints has forgotten it."""
OTHERS: Final = 10
"""Shown where there will be no verdict, again and again."""
FRAMES_PER_SECOND: Final = 15
WARM_UP: Final = 0.25
"""The part of all sessions before the first reading that counts: caches, pools and the prints' memory fill."""
READINGS: Final = 200
PAUSE_SECONDS: Final = 0.02
NO_PICTURE: Final = b"\xff\xd8 no picture"
SETTINGS: Final[Settings] = {
    "face.replay_prints_max": 1_000,
    "face.failures_per_claim_max": 1_000,
    "face.failures_per_terminal_max": 100_000,
    "limits.face_sessions_per_worker_max": 100,
    "limits.calls_per_second": 1_000,
    "limits.calls_burst": 1_000,
}


class End(StrEnum):
    """How a session ends."""

    VERDICT = "verdict"
    EXPIRED = "expired"
    ABANDONED = "abandoned"
    NO_PICTURES = "no_pictures"


ENDS: Final = (End.VERDICT, *10 * (End.EXPIRED, End.ABANDONED, End.NO_PICTURES))
"""A match costs as much as ten others."""


@dataclass(slots=True)
class Readings:
    """The server's memory, by how many sessions it had had."""

    sessions: list[int] = field(default_factory=list)
    kib: list[int] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def settled(self, warm_up: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return sessions and KiB after the warm-up."""
        sessions, kib = np.array(self.sessions, np.float64), np.array(self.kib, np.float64)
        counts = sessions >= warm_up * sessions[-1]
        return sessions[counts], kib[counts]


def measure(quick: bool, sessions: int | None = None) -> dict[str, object]:  # noqa: FBT001  # every bench is called alike
    """Return how much memory each session leaves behind, and what the server held."""
    total = sessions or (SESSIONS_QUICK if quick else SESSIONS)
    folder = load_config(None, os.environ).models_dir
    picture = portrait(folder, "grace_hopper").read_bytes()
    pipeline = FacePipeline.load(manifest=load_manifest(), models_dir=folder, policy=FacePolicy())
    verdicts = min(VISITS, -(-total // len(ENDS)))
    visits = in_turn(reels(pipeline, picture), OTHERS + verdicts)
    with a_deployment(SETTINGS) as deployment:
        id_numbers = made_up_people(deployment, pipeline.enroll(picture), PEOPLE)
        readings = asyncio.run(_measured(deployment, id_numbers, visits, total))
    at, kib = readings.settled(WARM_UP)
    slope = float(np.polyfit(at, kib, 1)[0]) if len(at) > 1 else 0.0
    return {
        "face_memory_sessions": total,
        "face_memory_bytes_per_session": round(1024 * slope, 1),
        "face_memory_rss_kib_warm": int(kib[0]),
        "face_memory_rss_kib_last": int(kib[-1]),
        "face_memory_rss_kib_max": int(kib.max()),
        "face_memory_ends": dict(readings.outcomes.most_common()),
        "face_memory_settings": dict(SETTINGS),
    }


async def _measured(deployment: Deployment, id_numbers: list[str], visits: list[Reel], total: int) -> Readings:
    identities = enrolled(deployment, AT_ONCE)
    deployment.start()
    readings, ends = Readings(), cycle(ENDS)
    left = iter(range(1, total + 1))
    claims, shown, others = cycle(id_numbers), cycle(visits[OTHERS:]), cycle(visits[:OTHERS])
    async with AsyncExitStack() as stack:
        terminals = [
            await stack.enter_async_context(a_face_terminal(deployment, each, frames_per_second=FRAMES_PER_SECOND))
            for each in identities
        ]

        async def sit(terminal: FaceTerminal) -> None:
            for number in left:
                end = next(ends)
                reel = next(shown if end is End.VERDICT else others)
                readings.outcomes[await _ended(terminal, next(claims), reel, end)] += 1
                if number % max(total // READINGS, 1) == 0:
                    readings.sessions.append(number)
                    readings.kib.append(deployment.rss_kib())

        await asyncio.gather(*map(sit, terminals))
    return readings


async def _ended(terminal: FaceTerminal, id_number: str, reel: Reel, end: End) -> str:
    """Hold one session to its end, and return how it ended."""
    sitting = await terminal.begun(id_number, reel, moves=False)
    match end:
        case End.VERDICT:
            return (await sitting.decided()).outcome
        case End.ABANDONED:
            await sitting.show()
            await asyncio.sleep(PAUSE_SECONDS)  # the frame is being looked at
            sitting.call.cancel()
            return "ABANDONED"
        case End.EXPIRED:
            await sitting.show()
            await sitting.call.done_writing()
            return (await sitting.answered()).outcome
        case End.NO_PICTURES:
            showing = asyncio.create_task(_show_nothing(sitting))
            try:
                return (await sitting.answered()).outcome
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)


async def _show_nothing(sitting: Sitting) -> None:
    """Show a frame, and then bytes that are none."""
    with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # decided; whoever reads knows
        await sitting.show()
        while True:
            await sitting.show(NO_PICTURE)
            await asyncio.sleep(PAUSE_SECONDS)
