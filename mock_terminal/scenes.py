"""What stands before the camera: a living head, or one of the things that must not pass for one."""

from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from mock_terminal.head import rotation

Image = NDArray[np.uint8]
Size = tuple[int, int]

VIEWING_DISTANCE = 2.2  # a flat thing is held this many of its own widths away
PHOTO_WIDTH = 0.86  # of the frame's width
TABLE_COLOUR = (96, 102, 108)  # BGR, a dull wall behind the photo or screen
PAPER_BORDER = 0.035  # white rim of a print, of its width
BEZEL = 0.06  # black rim of a screen, of its width
SCREEN_GLOW = 1.12  # a screen is brighter than skin in the same room
GRID_DEPTH = 0.30  # contrast of the screen's pixel rows and columns as the camera sees them
MOIRE_DEPTH = 0.10  # contrast of the slow beat between the screen's grid and the sensor's


class Scene(StrEnum):
    """What the camera looks at."""

    LIVE_HEAD = "live-head"
    """A person: the face has depth and turns as a head."""
    FROZEN = "frozen"
    """A person's picture, perfectly still: no turn, no tremor."""
    FLAT_PHOTO = "flat-photo"
    """A print held before the camera and turned in the hand."""
    SCREEN_REPLAY = "screen-replay"
    """The portrait on a tablet: bezel, pixel grid, moire, and turned in the hand."""


def as_print(picture: Image) -> Image:
    """Return the picture as a print: a white rim around it, colours a little flatter."""
    rim = max(2, round(picture.shape[1] * PAPER_BORDER))
    flat = picture.astype(np.float32) * 0.9 + 14  # ink on paper has less contrast than skin in light
    return np.asarray(
        cv2.copyMakeBorder(
            np.clip(flat, 0, 255).astype(np.uint8), rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(235, 240, 242)
        ),
        dtype=np.uint8,
    )


def as_screen(picture: Image, *, phase: float) -> Image:
    """Return the picture as a tablet shows it to a camera: pixel grid, beat pattern, glow, black bezel."""
    height, width = picture.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    grid = np.where((columns % 3 < 1) | (rows % 3 < 1), np.float32(1 - GRID_DEPTH), np.float32(1))
    beat = np.sin(0.21 * columns + 0.047 * rows + phase) * np.sin(0.17 * rows - 0.031 * columns + 0.7 * phase)
    factor = SCREEN_GLOW * grid * (1 + MOIRE_DEPTH * beat)
    # The beat differs by colour, since red, green and blue subpixels lie side by side.
    tint = np.stack([1 + 0.04 * np.sin(0.21 * columns + shift + phase) for shift in (0.0, 2.1, 4.2)], axis=2)
    shown = np.clip(picture.astype(np.float32) * factor[..., None] * tint, 0, 255).astype(np.uint8)
    rim = max(3, round(width * BEZEL))
    return np.asarray(cv2.copyMakeBorder(shown, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(12, 12, 12)), np.uint8)


def held(thing: Image, size: Size, *, yaw_degrees: float, pitch_degrees: float, zoom: float = 1.0) -> Image:
    """Return the view of a flat thing that a hand holds before the camera and turns about its middle."""
    width, height = size
    thing_height, thing_width = thing.shape[:2]
    scale = PHOTO_WIDTH * zoom * min(width / thing_width, height / thing_height)
    half_x, half_y = thing_width * scale / 2, thing_height * scale / 2
    corners = np.array([[-half_x, -half_y, 0], [half_x, -half_y, 0], [half_x, half_y, 0], [-half_x, half_y, 0]])
    turned = corners @ rotation(yaw_degrees, pitch_degrees).T
    distance = VIEWING_DISTANCE * 2 * half_x
    seen = turned[:, :2] * (distance / (distance - turned[:, 2:])) + (width / 2, height / 2)
    flat = np.array([[0, 0], [thing_width, 0], [thing_width, thing_height], [0, thing_height]], dtype=np.float32)
    homography = cv2.getPerspectiveTransform(flat, seen.astype(np.float32))
    view = cv2.warpPerspective(
        thing,
        homography,
        (width, height),
        flags=cv2.INTER_AREA,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=TABLE_COLOUR,
    )
    return np.asarray(view, dtype=np.uint8)
