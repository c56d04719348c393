"""How did a session end, and what stood behind it?"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from face_pipeline.frames import Assurance, Embedding, LivenessSummary, Outcome
from face_pipeline.liveness.cues import CaptureFindings, CueReading
from face_pipeline.liveness.fusion import Liveness, capture_cues, fused
from face_pipeline.policy import FacePolicy

NOT_LIVE: Final = {Liveness.INSUFFICIENT: Outcome.INSUFFICIENT, Liveness.SPOOF_SUSPECTED: Outcome.SPOOF_SUSPECTED}
_LIVENESS: Final = {outcome: liveness for liveness, outcome in NOT_LIVE.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verdict:
    """The end of a session."""

    outcome: Outcome
    assurance: Assurance
    """How much stands behind it; the weakest unless the face is live."""
    liveness: LivenessSummary
    cues: tuple[CueReading, ...]
    """What each cue said: complete, for the audit; nothing of it leaves the platform (I9)."""
    similarity: float | None
    """Cosine to the template; only ever set when the face was found to be live."""
    probe: Embedding | None = field(default=None, repr=False)
    """The face to look for among many; only when it was asked for, and live."""
    prints: tuple[bytes, ...] = field(default=(), repr=False)
    """What recognises these frames when they are shown again; no picture can be made of it."""
    policy: FacePolicy = field(repr=False)
    model_versions: Mapping[str, str]
    frames_used: int
    stage_ms: Mapping[str, float]
    """Time spent by stage over the whole session."""

    @property
    def policy_version(self) -> str:
        """Which thresholds decided."""
        return self.policy.version

    def with_capture(self, findings: CaptureFindings) -> "Verdict":
        """Return the verdict that takes in how the frames came to us: the same, or a worse one."""
        cues = (*self.cues, *capture_cues(findings))
        now, before = fused(cues, self.policy), _LIVENESS.get(self.outcome, Liveness.LIVE)
        if now.liveness <= before:
            return replace(self, cues=cues)
        reasons = tuple(reason.value for reason in now.reasons)
        return replace(
            self,
            outcome=NOT_LIVE[now.liveness],
            assurance=now.assurance,
            liveness=replace(self.liveness, reasons=reasons),
            cues=cues,
            similarity=None,  # a suspected attack learns nothing about the match (I9)
            probe=None,
        )
