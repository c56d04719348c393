"""A face session, as gRPC asks for it: consent, frames in, guidance out, a decision at the end.

The handler's task looks at frames, one at a time, in the executor; a second task takes them off the stream. So a slow
pipeline never stops the reading, and a stream that stalls, breaks the contract or is cut is noticed at once.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, perf_counter

import structlog
import uuid_utils

from face_pipeline import Challenge, FacePipeline, FaceSession, FrameError, Progress, TemplateModelError, Verdict
from monitoring.metrics import Metrics
from server import convert
from server.caller import Caller, current_caller
from server.faces.desk import Claimant, FaceDesk
from server.faces.inbox import FrameInbox, ReceivedFrame
from server.faces.seats import FaceSeats
from server.interceptors.chain import Context
from server.refusals import FramesExceededError, StreamOrderError
from server.services.opening import opening
from shualian.terminal.v1 import face_pb2, face_pb2_grpc

log = structlog.get_logger()

NONCE_BYTES = 32

Requests = AsyncIterator[face_pb2.AuthenticateRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceBounds:
    """What bounds one session; see the `face` section of the configuration."""

    stalled_after: timedelta
    frames_max: int
    frame_bytes_max: int
    frames_waiting_max: int
    frames_per_second: int
    longer_side_px: int
    guidance_interval: timedelta
    similarity_min: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Session:
    """One session under way."""

    session_id: str
    caller: Caller
    start: face_pb2.Start
    claimant: Claimant
    pipeline_session: FaceSession
    deadline: float
    inbox: FrameInbox
    began: float


class FaceService(face_pb2_grpc.FaceServiceServicer):
    """FaceService: is this person alive, and who they say to be?"""

    def __init__(
        self,
        *,
        pipeline: FacePipeline,
        desk: FaceDesk,
        seats: FaceSeats,
        executor: Executor,
        metrics: Metrics,
        now: Callable[[], datetime],
        bounds: FaceBounds,
    ) -> None:
        self._pipeline = pipeline
        self._desk = desk
        self._seats = seats
        self._executor = executor
        self._metrics = metrics
        self._now = now
        self._bounds = bounds

    async def Authenticate(self, requests: Requests, context: Context) -> None:  # type: ignore[override]  # it writes
        """Serve one face session from start to decision."""
        start = (await opening(requests, oneof="step", expected="start")).start
        caller = current_caller()
        session_id = str(uuid_utils.uuid7())
        structlog.contextvars.bind_contextvars(session_id=session_id)
        if not start.consent.granted:
            await self._desk.consent_refused(caller, session_id, start)
            self._count(caller, start, "CONSENT_REFUSED")
            await context.write(face_pb2.AuthenticateResponse(decision=self._desk.refusal()))
            return
        with self._seats.seat(caller.terminal_id):
            self._metrics.face_sessions_open.inc()
            try:
                decision = await self._authenticate(session_id, caller, start, requests, context)
            except BaseException:
                self._count(caller, start, "ABORTED")
                raise
            else:
                # Counted by now: a terminal that hangs up as soon as it can read this hides nothing by it.
                await context.write(face_pb2.AuthenticateResponse(decision=decision))
            finally:
                self._metrics.face_sessions_open.dec()

    async def _authenticate(
        self, session_id: str, caller: Caller, start: face_pb2.Start, requests: Requests, context: Context
    ) -> face_pb2.Decision:
        claimant = await self._desk.consented(caller, session_id, start)
        challenge = self._pipeline.challenge()
        session = _Session(
            session_id=session_id,
            caller=caller,
            start=start,
            claimant=claimant,
            pipeline_session=self._opened(challenge, claimant),
            deadline=monotonic() + challenge.deadline.total_seconds(),
            inbox=FrameInbox(waiting_max=self._bounds.frames_waiting_max),
            began=monotonic(),
        )
        await context.write(face_pb2.AuthenticateResponse(accepted=self._accepted(session_id, challenge)))
        reader = asyncio.create_task(self._read(requests, session.inbox))
        try:
            verdict, needed_at = await self._look(session, context)
        finally:
            reader.cancel()  # frames after the decision are dropped
            await asyncio.gather(reader, return_exceptions=True)  # a cancellation of our own still comes through
            self._metrics.face_frames.labels("DROPPED").inc(session.inbox.dropped)
        return await self._decide(session, verdict, needed_at)

    def _opened(self, challenge: Challenge, claimant: Claimant) -> FaceSession:
        """Open the session. For a claim that nobody answers to it does the same work, so that the two look alike."""
        similarity_min = self._bounds.similarity_min
        try:
            return self._pipeline.open_session(
                challenge=challenge, template=claimant.template, similarity_min=similarity_min
            )
        except TemplateModelError:
            log.error("template_of_another_model")  # noqa: TRY400  # the event says it; the trace would not help
            return self._pipeline.open_session(challenge=challenge, template=None, similarity_min=similarity_min)

    def _accepted(self, session_id: str, challenge: Challenge) -> face_pb2.Accepted:
        return face_pb2.Accepted(
            session_id=session_id,
            challenge=face_pb2.Challenge(
                nonce=secrets.token_bytes(NONCE_BYTES),
                actions=[convert.challenge_action(action) for action in challenge.actions],
                deadline=convert.timestamp(self._now() + challenge.deadline),
            ),
            capture_profile=face_pb2.CaptureProfile(
                longer_side_px=self._bounds.longer_side_px,
                frames_per_second=self._bounds.frames_per_second,
                frame_bytes_max=self._bounds.frame_bytes_max,
                frames_max=self._bounds.frames_max,
            ),
        )

    async def _read(self, requests: Requests, inbox: FrameInbox) -> None:
        """Take frames off the stream until it ends; what goes wrong is told to whoever takes from the inbox."""
        try:
            await self._put_frames(requests, inbox)
        except Exception as error:  # noqa: BLE001  # raised again by the task that waits for frames
            inbox.close(error)
        else:
            inbox.close()

    async def _put_frames(self, requests: Requests, inbox: FrameInbox) -> None:
        frames = 0
        async for request in requests:
            if request.WhichOneof("step") != "frame":
                raise StreamOrderError(expected="frame")
            frames += 1
            if frames > self._bounds.frames_max:
                raise FramesExceededError(retry_after=timedelta(seconds=1))
            inbox.put(request.frame)

    async def _look(self, session: _Session, context: Context) -> tuple[Verdict, float]:
        """Look at frames until there is a verdict; return it, and when the last frame it needed had come."""
        teller = _GuidanceTeller(context, self._bounds.guidance_interval)
        stalled_after = self._bounds.stalled_after.total_seconds()
        while True:
            received = await session.inbox.take(deadline=session.deadline, stalled_after=stalled_after)
            if received is None:
                return session.pipeline_session.expire(), monotonic()
            outcome = await self._fed(session.pipeline_session, received)
            match outcome:
                case Verdict():
                    return outcome, received.received_at
                case Progress():
                    await teller.tell(outcome)

    async def _fed(self, pipeline_session: FaceSession, received: ReceivedFrame) -> Progress | Verdict | None:
        """Return what one frame led to; None when it could not be used, which the session counts."""
        frame = convert.frame(received.message)
        began = perf_counter()
        try:
            outcome = await asyncio.get_running_loop().run_in_executor(self._executor, pipeline_session.feed, frame)
        except FrameError as error:
            self._metrics.face_frames.labels("UNUSABLE").inc()
            log.debug("frame_unusable", reason=error.reason)
            return None
        self._metrics.face_frame_seconds.observe(perf_counter() - began)
        self._metrics.face_frames.labels("LOOKED_AT").inc()
        return outcome

    async def _decide(self, session: _Session, verdict: Verdict, needed_at: float) -> face_pb2.Decision:
        """Write the outcome down, count it, and return what the terminal may know."""
        decision = await self._desk.decided(
            session.caller, session.session_id, session.start, session.claimant, verdict
        )
        seconds = monotonic() - needed_at
        decision.decision_time.CopyFrom(convert.duration(timedelta(seconds=seconds)))
        outcome = verdict.outcome.name
        self._count(session.caller, session.start, outcome)
        self._metrics.face_decision_seconds.labels(outcome).observe(seconds)
        self._metrics.face_session_seconds.labels(outcome).observe(monotonic() - session.began)
        band = face_pb2.LivenessBand.Name(decision.liveness.band).removeprefix("LIVENESS_BAND_")
        self._metrics.face_liveness.labels(band).inc()
        log.info("face_decided", outcome=outcome, frames_used=verdict.frames_used, reasons=verdict.liveness.reasons)
        return decision

    def _count(self, caller: Caller, start: face_pb2.Start, outcome: str) -> None:
        self._metrics.face_sessions.labels(caller.region, f"{start.business_type:05d}", outcome).inc()


class _GuidanceTeller:
    """Tells the person what to do, and no more often than they can follow."""

    def __init__(self, context: Context, interval: timedelta) -> None:
        self._context = context
        self._interval = interval.total_seconds()
        self._told: face_pb2.Guidance | None = None
        self._told_at = 0.0

    async def tell(self, progress: Progress) -> None:
        """Send what is new, if the last hint is old enough or the task has changed."""
        guidance, now = convert.guidance(progress), monotonic()
        told = self._told
        if told is not None:
            is_same_task = told.action_index == guidance.action_index
            if told == guidance or (is_same_task and now - self._told_at < self._interval):
                return
        self._told, self._told_at = guidance, now
        await self._context.write(face_pb2.AuthenticateResponse(guidance=guidance))
