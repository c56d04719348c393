"""What speaks against a session stays, whatever face is before the camera by now."""

import numpy as np
import pytest

from face_pipeline import Action, Challenge, CueReading, CueSays, FacePolicy, Reason
from face_pipeline.frames import Embedding, Image
from face_pipeline.identity import Identity
from face_pipeline.liveness.challenge import Performance
from face_pipeline.liveness.companions import Companions
from face_pipeline.liveness.evidence import Evidence, Stopwatch, Witness
from face_pipeline.liveness.fusion import Liveness, fused
from face_pipeline.liveness.readings import readings
from face_pipeline.liveness.suspicion import Suspicion

POLICY = FacePolicy()


@pytest.mark.parametrize(
    ("suspicion", "reason"),
    [
        (Suspicion(), None),
        (Suspicion(identity_misses=POLICY.continuity_misses_max), None),
        (Suspicion(identity_misses=POLICY.continuity_misses_max + 1), Reason.IDENTITY_CHANGED),
        (Suspicion(strangers=1), Reason.IDENTITY_CHANGED),
        (Suspicion(passive=[0.005] * 4 + [0.1] * 6), None),
        (Suspicion(passive=[0.005] * 5 + [0.1] * 5), Reason.PASSIVE_LOW),
        (Suspicion(passive=[0.005] * 9), None),
        (Suspicion(flat_frames=POLICY.flat_frames_max), Reason.FLAT_TURN),
        (Suspicion(restarts=POLICY.restarts_max), None),
        (Suspicion(restarts=POLICY.restarts_max + 1), Reason.PRESENCE_BROKEN),
    ],
)
def test_a_session_ends_at_the_first_ground(suspicion: Suspicion, reason: Reason | None) -> None:
    assert _grounds(suspicion, over=False) == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("suspicion", "reason"),
    [
        (Suspicion(passive=[0.4] * 3 + [0.9] * 2), Reason.PASSIVE_LOW),
        (Suspicion(passive=[0.005] * 4), None),
        (Suspicion(flat_frames=POLICY.flat_frames_min), Reason.FLAT_TURN),
    ],
)
def test_at_the_deadline_fewer_frames_are_enough_to_doubt(suspicion: Suspicion, reason: Reason | None) -> None:
    assert _grounds(suspicion, over=False) == []
    assert _grounds(suspicion, over=True) == ([reason] if reason else [])


def test_the_passive_model_is_taken_strictly_where_nobody_is_asked_to_move() -> None:
    doubtful = Suspicion(passive=[0.4] * 10)

    assert _grounds(doubtful, over=False) == []
    assert _grounds(doubtful, over=False, actions=()) == [Reason.PASSIVE_LOW]


def test_too_many_bad_frames_end_a_session_without_a_suspicion() -> None:
    suspicion = Suspicion(bad_frames=POLICY.bad_frames_max + 1)

    assert _grounds(suspicion, over=False) == [Reason.BAD_FRAMES]
    assert fused(_readings(suspicion, over=False), POLICY).liveness is Liveness.INSUFFICIENT


def _grounds(
    suspicion: Suspicion, *, over: bool, actions: tuple[Action, ...] = (Action.TURN_LEFT,)
) -> list[Reason | None]:
    said = _readings(suspicion, over=over, actions=actions)
    return [reading.reason for reading in said if reading.says is CueSays.AGAINST]


def _readings(
    suspicion: Suspicion, *, over: bool, actions: tuple[Action, ...] = (Action.TURN_LEFT,)
) -> tuple[CueReading, ...]:
    challenge = Challenge(actions=actions, deadline=POLICY.challenge_deadline)
    return readings(
        evidence=Evidence(),
        identity=Identity(embedder=NoEmbedder(), policy=POLICY, watch=Stopwatch(), witness=Witness()),
        suspicion=suspicion,
        performance=Performance(challenge, POLICY),
        companions=Companions(frozenset(), POLICY),
        policy=POLICY,
        over=over,
    )


class NoEmbedder:
    """Is never asked."""

    def embedding(self, crop: Image) -> Embedding:
        """Fail the test."""
        raise AssertionError(crop)

    def first(self, crop: Image) -> Embedding:
        """Fail the test."""
        raise AssertionError(crop)

    def first_of(self, embedding: Embedding) -> Embedding:
        """Fail the test."""
        raise AssertionError(embedding)


def test_the_witness_is_the_frame_that_was_drawn() -> None:
    crops: list[Image] = [np.full((1, 1, 3), shade, np.uint8) for shade in range(4)]
    draws = iter([0, 1, 0, 3])
    witness = Witness(lambda _: next(draws))

    for crop in crops:
        witness.offer(crop)

    assert witness.crop is crops[2]
    witness.begin_again()
    assert witness.crop is None
