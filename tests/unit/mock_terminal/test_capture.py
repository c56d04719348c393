"""A terminal sends what its cameras promise, and what they see is the person who was told what to do."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from mock_terminal.camera import Camera, Portrait
from mock_terminal.capture import Viewfinder
from mock_terminal.eye import BESIDE, Cameras
from mock_terminal.patient import Patient
from mock_terminal.scenes import Scene
from mock_terminal.window import Window
from shualian.terminal.v1 import face_pb2

POINTS = np.array([[80, 90], [140, 90], [110, 125], [88, 155], [132, 155]], dtype=np.float64)


@pytest.fixture
def somebody() -> Portrait:
    """Return a drawing with the points of a face."""
    image = np.full((220, 220, 3), (150, 170, 205), dtype=np.uint8)
    for x, y in POINTS:
        cv2.circle(image, (int(x), int(y)), 6, (40, 40, 60), -1)
    return Portrait(image_bgr=image, points=POINTS)


def seen_by(cameras: Cameras, somebody: Portrait) -> Sequence[face_pb2.Picture]:
    camera = Camera(somebody, size=(320, 240))
    return Viewfinder(camera, Patient(), cameras=cameras).pictures(0.1)


@pytest.mark.parametrize("cameras", list(Cameras))
def test_what_is_promised_is_what_comes_with_colour_first(somebody: Portrait, cameras: Cameras) -> None:
    pictures = seen_by(cameras, somebody)

    assert [picture.modality for picture in pictures] == [face_pb2.MODALITY_RGB, *BESIDE[cameras]]


def test_pictures_are_encoded_as_the_contract_says(somebody: Portrait) -> None:
    colour, infrared, depth = (
        cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_UNCHANGED)
        for picture in seen_by(Cameras.ALL, somebody)
    )

    assert colour is not None
    assert infrared is not None
    assert depth is not None
    assert (colour.shape, colour.dtype.name) == ((240, 320, 3), "uint8")
    assert (infrared.ndim, infrared.dtype.name) == (2, "uint8")
    assert (depth.ndim, depth.dtype.name) == (2, "uint16")
    # The same shape as the colour picture, at whatever resolution: what is in the middle of one is in that of all.
    assert infrared.shape[1] / infrared.shape[0] == pytest.approx(320 / 240)
    assert depth.shape[1] / depth.shape[0] == pytest.approx(320 / 240)


def test_who_is_told_to_turn_is_seen_turning(somebody: Portrait) -> None:
    told, left_alone = (Viewfinder(Camera(somebody, size=(320, 240)), Patient(), cameras=Cameras.RGB) for _ in range(2))
    told.told(face_pb2.HINT_TURN_LEFT)

    assert told.pictures(1.0) != left_alone.pictures(1.0)


def test_who_comes_to_the_window_again_stands_a_little_differently(somebody: Portrait) -> None:
    window = Window(somebody, cameras=Cameras.RGB, seed=3)

    assert window.eye().pictures(0.1) != window.eye().pictures(0.1)


def test_what_cannot_move_does_not(somebody: Portrait) -> None:
    eye = Window(somebody, cameras=Cameras.RGB).eye(Scene.FROZEN, obeys=False)
    eye.told(face_pb2.HINT_TURN_LEFT)

    assert eye.pictures(0.1) == eye.pictures(2.0)
