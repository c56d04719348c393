"""How is a head held, as far as five points tell?

The nose stands out of the plane of eyes and mouth. Seen from the front it lies in their middle; when the head turns, it
moves against them. In the affine frame of eyes and mouth, a flat picture keeps it in place however it is turned.
"""

import math
from typing import Final

import numpy as np

from face_pipeline.frames import Points

# Where eyes and mouth corners lie in the face's own frame: x in eye distances, y in heights between eyes and mouth.
FRAME: Final = np.array([[-0.5, 0.0], [0.5, 0.0], [-0.4, 1.0], [0.4, 1.0]])
ACROSS: Final[tuple[float, ...]] = tuple(FRAME[:, 0].tolist())  # their middle is 0
REGULAR: Final = 1e-9  # of the area that four points may span: below it they lie on one line
AFFINE_POINTS: Final = [0, 1, 3, 4]  # eyes and mouth corners among the five landmarks


def nose_offset(points: Points) -> float:
    """Return where the nose is, in eye distances: 0 is the middle, positive towards the person's left."""
    # Least squares over four points, written out: it is asked several times a frame, and numpy has too much ado.
    places: list[list[float]] = (points - points[2]).tolist()  # with the nose as origin, its place is the shift
    x, y = (sum(places[index][axis] for index in AFFINE_POINTS) / len(AFFINE_POINTS) for axis in (0, 1))
    xx = xy = yy = xf = yf = 0.0
    for index, place in zip(AFFINE_POINTS, ACROSS, strict=True):
        right, down = places[index][0] - x, places[index][1] - y
        xx, xy, yy = xx + right * right, xy + right * down, yy + down * down
        xf, yf = xf + right * place, yf + down * place
    size = xx * yy - xy * xy
    if size <= REGULAR * xx * yy:
        return 0.0  # all four on one line: nothing is known
    return -(x * (xf * yy - yf * xy) + y * (yf * xx - xf * xy)) / size


def narrowness(points: Points) -> float:
    """Return eye distance over the height between eyes and mouth; it shrinks when anything is turned sideways."""
    across, down = _sides(points)
    return across / max(down, 1e-6)


def extent(points: Points) -> float:
    """Return how large the face is, in pixels: it grows as one comes closer, however the head is tilted."""
    across, down = _sides(points)
    return math.sqrt(across * down)


def _sides(points: Points) -> tuple[float, float]:
    """Return eye distance, and height between eyes and mouth, in pixels."""
    right_eye, left_eye, _, right_mouth, left_mouth = points.tolist()
    eyes = math.dist(left_eye, right_eye)
    down = [(a + b - c - d) / 2 for a, b, c, d in zip(right_mouth, left_mouth, right_eye, left_eye, strict=True)]
    return eyes, math.hypot(*down)
