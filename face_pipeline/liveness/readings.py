"""What do the counts of a session say, cue by cue?"""

from dataclasses import dataclass
from datetime import timedelta

from face_pipeline.identity import Identity
from face_pipeline.liveness.challenge import Performance
from face_pipeline.liveness.companions import Companions
from face_pipeline.liveness.cues import Cue, CueReading, CueSays, Reason
from face_pipeline.liveness.evidence import Evidence
from face_pipeline.liveness.suspicion import Suspicion
from face_pipeline.policy import FacePolicy


def readings(
    *,
    evidence: Evidence,
    identity: Identity,
    suspicion: Suspicion,
    performance: Performance,
    companions: Companions,
    policy: FacePolicy,
    over: bool,
) -> tuple[CueReading, ...]:
    """Return what each cue says by now.

    Args:
        evidence: of the present presence.
        identity: whose presence it is.
        suspicion: of the whole session.
        performance: how far the challenge has come.
        companions: what the cameras beside colour said.
        policy: the thresholds.
        over: whether this is all there will be: what is doubtful then is judged on fewer frames.
    """
    judge = _Judge.of(performance, policy, over=over)
    return (
        _delivery(suspicion, policy),
        _frames(evidence, policy),
        _challenge(performance) if performance.is_asked else _watched(evidence, identity, policy),
        _passive(evidence, judge, policy),
        _passive_share(suspicion, judge, policy),
        _identity(identity, suspicion, policy),
        _presence(suspicion, policy),
        _flatness(suspicion, performance, policy, over=over),
        *companions.readings(performance.asked),
    )


def _delivery(suspicion: Suspicion, policy: FacePolicy) -> CueReading:
    return CueReading(
        name=Cue.DELIVERY,
        says=_unless(against=suspicion.bad_frames > policy.bad_frames_max),
        value=float(suspicion.bad_frames),
        threshold=float(policy.bad_frames_max),
        reason=Reason.BAD_FRAMES,
    )


def _frames(evidence: Evidence, policy: FacePolicy) -> CueReading:
    return CueReading(
        name=Cue.FRAMES,
        says=_once(done=evidence.good_frames >= policy.passive_frames_min),
        value=float(evidence.good_frames),
        threshold=float(policy.passive_frames_min),
        reason=Reason.FEW_GOOD_FRAMES if evidence.good_frames else Reason.NO_FACE,
        needed=True,
    )


def _challenge(performance: Performance) -> CueReading:
    return CueReading(
        name=Cue.CHALLENGE,
        says=CueSays.AGAINST if performance.went_wrong else _once(done=performance.passed),
        value=float(performance.index),
        threshold=float(performance.asked),
        reason=Reason.WRONG_TURN if performance.went_wrong else Reason.CHALLENGE_NOT_DONE,
        needed=True,
    )


def _watched(evidence: Evidence, identity: Identity, policy: FacePolicy) -> CueReading:
    return CueReading(
        name=Cue.WATCHED,
        says=_once(done=evidence.is_watched(policy) and bool(identity.cosines)),
        value=evidence.span / timedelta(seconds=1),
        threshold=policy.unmoved_span / timedelta(seconds=1),
        reason=Reason.WATCHED_TOO_SHORT,
        needed=True,
    )


def _passive(evidence: Evidence, judge: "_Judge", policy: FacePolicy) -> CueReading:
    median, frames = evidence.passive_median, evidence.good_frames
    says = CueSays.SILENT
    if median is not None and median >= judge.passive_min and frames >= policy.passive_frames_min:
        says = CueSays.FOR
    elif median is not None and median < judge.passive_min and frames >= judge.frames_min:
        says = CueSays.AGAINST
    return CueReading(
        name=Cue.PASSIVE,
        says=says,
        value=median,
        threshold=judge.passive_min,
        reason=Reason.PASSIVE_LOW if says is CueSays.AGAINST else None,
        needed=True,
    )


def _passive_share(suspicion: Suspicion, judge: "_Judge", policy: FacePolicy) -> CueReading:
    share = suspicion.passive_low_share(judge.passive_min)
    is_enough = len(suspicion.passive) >= judge.frames_min
    return CueReading(
        name=Cue.PASSIVE_SHARE,
        says=_unless(against=is_enough and share > policy.passive_low_share_max),
        value=share,
        threshold=policy.passive_low_share_max,
        reason=Reason.PASSIVE_LOW,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judge:
    """How strict the passive model is taken: it errs, and what else speaks for a face decides how much it counts."""

    passive_min: float
    frames_min: int

    @classmethod
    def of(cls, performance: Performance, policy: FacePolicy, *, over: bool) -> "_Judge":
        """Return the strict one for who was not asked to move, or has not done it by the end; else the lenient one."""
        moves = performance.is_asked and (performance.passed or not over)
        return cls(
            passive_min=policy.passive_min_moved if moves else policy.passive_min,
            frames_min=policy.passive_frames_min if over else policy.spoof_frames_min,
        )


def _identity(identity: Identity, suspicion: Suspicion, policy: FacePolicy) -> CueReading:
    exchanged = bool(suspicion.strangers) or suspicion.identity_misses > policy.continuity_misses_max
    return CueReading(
        name=Cue.IDENTITY,
        says=CueSays.AGAINST if exchanged else _once(done=bool(identity.cosines)),
        value=min(identity.cosines, default=None),
        threshold=policy.continuity_min,
        reason=Reason.IDENTITY_CHANGED if exchanged else None,
        needed=True,
    )


def _presence(suspicion: Suspicion, policy: FacePolicy) -> CueReading:
    return CueReading(
        name=Cue.PRESENCE,
        says=_unless(against=suspicion.restarts > policy.restarts_max),
        value=float(suspicion.restarts),
        threshold=float(policy.restarts_max),
        reason=Reason.PRESENCE_BROKEN,
    )


def _flatness(suspicion: Suspicion, performance: Performance, policy: FacePolicy, *, over: bool) -> CueReading:
    frames_max = policy.flat_frames_min if over and not performance.passed else policy.flat_frames_max
    return CueReading(
        name=Cue.FLATNESS,
        says=_unless(against=suspicion.flat_frames >= frames_max),
        value=float(suspicion.flat_frames),
        threshold=float(frames_max),
        reason=Reason.FLAT_TURN,
    )


def _once(*, done: bool) -> CueSays:
    return CueSays.FOR if done else CueSays.SILENT


def _unless(*, against: bool) -> CueSays:
    return CueSays.AGAINST if against else CueSays.FOR
