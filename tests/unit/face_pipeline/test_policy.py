"""A policy that contradicts itself is refused; two that differ have different versions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from face_pipeline import FacePolicy, PolicyError


def test_the_version_names_every_threshold() -> None:
    policy = FacePolicy()

    assert policy.version == FacePolicy().version
    assert policy.version != replace(policy, passive_min=0.6).version
    assert policy.version != replace(policy, challenge_deadline=timedelta(seconds=21)).version


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"similarity_low_value": 0.32}, "must not go below 0.33"),
        ({"similarity_to_pay": 0.36}, "exceeds similarity_to_pay"),
        ({"similarity_to_pay": 1.0}, "below 1"),
        ({"detector_score_search": 0.9}, "searches above"),
        ({"sharpness_min": 50.0}, "sharpness_min"),
        ({"face_width_min": 120.0}, "face_width_min"),
        ({"brightness_min": 200.0}, "brightness_min"),
        ({"roll_upright_degrees": 37.0}, "roll_upright_degrees"),
        ({"challenge_turns": 1}, "both sides"),
        ({"challenge_extras": 4}, "challenge_extras"),
        ({"passive_min_moved": 0.6}, "passive_min_moved"),
        ({"doubts_borne_solid": 2}, "doubts_borne_solid"),
        ({"unmoved_span": timedelta(milliseconds=500)}, "unmoved_span"),
        ({"unmoved_frames_min": 4}, "unmoved_frames_min"),
        ({"nose_drop_min": 0.0}, "ask for something"),
        ({"gesture_time_min": timedelta(seconds=-1)}, "no time"),
        ({"companion_against_share_max": 1.5}, "companion_against_share_max"),
        ({"companion_rest_min": 0}, "companion_rest_min"),
        ({"nose_side_min": 0.08}, "nose_flat_max"),
        ({"spoof_frames_min": 3}, "spoof_frames_min"),
        ({"challenge_deadline": timedelta()}, "positive"),
        ({"passive_min": 1.2}, "passive_min"),
        ({"frames_max": 0}, "frames_max"),
        ({"flat_frames_max": 2}, "flat_frames_max"),
        ({"between_min": 0.95}, "between_min"),
        ({"frame_gap_max": timedelta()}, "frame_gap_max"),
        ({"nose_side_min": float("nan")}, "nose_side_min must be a number"),
        ({"sheet_residual_mm_max": float("nan")}, "sheet_residual_mm_max must be a number"),
        ({"brightness_max": float("inf")}, "brightness_max must be a number"),
    ],
)
def test_a_threshold_that_cannot_be_meant_is_named(changes: dict[str, Any], mistake: str) -> None:
    with pytest.raises(PolicyError, match=mistake):
        replace(FacePolicy(), **changes)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        FacePolicy(passive_min=2, frames_max=0, challenge_turns=9)

    assert len(caught.value.mistakes) == 3
