"""How did the frames come to us? The seal is asked for and checked while the memory is searched for a replay."""

import asyncio
from datetime import timedelta

from face_pipeline import CaptureFindings, FacePolicy, Outcome, SealFinding, Verdict
from face_pipeline.liveness.replay import Recognised
from monitoring.metrics import Metrics
from server.faces.replays import Replays
from server.faces.seal import SealCheck, checked_seal
from server.faces.visit import Visit
from shualian.terminal.v1 import face_pb2

POSITIVE = frozenset({Outcome.MATCHED, Outcome.LIVE, Outcome.NOT_MATCHED})
"""Somebody alive was there, as far as the pictures say. Whoever was not learns no more, and seals nothing."""


class CaptureChecks:
    """Takes into a verdict what the pictures alone cannot tell."""

    def __init__(self, *, replays: Replays, metrics: Metrics, seal_within: timedelta) -> None:
        """Take the memory of prints, and how long a terminal has for its seal."""
        self._replays = replays
        self._metrics = metrics
        self._seal_within = seal_within

    async def checked(self, visit: Visit, verdict: Verdict) -> Verdict:
        """Return the verdict that takes in what was found: the same, or a worse one.

        Raises:
            StoreError: it cannot be said whether the frames were seen before; then there is no yes (I10).
        """
        if verdict.outcome not in POSITIVE:
            return verdict
        recognising = asyncio.create_task(
            self._replays.recognise(visit.session_id, verdict.prints, visit.replay_search)
        )
        try:
            findings = _findings(await self._sealed(visit), await recognising, verdict.policy)
        finally:
            recognising.cancel()
        self._metrics.face_seals.labels(findings.seal.name).inc()
        if findings.replayed_frames:
            self._metrics.face_replays.inc()
        return verdict.with_capture(findings)

    async def _sealed(self, visit: Visit) -> SealCheck:
        expected = visit.stream.end_frames()
        asked = face_pb2.SealAsked(last_sequence=expected.last_sequence)
        visit.stream.expect_seal()
        await visit.context.write(face_pb2.AuthenticateResponse(seal_asked=asked))
        return checked_seal(await visit.stream.seal(self._seal_within), expected, visit.key)


def _findings(seal: SealCheck, replay: Recognised, policy: FacePolicy) -> CaptureFindings:
    """Return what was found; few frames that look like earlier ones may be chance."""
    replayed = replay.frames if replay.frames >= policy.replay_frames_min else 0
    says = seal.terminal_says if seal.finding is SealFinding.VERIFIED else None
    return CaptureFindings(seal=seal.finding, replayed_frames=replayed, terminal_says=says)
