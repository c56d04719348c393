"""How a portrait looks when the head in it turns: a depth for the face, a rotation, a re-projection.

Coordinates are the face's own: the unit is the distance between the eyes, the origin lies midway between eyes and
mouth, x runs along the eye line towards image right (the person's own left), y towards the chin, z towards the camera.
The depth is half an ellipsoid for the skull and a bump for the nose; its size follows an average adult head, whose eyes
are 63 mm apart. This is a simulation: good enough to exercise a pipeline, no evidence of how it treats real people.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

HEAD_HALF_WIDTH = 1.45  # eye distances: head breadth 155 mm and a little hair
HEAD_HALF_HEIGHT = 2.1  # chin to hairline and above
HEAD_DEPTH = 1.3  # ear plane to forehead
NOSE_HEIGHT = 0.42  # nose tip over the ellipsoid, 26 mm
NOSE_WIDTH = 0.28  # sigma of the bump; narrower would fold the far side over itself at 35 degrees
FADE_FROM, FADE_TO = 0.95, 2.2  # the turn fades out between these head radii, so that the background stays
SOLVER_GRID = 4  # the surface is solved at every fourth pixel: it is smooth, and a frame takes a quarter of the time
SOLVER_STEPS = 8  # fixed-point steps; the depth's slope times tan(30) stays below one, so each step helps

FloatMap = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceFrame:
    """Where the face's own coordinates lie in a picture: a similarity of origin, scale and roll."""

    origin: tuple[float, float]
    """Midway between eyes and mouth, in pixels."""
    eye_distance: float
    """Pixels per unit."""
    roll: float
    """Radians from image right to the eye line."""
    nose: tuple[float, float]
    """Nose tip in the face's own coordinates."""

    @classmethod
    def of(cls, points: NDArray[np.float64]) -> Self:
        """Read the frame from five landmarks, in the order of `Portrait.points`."""
        right_eye, left_eye, nose, right_mouth, left_mouth = points
        across = left_eye - right_eye
        origin = (right_eye + left_eye + right_mouth + left_mouth) / 4
        distance, roll = float(np.hypot(*across)), float(np.arctan2(across[1], across[0]))
        x, y = _turned(nose - origin, -roll) / distance
        return cls(origin=(origin[0], origin[1]), eye_distance=distance, roll=roll, nose=(float(x), float(y)))

    def coordinates(self, columns: FloatMap, rows: FloatMap) -> tuple[FloatMap, FloatMap]:
        """Turn pixels into the face's own coordinates."""
        cos, sin = np.cos(self.roll) / self.eye_distance, np.sin(self.roll) / self.eye_distance
        right, down = columns - self.origin[0], rows - self.origin[1]
        return np.float32(cos) * right + np.float32(sin) * down, np.float32(cos) * down - np.float32(sin) * right

    def pixels(self, x: FloatMap, y: FloatMap) -> tuple[FloatMap, FloatMap]:
        """Turn the face's own coordinates into pixels."""
        cos, sin = np.float32(np.cos(self.roll) * self.eye_distance), np.float32(np.sin(self.roll) * self.eye_distance)
        return self.origin[0] + cos * x - sin * y, self.origin[1] + sin * x + cos * y


def rotation(yaw_degrees: float, pitch_degrees: float) -> NDArray[np.float64]:
    """Return the head's rotation.

    Positive yaw: the person turns to their own left, which carries the nose towards image right in an unmirrored
    picture. Positive pitch: the person looks up, which carries the nose towards the top of the picture.
    """
    yaw, pitch = np.radians(yaw_degrees), np.radians(pitch_degrees)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    return np.asarray(about_y @ about_x, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How far skull and nose of one person stand out, against the average."""

    skull: float = 1.0
    nose: float = 1.0

    @classmethod
    def of(cls, points: NDArray[np.float64]) -> Self:
        """Draw a build for a portrait, the same one each time: people differ by some ten percent."""
        draw = np.random.default_rng(np.round(points.ravel() * 16).astype(np.uint32))
        return cls(skull=float(draw.uniform(0.88, 1.12)), nose=float(draw.uniform(0.75, 1.2)))


AVERAGE = Build()


def depth(x: FloatMap, y: FloatMap, nose: tuple[float, float], build: Build = AVERAGE) -> FloatMap:
    """Return how far each point of the portrait stands out of the ear plane, in eye distances."""
    radius_squared = (x / HEAD_HALF_WIDTH) ** 2 + (y / HEAD_HALF_HEIGHT) ** 2
    skull = HEAD_DEPTH * build.skull * np.sqrt(np.maximum(1 - radius_squared, 0))
    nose_x, nose_y = nose
    # The ridge runs from the tip up between the eyes: wider in y above the tip than below it.
    along = np.where(y < nose_y, 0.45, 0.22).astype(np.float32)
    bump = NOSE_HEIGHT * build.nose * np.exp(-0.5 * (((x - nose_x) / NOSE_WIDTH) ** 2 + ((y - nose_y) / along) ** 2))
    return np.asarray(skull + bump, dtype=np.float32)


Surface = Callable[[FloatMap, FloatMap], FloatMap]
"""How far a thing stands out at (x, y), in eye distances."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """Which point of a surface is seen where, on the coarse grid of a view."""

    at_x: FloatMap
    at_y: FloatMap
    """Where the grid looks, in the face's own coordinates."""
    x: FloatMap
    y: FloatMap
    """The point of the surface that is seen there."""
    turn: NDArray[np.float64]

    def height(self, surface: Surface) -> FloatMap:
        """Return how far the turned surface stands out towards the camera where it is seen, in eye distances."""
        a, b, c = self.turn[2].astype(np.float32)
        return np.asarray(a * self.x + b * self.y + c * surface(self.x, self.y), np.float32)


def seen(x: FloatMap, y: FloatMap, surface: Surface, turn: NDArray[np.float64], *, nearness: float = 0.0) -> Seen:
    """Return which points of a turned surface are seen from the points of a view.

    The thing turns about its own centre. A view point (u, v) shows the surface point whose rotation lands there, found
    by a fixed-point iteration.

    Args:
        x: where the view looks, (y, x), in the face's own coordinates; solved on every fourth pixel.
        y: likewise.
        surface: what is turned; single-valued over (x, y).
        turn: rotation, (3, 3).
        nearness: one over the camera's distance in eye distances; 0 looks from infinitely far.
    """
    height, width = x.shape
    coarse = (max(2, width // SOLVER_GRID), max(2, height // SOLVER_GRID))
    at_x, at_y = (resized(values, coarse) for values in (x, y))
    (a, b), (c, d) = np.linalg.inv(turn[:2, :2]).astype(np.float32)
    shift_x, shift_y = np.float32(turn[0, 2]), np.float32(turn[1, 2])
    out_x, out_y, out_z = turn[2].astype(np.float32)
    source_x, source_y = at_x, at_y
    for _ in range(SOLVER_STEPS):
        z = surface(source_x, source_y)
        shrink = 1 - np.float32(nearness) * (out_x * source_x + out_y * source_y + out_z * z) if nearness else 1
        rest_x, rest_y = at_x * shrink - shift_x * z, at_y * shrink - shift_y * z
        source_x, source_y = (source_x + a * rest_x + b * rest_y) / 2, (source_y + c * rest_x + d * rest_y) / 2
    return Seen(at_x=at_x, at_y=at_y, x=source_x, y=source_y, turn=turn)


def head_view(x: FloatMap, y: FloatMap, looked: Seen) -> tuple[FloatMap, FloatMap]:
    """Return for each point of the turned view the point of the portrait that is seen there.

    Outside the head the turn fades to nothing and the background stays put.
    """
    size = (x.shape[1], x.shape[0])
    weight = _fade(looked.at_x, looked.at_y)
    shift_x, shift_y = weight * (looked.x - looked.at_x), weight * (looked.y - looked.at_y)
    return x + resized(shift_x, size), y + resized(shift_y, size)


def resized(values: FloatMap, size: tuple[int, int]) -> FloatMap:
    """Return a smooth map at another size, (width, height)."""
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def remap(image: NDArray[np.uint8], columns: FloatMap, rows: FloatMap) -> NDArray[np.uint8]:
    """Sample a picture at fractional pixels; beyond its edge it goes on mirrored."""
    seen = cv2.remap(
        image,
        np.asarray(columns, dtype=np.float32),
        np.asarray(rows, dtype=np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    return np.asarray(seen, dtype=np.uint8)


def _fade(x: FloatMap, y: FloatMap) -> FloatMap:
    """Return one inside the head, zero far from it, and a smooth step between."""
    radius = np.sqrt((x / HEAD_HALF_WIDTH) ** 2 + (y / HEAD_HALF_HEIGHT) ** 2)
    step = np.clip((FADE_TO - radius) / (FADE_TO - FADE_FROM), 0, 1)
    return np.asarray(step * step * (3 - 2 * step), dtype=np.float32)


def _turned(vector: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1]])
