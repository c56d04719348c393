"""Light, motion and what is in the way, on crops that are drawn for it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from face_pipeline import FacePolicy, Guidance
from face_pipeline.frames import Box, Face, Image
from face_pipeline.picture.alignment import TEMPLATE
from face_pipeline.picture.exposure import Exposure
from face_pipeline.picture.occlusion import Uncovered
from face_pipeline.picture.quality import CropQuality, Demands, Steadiness

POLICY = FacePolicy()
DEMANDS = Demands.of_session(POLICY)


def a_gray(value: int = 120) -> Image:
    """Return an empty crop in gray, shape (112, 112)."""
    return np.full((112, 112), value, np.uint8)


def a_drawn_face() -> Image:
    """Return a crop in gray with eyes, brows, nostrils and mouth as dark lines on even skin."""
    gray = a_gray(160)
    for x in (38, 73):
        cv2.line(gray, (x - 9, 43), (x + 9, 43), 70, 2)
        cv2.ellipse(gray, (x, 52), (8, 3), 0, 0, 360, 60, -1)
    cv2.line(gray, (52, 76), (60, 76), 90, 2)
    cv2.line(gray, (43, 92), (70, 92), 70, 3)
    return gray


@pytest.mark.parametrize(
    ("exposure", "expected"),
    [
        (Exposure(brightness=120), None),
        (Exposure(brightness=20), Guidance.MORE_LIGHT),
        (Exposure(brightness=80, swallowed_share=0.5), Guidance.MORE_LIGHT),
        (Exposure(brightness=220), Guidance.LESS_LIGHT),
        (Exposure(brightness=150, burnt_share=0.3), Guidance.LESS_LIGHT),
        (Exposure(brightness=70, evenness=0.2), Guidance.MORE_LIGHT),
        (Exposure(brightness=140, evenness=0.2), Guidance.LESS_LIGHT),
    ],
)
def test_the_light_is_named(exposure: Exposure, expected: Guidance | None) -> None:
    assert exposure.complaint(POLICY) is expected


def test_light_is_measured_where_the_face_is() -> None:
    gray = a_gray(100)
    gray[:, :56] = 40
    gray[50:60, 30:80] = 255
    gray[:16] = 255  # above the face: hair, a lamp

    exposure = Exposure.of(gray)

    assert exposure.evenness < 0.6
    assert exposure.burnt_share == pytest.approx(10 * 50 / (88 * 72))
    assert exposure.swallowed_share == 0


def test_a_face_that_shows_eyes_and_mouth_is_uncovered() -> None:
    assert Uncovered.of(a_drawn_face()).complaint(POLICY) is None


def test_dark_lenses_and_a_cloth_are_told_apart() -> None:
    shaded, masked = a_drawn_face(), a_drawn_face()
    for x in (38, 73):
        cv2.ellipse(shaded, (x, 53), (15, 11), 0, 0, 360, 25, -1)
    masked[66:112] = 200

    assert Uncovered.of(shaded).complaint(POLICY) is Guidance.UNCOVER_EYES
    assert Uncovered.of(masked).complaint(POLICY) is Guidance.UNCOVER_MOUTH


def test_a_turned_face_is_not_asked_what_it_hides() -> None:
    masked = a_drawn_face()
    masked[66:112] = 200
    crop = np.asarray(cv2.cvtColor(masked, cv2.COLOR_GRAY2BGR), np.uint8)
    turned = TEMPLATE.copy()
    turned[2, 0] += 12

    frontal_quality, turned_quality = (CropQuality.of(crop, points, POLICY) for points in (TEMPLATE, turned))

    assert frontal_quality.complaint(POLICY, DEMANDS) is Guidance.UNCOVER_MOUTH
    assert turned_quality.complaint(POLICY, DEMANDS) is None


def test_a_frame_much_less_sharp_than_the_one_before_is_smeared_but_an_even_softness_is_not() -> None:
    sharp = CropQuality(exposure=Exposure(brightness=120), sharpness=120)
    soft = replace(sharp, sharpness=25)
    steadiness, from_the_start = Steadiness(POLICY), Steadiness(POLICY)

    steadiness.judged(sharp)
    smeared = steadiness.judged(soft)

    assert smeared.complaint(POLICY, DEMANDS) is Guidance.BLURRED
    assert from_the_start.judged(soft).complaint(POLICY, DEMANDS) is None


def test_one_noisy_frame_does_not_spoil_a_session() -> None:
    noisy = CropQuality(exposure=Exposure(brightness=120), sharpness=110)
    soft, steadiness = replace(noisy, sharpness=25), Steadiness(POLICY)
    steadiness.judged(noisy)

    answers = [steadiness.judged(soft).is_smeared for _ in range(40)]

    assert answers[0]
    assert not answers[-1]


def test_what_would_do_for_an_enrollment_is_never_smeared() -> None:
    steadiness = Steadiness(POLICY)
    steadiness.judged(CropQuality(exposure=Exposure(brightness=120), sharpness=2000))

    assert not steadiness.judged(CropQuality(exposure=Exposure(brightness=120), sharpness=45)).is_smeared


def test_search_and_look_are_averaged_for_alignment_alone() -> None:
    box = Box(x=0, y=0, width=100, height=120)
    level = Face(box=box, points=TEMPLATE, score=0.9, searched=TEMPLATE + 2)
    turned = Face(box=box, points=TEMPLATE, score=0.9)

    assert level.steady_points == pytest.approx(TEMPLATE + 1)
    assert turned.steady_points is TEMPLATE
