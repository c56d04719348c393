"""How do frames become a verdict? One at a time from the inbox through the executor, in turn with other terminals."""

import asyncio
from concurrent.futures import Executor
from datetime import timedelta
from time import monotonic, perf_counter

import structlog

from face_pipeline import Frame, FrameError, Progress, Verdict
from monitoring.metrics import Metrics
from server import convert
from server.faces.guidance import GuidanceTeller
from server.faces.inbox import ReceivedFrame
from server.faces.turns import FrameTurns
from server.faces.visit import Visit

log = structlog.get_logger()


class Looking:
    """Looks at the frames of all sessions."""

    def __init__(
        self,
        *,
        executor: Executor,
        turns: FrameTurns,
        metrics: Metrics,
        stalled_after: timedelta,
        frame_age_max: timedelta,
        guidance_interval: timedelta,
    ) -> None:
        """Take the threads, and how long things may take.

        Args:
            executor: where the pipeline works.
            turns: whose frame is next.
            metrics: counts frames.
            stalled_after: silence of a terminal after which its session ends.
            frame_age_max: a frame that waited longer is not looked at: what it shows is not what is.
            guidance_interval: shortest time between two hints.
        """
        self._executor = executor
        self._turns = turns
        self._metrics = metrics
        self._stalled_after = stalled_after.total_seconds()
        self._frame_age_max = frame_age_max.total_seconds()
        self._guidance_interval = guidance_interval

    async def look(self, visit: Visit) -> tuple[Verdict, float]:
        """Look at frames until there is a verdict; return it, and when the last frame it needed had come."""
        teller = GuidanceTeller(visit.context, self._guidance_interval)
        while True:
            received = await visit.inbox.take(deadline=visit.deadline, stalled_after=self._stalled_after)
            if received is None:
                return visit.pipeline_session.expire(), monotonic()
            outcome = await self._fed(visit, received)
            match outcome:
                case Verdict():
                    return outcome, received.received_at
                case Progress():
                    await teller.tell(outcome)

    async def _fed(self, visit: Visit, received: ReceivedFrame) -> Progress | Verdict | None:
        """Return what one frame led to; None when it could not be used, which the session counts, or came too late."""
        frame = convert.frame(received.message)
        async with self._turns.turn(visit.caller.terminal_id):
            if monotonic() - received.received_at > self._frame_age_max:
                self._metrics.face_frames.labels("DROPPED").inc()
                return None
            began = perf_counter()
            try:
                outcome = await asyncio.get_running_loop().run_in_executor(self._executor, _looked_at, visit, frame)
            except FrameError as error:
                self._metrics.face_frames.labels("UNUSABLE").inc()
                log.debug("frame_unusable", reason=error.reason)
                return None
        self._metrics.face_frame_seconds.observe(perf_counter() - began)
        self._metrics.face_frames.labels("LOOKED_AT").inc()
        return outcome


def _looked_at(visit: Visit, frame: Frame) -> Progress | Verdict:
    """Look at a frame, and for it among those of earlier sessions: whoever waits for the decision waits less then."""
    outcome = visit.pipeline_session.feed(frame)
    if isinstance(outcome, Progress) and outcome.frame_print is not None:
        visit.replay_search.look_for(outcome.frame_print)
    return outcome
