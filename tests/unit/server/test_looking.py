"""How do many sessions share the threads? In turn by terminal, and never with frames of long ago (I11)."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from time import monotonic
from typing import Any, cast

import pytest

from face_pipeline import Frame, FrameUndecodableError, Guidance, Outcome, Progress, Verdict
from face_pipeline.liveness.replay import PRINT_BYTES, ReplayMemory, ReplaySearch
from monitoring.metrics import Metrics
from server.caller import Caller
from server.faces.inbox import FrameInbox, ReceivedFrame
from server.faces.looking import Looking
from server.faces.turns import FrameTurns
from server.faces.visit import Visit
from shualian.terminal.v1 import face_pb2
from tests.support.face_window import a_verdict

WORK_SECONDS = 0.002


@dataclass
class CountingSession:
    """A pipeline session that takes its time with each frame, and decides never, or at a frame."""

    looked_at: Counter[str]
    terminal_id: str
    unusable: bool = False
    decides_at: int | None = None
    frame_print: bytes | None = None

    def feed(self, frame: Frame) -> Progress | Verdict:
        """Look at one frame."""
        time.sleep(WORK_SECONDS)
        self.looked_at[self.terminal_id] += 1
        if self.unusable:
            raise FrameUndecodableError(detail="rubbish")
        if self.decides_at is not None and frame.sequence >= self.decides_at:
            return a_verdict(Outcome.MATCHED)
        return Progress(
            guidance=Guidance.HOLD_STILL,
            action_index=0,
            action_fraction=0.0,
            good_frames=0,
            frame_print=self.frame_print,
        )

    def expire(self) -> Verdict:
        """Give up."""
        return a_verdict(Outcome.INSUFFICIENT)


@dataclass
class Listener:
    """The context of a call, as far as guidance needs one."""

    told: list[face_pb2.AuthenticateResponse] = field(default_factory=list)

    async def write(self, message: face_pb2.AuthenticateResponse) -> None:
        """Hear something."""
        self.told.append(message)


@dataclass
class Bench:
    """Threads, turns and metrics."""

    looking: Looking
    metrics: Metrics
    looked_at: Counter[str] = field(default_factory=Counter)
    memory: ReplayMemory = field(default_factory=lambda: ReplayMemory(prints_max=100, distance_max=10))

    def visit(
        self,
        terminal_id: str,
        *,
        unusable: bool = False,
        decides_at: int | None = None,
        frame_print: bytes | None = None,
        inbox: FrameInbox | None = None,
    ) -> Visit:
        """Open a session of this terminal."""
        caller = Caller(terminal_id=terminal_id, site_id="", region="", terminal_class="III", request_id="")
        absent: Any = None
        return Visit(
            session_id=terminal_id,
            caller=caller,
            start=face_pb2.Start(),
            rule=absent,
            claimant=absent,
            key=absent,
            pipeline_session=cast(
                "Any", CountingSession(self.looked_at, terminal_id, unusable, decides_at, frame_print)
            ),
            replay_search=ReplaySearch(self.memory),
            inbox=inbox or FrameInbox(waiting_max=4),
            stream=absent,
            context=cast("Any", Listener()),
            deadline=monotonic() + 60,
            began=monotonic(),
        )

    def counted(self, result: str) -> float:
        """Return how many frames ended like this."""
        return self.metrics.registry.get_sample_value("shualian_face_frames_total", {"result": result}) or 0.0


@asynccontextmanager
async def a_bench(*, workers: int = 1, frame_age_max: timedelta = timedelta(minutes=1)) -> AsyncIterator[Bench]:
    metrics = Metrics()
    with ThreadPoolExecutor(max_workers=workers) as executor:
        looking = Looking(
            executor=executor,
            turns=FrameTurns(at_once=workers),
            metrics=metrics,
            stalled_after=timedelta(seconds=30),
            frame_age_max=frame_age_max,
            guidance_interval=timedelta(seconds=1),
        )
        yield Bench(looking, metrics)


def a_frame(sequence: int) -> face_pb2.Frame:
    picture = face_pb2.Picture(modality=face_pb2.MODALITY_RGB, encoding=face_pb2.ENCODING_JPEG, data=b"x")
    return face_pb2.Frame(sequence=sequence, pictures=[picture])


class FullInbox(FrameInbox):
    """Of a terminal that sends without end, and faster than anybody looks: there is always another frame."""

    def __init__(self) -> None:
        super().__init__(waiting_max=1)
        self._sequences = count(1)

    async def take(self, *, deadline: float, stalled_after: float) -> ReceivedFrame | None:  # noqa: ARG002  # as its base
        """Return the next frame, which has come just now."""
        return ReceivedFrame(message=a_frame(next(self._sequences)), received_at=monotonic())


async def test_i11_a_terminal_with_two_sessions_at_full_speed_does_not_starve_another() -> None:
    async with a_bench() as bench:
        modest = bench.visit("modest", decides_at=100, inbox=FullInbox())
        greedy = [bench.visit("greedy", inbox=FullInbox()) for _ in range(2)]
        others = [asyncio.create_task(bench.looking.look(visit)) for visit in greedy]

        await bench.looking.look(modest)
        looked_at = bench.looked_at.copy()
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

        assert looked_at["modest"] > 0
        assert looked_at["greedy"] <= looked_at["modest"] + 4


async def test_a_frame_that_waited_too_long_is_given_up() -> None:
    async with a_bench(frame_age_max=timedelta()) as bench:
        visit = bench.visit("terminal")
        for sequence in (1, 2, 3):
            visit.inbox.put(a_frame(sequence))
        visit.inbox.close()

        verdict, _ = await bench.looking.look(visit)

        assert verdict.outcome is Outcome.INSUFFICIENT
        assert bench.looked_at["terminal"] == 0
        assert bench.counted("DROPPED") == 3


async def test_unusable_frames_are_counted_and_the_session_goes_on() -> None:
    async with a_bench() as bench:
        visit = bench.visit("terminal", unusable=True)
        visit.inbox.put(a_frame(1))
        visit.inbox.put(a_frame(2))
        visit.inbox.close()

        await bench.looking.look(visit)

        assert bench.counted("UNUSABLE") == 2


async def test_guidance_comes_in_words() -> None:
    async with a_bench() as bench:
        visit = bench.visit("terminal")
        visit.inbox.put(a_frame(1))
        visit.inbox.close()

        await bench.looking.look(visit)

        (told,) = cast("Listener", visit.context).told
        assert told.guidance.hint == face_pb2.HINT_HOLD_STILL
        assert told.guidance.text_key == "face.hint.hold_still"
        assert set(told.guidance.texts) == {"zh", "en"}


@pytest.mark.parametrize("workers", [1, 3])
async def test_no_more_frames_are_looked_at_at_once_than_there_are_threads(workers: int) -> None:
    async with a_bench(workers=workers) as bench:
        visits = [bench.visit(f"terminal {number}", decides_at=20, inbox=FullInbox()) for number in range(6)]
        ended = await asyncio.gather(*(bench.looking.look(visit) for visit in visits))

        assert [verdict.outcome for verdict, _ in ended] == [Outcome.MATCHED] * 6


async def test_a_frame_is_looked_for_among_earlier_sessions_as_it_comes() -> None:
    async with a_bench() as bench:
        bench.memory.remember("earlier", [b"p" * PRINT_BYTES])
        visit = bench.visit("terminal", decides_at=2, frame_print=b"p" * PRINT_BYTES)
        for sequence in (1, 2):
            visit.inbox.put(a_frame(sequence))

        await bench.looking.look(visit)

        assert [len(found.owners) for found in visit.replay_search.found.values()] == [1]
