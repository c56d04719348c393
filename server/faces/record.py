"""What the audit keeps of a decision: complete inside, so that it can be explained and tried again; no face, no score.

Every cue with what it said, the number and where it turns; which thresholds, rules and models decided. How alike the
face was to the template is left out: whoever reads the audit could climb on it, and the outcome says what came of it.
"""

from collections.abc import Mapping

from face_pipeline import CueReading, Verdict
from server.faces.rules import SessionRule
from shualian.terminal.v1 import face_pb2

_DIGITS = 3


def audit_details(
    start: face_pb2.Start, verdict: Verdict, rule: SessionRule, outcome: "face_pb2.DecisionOutcome.ValueType"
) -> Mapping[str, str | int]:
    """Return what is written down of a decision."""
    return {
        "outcome": _word(face_pb2.DecisionOutcome.Name(outcome), "DECISION_OUTCOME_"),
        "purpose": _word(face_pb2.Purpose.Name(start.purpose), "PURPOSE_"),
        "business_type": f"{start.business_type:05d}",
        "assurance": verdict.assurance.value,
        "reasons": ",".join(verdict.liveness.reasons),
        "cues": "; ".join(_cue(reading) for reading in verdict.cues),
        "frames": verdict.frames_used,
        "cannot_move": int(rule.cannot_move),
        "band": rule.band or "",
        "policy": verdict.policy_version,
        "rules": rule.version,
        "models": ", ".join(f"{job}={version}" for job, version in sorted(verdict.model_versions.items())),
    }


def _cue(reading: CueReading) -> str:
    """Return one cue as `depth for 9.812/4`: name, what it said, what was measured and where it turns."""
    said = f"{reading.name} {reading.says}"
    if reading.value is None:
        return said
    turns_at = "" if reading.threshold is None else f"/{round(reading.threshold, _DIGITS):g}"
    return f"{said} {round(reading.value, _DIGITS):g}{turns_at}"


def _word(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).lower()
