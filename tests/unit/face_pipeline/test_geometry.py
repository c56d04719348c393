"""Alignment, boxes, quality and the passive model's crop, without a model."""

import numpy as np
import pytest

from face_pipeline import FacePolicy, Guidance
from face_pipeline.frames import Box, Face, Points
from face_pipeline.liveness.passive import surroundings
from face_pipeline.picture.alignment import TEMPLATE, aligned_crop, mapped, roll_degrees, similarity_transform
from face_pipeline.picture.exposure import Exposure
from face_pipeline.picture.quality import CropQuality, Demands, framing, posture, presence

POLICY = FacePolicy()
IMAGE = np.zeros((480, 640, 3), np.uint8)


def a_face(x: float = 250, y: float = 150, width: float = 140, height: float = 180, score: float = 0.9) -> Face:
    scale = np.array([width, height]) / 112
    return Face(
        box=Box(x=x, y=y, width=width, height=height),
        points=np.asarray(TEMPLATE * scale + (x, y), np.float32),
        score=score,
    )


def turned(points: Points, degrees: float) -> Points:
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle), 5.0], [np.sin(angle), np.cos(angle), -3.0]])
    return mapped(points, turn)


@pytest.mark.parametrize("degrees", [-40.0, 0.0, 25.0])
def test_alignment_undoes_any_turn_scale_and_shift(degrees: float) -> None:
    seen = turned(TEMPLATE * np.float32(2.5), degrees)

    back = mapped(seen, similarity_transform(seen, TEMPLATE))

    assert back == pytest.approx(TEMPLATE, abs=1e-3)
    assert roll_degrees(seen) - roll_degrees(TEMPLATE) == pytest.approx(degrees, abs=0.01)


def test_boxes_overlap_fully_partly_or_not_at_all() -> None:
    box = Box(x=0, y=0, width=10, height=10)

    assert box.overlap(box) == pytest.approx(1)
    assert box.overlap(Box(x=5, y=0, width=10, height=10)) == pytest.approx(1 / 3)
    assert box.overlap(Box(x=20, y=0, width=10, height=10)) == 0


@pytest.mark.parametrize(
    ("face", "expected"),
    [
        (a_face(), None),
        (a_face(width=60), Guidance.COME_CLOSER),
        (a_face(x=20, width=500), Guidance.MOVE_BACK),
        (a_face(x=-60), Guidance.CENTRE_FACE),
        (a_face(x=520), Guidance.CENTRE_FACE),
        (a_face(y=-50), Guidance.CENTRE_FACE),
    ],
)
def test_framing_names_what_to_change(face: Face, expected: Guidance | None) -> None:
    assert framing(face, IMAGE, POLICY, Demands.of_session(POLICY)) is expected


def test_an_enrollment_asks_for_a_larger_face_than_a_session() -> None:
    face = a_face(width=100)

    assert framing(face, IMAGE, POLICY, Demands.of_session(POLICY)) is None
    assert framing(face, IMAGE, POLICY, Demands.of_enrollment(POLICY)) is Guidance.COME_CLOSER


def test_a_strong_tilt_is_asked_to_straighten() -> None:
    level, face = a_face(), a_face()
    tilted = Face(box=face.box, points=turned(face.points, 40), score=face.score)

    assert posture(level, POLICY) is None
    assert posture(tilted, POLICY) is Guidance.STRAIGHTEN_HEAD


def test_one_face_is_wanted() -> None:
    near, passer_by, companion = a_face(), a_face(width=50, score=0.7), a_face(width=100, score=0.7)

    assert presence([], POLICY) is Guidance.NO_FACE
    assert presence([a_face(score=0.7)], POLICY) is Guidance.NO_FACE
    assert presence([near, passer_by], POLICY) is near
    assert presence([near, companion], POLICY) is Guidance.SEVERAL_FACES


@pytest.mark.parametrize(
    ("brightness", "sharpness", "expected"),
    [
        (120, 100, None),
        (20, 100, Guidance.MORE_LIGHT),
        (220, 100, Guidance.LESS_LIGHT),
        (120, 5, Guidance.BLURRED),
    ],
)
def test_light_and_sharpness_are_named(brightness: float, sharpness: float, expected: Guidance | None) -> None:
    quality = CropQuality(exposure=Exposure(brightness=brightness), sharpness=sharpness)

    assert quality.complaint(POLICY, Demands.of_session(POLICY)) is expected


def test_a_flat_gray_crop_has_its_brightness_and_no_sharpness() -> None:
    quality = CropQuality.of(np.full((112, 112, 3), 90, np.uint8), TEMPLATE, POLICY)

    assert quality.exposure.brightness == pytest.approx(90)
    assert quality.sharpness == 0


@pytest.mark.parametrize("box", [Box(x=0, y=0, width=200, height=240), Box(x=500, y=300, width=130, height=170)])
def test_the_surroundings_stay_inside_the_frame(box: Box) -> None:
    crop = surroundings(IMAGE, box)

    assert 0 < crop.shape[0] <= 480
    assert 0 < crop.shape[1] <= 640
    assert crop.shape[1] / crop.shape[0] == pytest.approx(box.width / box.height, rel=0.05)


def test_a_large_face_is_averaged_before_it_is_cropped() -> None:
    large = np.zeros((1200, 1200, 3), np.uint8)
    large[::2] = 200  # lines of one pixel: who picks pixels sees one kind of line, who averages sees gray

    crop = aligned_crop(large, np.asarray(TEMPLATE * 8 + 100, np.float32))

    assert crop.shape == (112, 112, 3)
    assert crop.std() < 20
    assert crop.mean() == pytest.approx(100, abs=3)


@pytest.mark.parametrize("where", [(0, 0), (-150, -80), (700, 500)])
def test_a_large_face_lies_in_the_crop_as_a_small_one_does(where: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, 1200, dtype=np.float32)
    large = np.asarray(
        np.dstack([np.tile(ramp, (1200, 1)), np.tile(ramp[:, None], (1, 1200)), np.zeros((1200, 1200))]), np.uint8
    )
    points = np.asarray(TEMPLATE * 5 + where, np.float32)

    crop = aligned_crop(large, points)

    middle_x, middle_y = np.array([55.5, 55.5]) * 5 + where
    assert crop[55:57, 55:57, 0].mean() == pytest.approx(255 * np.clip(middle_x, 0, 1199) / 1199, abs=4)
    assert crop[55:57, 55:57, 1].mean() == pytest.approx(255 * np.clip(middle_y, 0, 1199) / 1199, abs=4)
