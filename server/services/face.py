"""A face session, as gRPC asks for it: consent, frames in, guidance out, seal and second factor, a decision at last.

The handler's task looks at frames, one at a time, in the executor; a second task takes them off the stream. What each
step does is in `server/faces/`; this file says in which order.
"""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog
import uuid_utils
from sqlalchemy import Connection

from face_pipeline import Challenge, FacePipeline, FaceSession, Outcome, TemplateModelError, Verdict
from monitoring.metrics import Metrics
from server import convert
from server.caller import Caller, current_caller
from server.faces.capture import CaptureTimes
from server.faces.counting import count_verdict
from server.faces.desk import Claimant, FaceDesk
from server.faces.inbox import FrameInbox
from server.faces.integrity import CaptureChecks
from server.faces.looking import Looking
from server.faces.replays import Replays
from server.faces.rules import FaceRules, SessionRule
from server.faces.seal import SealChain, connection_key
from server.faces.seats import FaceSeats
from server.faces.second_factor import SecondFactorStep
from server.faces.stream import FaceStream, Requests
from server.faces.tries import FaceTries, TryKind
from server.faces.visit import Visit
from server.interceptors.chain import Context
from server.services.opening import opening
from shualian.terminal.v1 import face_pb2, face_pb2_grpc

log = structlog.get_logger()

NONCE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceBounds:
    """What bounds one session; see the `face` section of the configuration."""

    frames_max: int
    frame_bytes_max: int
    frames_waiting_max: int
    frames_per_second: int
    longer_side_px: int
    capture_skew_max: timedelta


class FaceService(face_pb2_grpc.FaceServiceServicer):
    """FaceService: is this person alive, and who they say to be?"""

    def __init__(
        self,
        *,
        pipeline: FacePipeline,
        desk: FaceDesk,
        rules: FaceRules,
        seats: FaceSeats,
        looking: Looking,
        checks: CaptureChecks,
        replays: Replays,
        second_factor: SecondFactorStep,
        tries: FaceTries,
        metrics: Metrics,
        now: Callable[[], datetime],
        site_kind: Callable[[str], Awaitable[str]],
        bounds: FaceBounds,
    ) -> None:
        self._pipeline = pipeline
        self._desk = desk
        self._rules = rules
        self._seats = seats
        self._looking = looking
        self._checks = checks
        self._replays = replays
        self._second_factor = second_factor
        self._tries = tries
        self._metrics = metrics
        self._now = now
        self._site_kind = site_kind
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
        if start.purpose == face_pb2.PURPOSE_IDENTIFY:
            self._second_factor.refuse_unable(caller)
        key = connection_key(context)
        self._rules.check_place(
            business_type=int(start.business_type),
            site_kind=await self._site_kind(caller.site_id),
            region=caller.region,
        )
        rule = self._rule(start)
        claimant = await self._desk.consented(
            caller,
            session_id,
            start,
            also=lambda connection: self._try(connection, caller, session_id, start),
            undone=lambda connection: self._tries.give_back(connection, session_id),
        )
        replay_search = await self._replays.search()
        challenge, nonce = self._pipeline.challenge(rule.plan), secrets.token_bytes(NONCE_BYTES)
        inbox = FrameInbox(waiting_max=self._bounds.frames_waiting_max)
        visit = Visit(
            session_id=session_id,
            caller=caller,
            start=start,
            rule=rule,
            claimant=claimant,
            key=key,
            pipeline_session=self._opened(start, rule, challenge, claimant),
            replay_search=replay_search,
            inbox=inbox,
            stream=self._stream(requests, inbox, SealChain(session_id=session_id, nonce=nonce), start),
            context=context,
            deadline=monotonic() + challenge.deadline.total_seconds(),
            began=monotonic(),
        )
        await context.write(face_pb2.AuthenticateResponse(accepted=self._accepted(session_id, challenge, nonce)))
        visit.stream.start()
        try:
            verdict, needed_at = await self._looking.look(visit)
            verdict = await self._checks.checked(visit, verdict)
            asked_at = monotonic()
            found = await self._second_factor.settled(visit, verdict)
            needed_at += monotonic() - asked_at  # how long the person thinks is not how long the decision takes
        finally:
            visit.stream.stop()  # frames after the decision are dropped
            self._metrics.face_frames.labels("DROPPED").inc(inbox.dropped)
        return await self._decide(visit, Claimant(person=found) if found else claimant, verdict, needed_at)

    def _rule(self, start: face_pb2.Start) -> SessionRule:
        return self._rules.for_start(
            business_type=int(start.business_type),
            amount_fen=start.amount_fen,
            beside=convert.modalities(start.camera.beside_colour),
            cannot_move=start.cannot_move,
            purpose=start.purpose,
        )

    def _try(self, connection: Connection, caller: Caller, session_id: str, start: face_pb2.Start) -> None:
        """Count a try for whom the face is to be, before anybody is looked at; a match gives it back.

        Raises:
            FaceTriesSpentError: there were too many.
        """
        if start.purpose == face_pb2.PURPOSE_IDENTIFY:
            self._tries.refuse_spent(connection, TryKind.TERMINAL_GUESS, caller.terminal_id, now=self._now())
            return
        # The terminal first: or one that claims everybody in turn, and hangs up, would keep all of them from paying.
        self._tries.take(connection, TryKind.TERMINAL_CLAIM, caller.terminal_id, session_id=session_id, now=self._now())
        claimed = start.practitioner_code or start.claimed_identity.id_number.strip().upper()
        self._tries.take(connection, TryKind.CLAIM, claimed, session_id=session_id, now=self._now())

    def _opened(
        self, start: face_pb2.Start, rule: SessionRule, challenge: Challenge, claimant: Claimant
    ) -> FaceSession:
        """Open the session. For a claim that nobody answers to it does the same work, so that the two look alike."""

        def opened(known: Claimant) -> FaceSession:
            return self._pipeline.open_session(
                challenge=challenge,
                template=known.template,
                similarity_min=rule.similarity_min,
                beside=convert.modalities(start.camera.beside_colour),
                identify=start.purpose == face_pb2.PURPOSE_IDENTIFY,
            )

        try:
            return opened(claimant)
        except TemplateModelError:
            log.error("template_of_another_model")  # noqa: TRY400  # the event says it; the trace would not help
            return opened(Claimant())

    def _stream(self, requests: Requests, inbox: FrameInbox, chain: SealChain, start: face_pb2.Start) -> FaceStream:
        return FaceStream(
            requests=requests,
            inbox=inbox,
            chain=chain,
            times=CaptureTimes(
                frames_per_second=start.camera.frames_per_second, skew_max=self._bounds.capture_skew_max
            ),
            now=self._now,
            frames_max=self._bounds.frames_max,
        )

    def _accepted(self, session_id: str, challenge: Challenge, nonce: bytes) -> face_pb2.Accepted:
        return face_pb2.Accepted(
            session_id=session_id,
            challenge=face_pb2.Challenge(
                nonce=nonce,
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

    async def _decide(
        self,
        visit: Visit,
        claimant: Claimant,
        verdict: Verdict,
        needed_at: float,
    ) -> face_pb2.Decision:
        """Write the outcome down, count it, and return what the terminal may know."""
        is_match = verdict.outcome is Outcome.MATCHED or (
            verdict.outcome is Outcome.LIVE and claimant.person is not None
        )

        def note(connection: Connection) -> None:
            if is_match:
                person_id = claimant.person.person_id if claimant.person else None
                self._tries.give_back(connection, visit.session_id, person_id=person_id)
            self._replays.record(
                connection,
                session_id=visit.session_id,
                terminal_id=visit.caller.terminal_id,
                prints=verdict.prints,
            )

        decision = await self._desk.decided(
            visit.caller,
            visit.session_id,
            visit.start,
            claimant,
            verdict,
            rule=visit.rule,
            also=note,
        )
        seconds = monotonic() - needed_at
        decision.decision_time.CopyFrom(convert.duration(timedelta(seconds=seconds)))
        outcome = face_pb2.DecisionOutcome.Name(decision.outcome).removeprefix("DECISION_OUTCOME_")
        self._count(visit.caller, visit.start, outcome)
        self._metrics.face_decision_seconds.labels(outcome).observe(seconds)
        self._metrics.face_session_seconds.labels(outcome).observe(monotonic() - visit.began)
        band = face_pb2.LivenessBand.Name(decision.liveness.band).removeprefix("LIVENESS_BAND_")
        self._metrics.face_liveness.labels(band).inc()
        count_verdict(self._metrics, visit.start, verdict, decision)
        log.info("face_decided", outcome=outcome, frames_used=verdict.frames_used, reasons=verdict.liveness.reasons)
        return decision

    def _count(self, caller: Caller, start: face_pb2.Start, outcome: str) -> None:
        self._metrics.face_sessions.labels(caller.region, f"{start.business_type:05d}", outcome).inc()
