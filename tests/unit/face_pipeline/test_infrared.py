"""A face must be there in infrared, where colour has it, lit by the lamp and with eyes in it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from face_pipeline import CueSays, FacePolicy, FrameUndecodableError
from face_pipeline.frames import Box, Face
from face_pipeline.liveness.infrared import InfraredReading, InfraredReason, in_infrared
from face_pipeline.picture.registration import as_colour, points_in
from tests.support.surfaces import EYES_PX, HEIGHT, WIDTH, face_points

POLICY = FacePolicy()


def drawn(*, skin: int = 150, eyes: int = 80) -> NDArray[np.uint8]:
    """Return a bright oval with two darker eyes."""
    picture = np.full((HEIGHT, WIDTH), 12, np.uint8)
    cv2.ellipse(picture, (WIDTH // 2, HEIGHT // 2), (52, 62), 0, 0, 360, skin, -1)
    for x, y in face_points()[:2]:
        cv2.ellipse(picture, (round(float(x)), round(float(y))), (9, 6), 0, 0, 360, eyes, -1)
    return picture


def a_face(shift: float = 0.0) -> Face:
    points = face_points() + np.array([shift * EYES_PX, 0], np.float32)
    return Face(box=Box(x=20, y=20, width=80, height=90), points=points, score=0.9)


def seen(picture: NDArray[np.uint8], *faces: Face, points: NDArray[np.float32] | None = None) -> InfraredReading:
    return in_infrared(picture, face_points() if points is None else points, faces, POLICY)


def turned() -> NDArray[np.float32]:
    """Return the landmarks of a head turned to its left: the nose lies off the middle."""
    points = face_points()
    points[2, 0] += 0.3 * EYES_PX
    return points


def test_a_face_where_colour_has_it_speaks_for_the_person() -> None:
    found = seen(drawn(), a_face())

    assert found.says is CueSays.FOR
    assert found.reason is None
    assert found.offset == pytest.approx(0)


def test_a_screen_is_dark_and_speaks_against() -> None:
    found = seen(drawn(skin=14, eyes=12))

    assert found.says is CueSays.AGAINST
    assert found.reason is InfraredReason.DARK


def test_no_face_speaks_against_one_that_looks_straight() -> None:
    found = seen(drawn())

    assert found.says is CueSays.AGAINST
    assert found.reason is InfraredReason.NO_FACE


def test_no_face_says_nothing_of_a_head_that_is_turned() -> None:
    found = seen(drawn(), points=turned())

    assert found.says is CueSays.SILENT
    assert found.reason is InfraredReason.NO_FACE


def test_another_face_elsewhere_speaks_against() -> None:
    found = seen(drawn(), a_face(shift=2.0))

    assert found.says is CueSays.AGAINST
    assert found.reason is InfraredReason.ELSEWHERE


def test_the_nearest_of_several_faces_counts() -> None:
    assert seen(drawn(), a_face(shift=3.0), a_face(shift=0.1)).says is CueSays.FOR


def test_a_face_that_is_only_nearly_there_says_nothing() -> None:
    found = seen(drawn(), a_face(shift=1.1))

    assert found.says is CueSays.SILENT
    assert found.reason is InfraredReason.ELSEWHERE


def test_eyes_as_bright_as_the_cheeks_do_not_speak_for_a_face() -> None:
    found = seen(drawn(skin=150, eyes=149), a_face())

    assert found.says is CueSays.SILENT
    assert found.reason is InfraredReason.PALE


def test_a_lamp_that_drowns_the_face_says_nothing() -> None:
    found = seen(np.full((HEIGHT, WIDTH), 255, np.uint8), a_face())

    assert found.says is CueSays.SILENT
    assert found.reason is InfraredReason.GLARE


@settings(deadline=None, max_examples=40)
@given(
    points=st.lists(st.floats(-1e4, 1e4, width=32), min_size=10, max_size=10),
    gray=st.integers(0, 255),
)
def test_no_points_and_no_picture_break_it(points: list[float], gray: int) -> None:
    picture = np.full((48, 64), gray, np.uint8)

    assert seen(picture, points=np.array(points, np.float32).reshape(5, 2)).says is not CueSays.FOR


def test_points_are_found_again_in_a_companion_of_another_size() -> None:
    colour, half = np.zeros((480, 640, 3), np.uint8), np.zeros((240, 320), np.uint8)
    corner_and_middle = np.array(
        [[-0.5, -0.5], [319.5, 239.5]], np.float32
    )  # the edges of pixels, as their middles count

    assert points_in(corner_and_middle, colour, half).tolist() == [[-0.5, -0.5], [159.5, 119.5]]


def test_a_companion_of_another_shape_is_refused() -> None:
    colour, wide = np.zeros((480, 640, 3), np.uint8), np.zeros((240, 427), np.uint8)

    with pytest.raises(FrameUndecodableError, match="shape"):
        points_in(face_points(), colour, wide)


def test_a_gray_picture_becomes_three_equal_channels() -> None:
    gray = drawn()

    assert (as_colour(gray) == gray[:, :, None]).all()
    assert as_colour(gray).shape == (HEIGHT, WIDTH, 3)
