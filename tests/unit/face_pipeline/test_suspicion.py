"""What speaks against a session stays, whatever face is before the camera by now."""

import numpy as np
import pytest

from face_pipeline import FacePolicy, Reason
from face_pipeline.evidence import Witness
from face_pipeline.frames import Image
from face_pipeline.suspicion import Suspicion

POLICY = FacePolicy()


@pytest.mark.parametrize(
    ("suspicion", "reason"),
    [
        (Suspicion(), None),
        (Suspicion(identity_misses=POLICY.continuity_misses_max), None),
        (Suspicion(identity_misses=POLICY.continuity_misses_max + 1), Reason.IDENTITY_CHANGED),
        (Suspicion(strangers=1), Reason.IDENTITY_CHANGED),
        (Suspicion(good_frames=10, passive_low=4), None),
        (Suspicion(good_frames=10, passive_low=5), Reason.PASSIVE_LOW),
        (Suspicion(good_frames=9, passive_low=9), None),
        (Suspicion(flat_frames=POLICY.flat_frames_max), Reason.FLAT_TURN),
        (Suspicion(restarts=POLICY.restarts_max), None),
        (Suspicion(restarts=POLICY.restarts_max + 1), Reason.PRESENCE_BROKEN),
    ],
)
def test_a_session_ends_at_the_first_ground(suspicion: Suspicion, reason: Reason | None) -> None:
    assert suspicion.ground(POLICY) is reason


def test_the_witness_is_the_frame_that_was_drawn() -> None:
    crops: list[Image] = [np.full((1, 1, 3), shade, np.uint8) for shade in range(4)]
    draws = iter([0, 1, 0, 3])
    witness = Witness(lambda _: next(draws))

    for crop in crops:
        witness.offer(crop)

    assert witness.crop is crops[2]
    witness.begin_again()
    assert witness.crop is None
