"""What is counted of a verdict, beyond how the session ended: what stood behind a yes, and why a no was none."""

from typing import Final

from face_pipeline import Outcome, Verdict
from monitoring.metrics import Metrics
from shualian.terminal.v1 import face_pb2

_NOT_LIVE: Final = frozenset({Outcome.SPOOF_SUSPECTED, Outcome.INSUFFICIENT})


def count_verdict(metrics: Metrics, start: face_pb2.Start, verdict: Verdict, decision: face_pb2.Decision) -> None:
    """Count one decided session."""
    if verdict.outcome in _NOT_LIVE:
        for reason in verdict.liveness.reasons:
            metrics.face_reasons.labels(verdict.outcome.name, reason.upper()).inc()
    else:
        metrics.face_assurance.labels(verdict.assurance.name).inc()
    if start.purpose == face_pb2.PURPOSE_PRACTITIONER:
        metrics.face_confirmations.labels("CONFIRMED" if decision.assertion else "NOT_CONFIRMED").inc()
