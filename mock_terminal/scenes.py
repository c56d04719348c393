"""What stands before the camera: a living head, or one of the things that must not pass for one."""

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from mock_terminal.head import FloatMap, rotation

Image = NDArray[np.uint8]
Size = tuple[int, int]

FOCAL_LENGTH = 1.35  # of the frame's shorter side: eyes 63 mm apart span 0.17 of it at 500 mm; 53 degrees across
PHOTO_WIDTH = 0.86  # of the frame's width
WHOLE_VIEW = 1.3  # the same, of what is held so near that its rim is out of view
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
    BENT_PHOTO = "bent-photo"
    """A print bent around a cylinder, and turned in the hand."""
    CUT_OUT = "cut-out"
    """A face cut out of a print and worn before one's own, some with holes for eyes or nose."""
    SCREEN_REPLAY = "screen-replay"
    """The portrait on a tablet: bezel, pixel grid, moire, and turned in the hand."""
    SCREEN_VIDEO = "screen-video"
    """A tablet that shows the person, who does what is asked: a video that was chosen well, or a face made up live."""
    MASK = "paper-mask"
    """A print on a mask in the shape of the head: what no cue here stops for sure."""


SCREENS = frozenset({Scene.SCREEN_REPLAY, Scene.SCREEN_VIDEO})


def in_ink(picture: Image) -> Image:
    """Return the colours of a print: a little flatter, for ink on paper has less contrast than skin in light."""
    return np.asarray(np.clip(picture.astype(np.float32) * 0.9 + 14, 0, 255), np.uint8)


def as_print(picture: Image) -> Image:
    """Return the picture as a print: a white rim around it, colours a little flatter."""
    rim = max(2, round(picture.shape[1] * PAPER_BORDER))
    white = (235, 240, 242)
    return np.asarray(
        cv2.copyMakeBorder(in_ink(picture), rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=white), dtype=np.uint8
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hold:
    """How a hand holds a flat thing before the camera: turned about its middle."""

    size: Size
    homography: NDArray[np.float64]
    """From pixels of the thing to pixels of the view."""
    turn: NDArray[np.float64]
    middle: tuple[float, float]
    """Where the thing's middle is, in pixels off the view's."""
    scale: float
    """View pixels per pixel of the thing, seen from the front."""

    @property
    def focal_px(self) -> float:
        """Pixels."""
        return FOCAL_LENGTH * min(self.size)

    def view(self, thing: Image) -> Image:
        """Return what is seen: the thing before a dull wall."""
        seen = cv2.warpPerspective(
            thing,
            self.homography,
            self.size,
            flags=cv2.INTER_AREA,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=TABLE_COLOUR,
        )
        return np.asarray(seen, dtype=np.uint8)

    def distance(self, thing: Image, size: Size) -> tuple[FloatMap, NDArray[np.bool_]]:
        """Return at another size of the view how far the thing is, in its own distances, and where it is at all."""
        factor = size[0] / self.size[0]
        half = np.diag([factor, factor, 1.0]) @ self.homography
        whole = np.full(thing.shape[:2], 255, np.uint8)
        covers = cv2.warpPerspective(whole, half, size, flags=cv2.INTER_NEAREST) > 0
        columns, rows = np.meshgrid(np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32))
        across, down = columns / factor - self.size[0] / 2, rows / factor - self.size[1] / 2
        a, b, c = self.turn[:, 2]
        # The plane through the middle, with this normal, cut by the ray through each pixel.
        through = a * self.middle[0] + b * self.middle[1] - c * self.focal_px
        along = a * across + b * down - c * self.focal_px
        return np.asarray(through / np.minimum(along, -1e-3), np.float32), np.asarray(covers, np.bool_)


def held(
    thing: Image,
    size: Size,
    *,
    yaw_degrees: float,
    pitch_degrees: float,
    width_of_view: float = PHOTO_WIDTH,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Hold:
    """Return how a flat thing is held before a camera of this size.

    Args:
        thing: its picture.
        size: of the view, (width, height).
        yaw_degrees: as for a head.
        pitch_degrees: likewise.
        width_of_view: the part of the view's width, or height, that it spans.
        shift: of its middle, pixels of the view.
    """
    width, height = size
    thing_height, thing_width = thing.shape[:2]
    scale = width_of_view * min(width / thing_width, height / thing_height)
    half_x, half_y = thing_width * scale / 2, thing_height * scale / 2
    corners = np.array([[-half_x, -half_y, 0], [half_x, -half_y, 0], [half_x, half_y, 0], [-half_x, half_y, 0]])
    turn = rotation(yaw_degrees, pitch_degrees)
    turned = corners @ turn.T
    focal = FOCAL_LENGTH * min(size)
    seen = (turned[:, :2] + shift) * (focal / (focal - turned[:, 2:])) + (width / 2, height / 2)
    flat = np.array([[0, 0], [thing_width, 0], [thing_width, thing_height], [0, thing_height]], dtype=np.float32)
    homography = np.asarray(cv2.getPerspectiveTransform(flat, seen.astype(np.float32)), np.float64)
    return Hold(size=size, homography=homography, turn=turn, middle=shift, scale=scale)
