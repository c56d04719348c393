"""A face must be there in infrared, where colour has it, lit by the lamp and with eyes in it."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from face_pipeline import CueSays, FacePolicy, FrameUndecodableError
from face_pipeline.frames import Box, Face
from face_pipeline.liveness.infrared import InfraredReading, InfraredReason, in_infrared, red_of
from face_pipeline.picture.registration import as_colour, points_in
from tests.support.surfaces import EYES_PX, HEIGHT, WIDTH, face_points

POLICY = FacePolicy()


def inner_face() -> NDArray[np.uint8]:
    """Return what colour shows of a made-up face: skin with eyes, nostrils, mouth and a coarse texture."""
    picture = np.full((HEIGHT, WIDTH), 170, np.uint8)
    for x, y in face_points():
        cv2.ellipse(picture, (round(float(x)), round(float(y))), (9, 6), 0, 0, 360, 90, -1)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    texture = 14 * np.sin(columns / 3.1) * np.cos(rows / 4.3)
    return np.asarray(np.clip(picture + texture, 0, 255).astype(np.uint8))


def as_colour_picture(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(gray[:, :, None], 3, axis=2)


def lamp(*, strength: float = 0.09) -> NDArray[np.float64]:
    """Return what the terminal's lamp does to a head: light and shade that the room's light does not make."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.asarray(1 + strength * np.sin(columns / 5.3 + 1) * np.sin(rows / 6.1))


def drawn(*, kept: float = 0.6, bright: float = 0.8, own: float = 0.09) -> NDArray[np.uint8]:
    """Return the infrared picture of that face: so much of its detail is kept, under a light of its own."""
    shown = inner_face().astype(np.float64) / 170
    return np.clip(170 * bright * shown**kept * lamp(strength=own), 0, 255).astype(np.uint8)


def a_face(shift: float = 0.0) -> Face:
    points = face_points() + np.array([shift * EYES_PX, 0], np.float32)
    return Face(box=Box(x=20, y=20, width=80, height=90), points=points, score=0.9)


def seen(picture: NDArray[np.uint8], *faces: Face, points: NDArray[np.float32] | None = None) -> InfraredReading:
    own = face_points() if points is None else points
    return in_infrared(picture, own, faces, red_of(as_colour_picture(inner_face()), face_points()), POLICY)


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
    found = seen(drawn(bright=0.08))

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


@pytest.mark.parametrize(("kept", "reason"), [(0.15, InfraredReason.PALE), (-0.5, InfraredReason.PALE), (0.6, None)])
def test_a_picture_that_fades_in_infrared_does_not_speak_for_a_face(kept: float, reason: InfraredReason | None) -> None:
    found = seen(drawn(kept=kept), a_face())

    assert found.detail == pytest.approx(kept, abs=0.1)
    assert (found.says, found.reason) == (CueSays.SILENT if reason else CueSays.FOR, reason)


def test_carbon_ink_that_keeps_the_picture_and_shows_nothing_else_does_not_speak_for_a_face() -> None:
    found = seen(drawn(own=0.0), a_face())

    assert found.detail > POLICY.infrared_detail_min
    assert (found.says, found.reason) == (CueSays.SILENT, InfraredReason.NO_OWN_LIGHT)


def test_paper_around_the_wearers_own_nose_does_not_speak_for_a_face() -> None:
    paper, head = drawn(own=0.0), drawn()
    x, y = face_points()[2]
    hole = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(hole, (round(float(x)), round(float(y)) - 6), (11, 15), 0, 0, 360, 1, -1)

    found = seen(np.where(hole > 0, head, paper).astype(np.uint8), a_face())

    assert (found.says, found.reason) == (CueSays.SILENT, InfraredReason.NO_OWN_LIGHT)


def test_what_changes_slowly_across_the_face_is_no_light_of_its_own() -> None:
    away = np.linspace(0.6, 1.3, WIDTH)[None, :] * np.linspace(1.1, 0.8, HEIGHT)[:, None]

    found = seen(np.clip(drawn(own=0.0) * away, 0, 255).astype(np.uint8), a_face())

    assert found.reason is InfraredReason.NO_OWN_LIGHT


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
