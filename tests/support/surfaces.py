"""Things in space before a depth camera, made of formulas: planes, bent sheets, heads, cut-outs."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Height = Callable[[Floats, Floats], Floats]
"""Millimetres towards the camera at (x, y), in eye distances off the middle between eyes and mouth; y is down."""

WIDTH, HEIGHT = 128, 128
EYES_PX, EYES_MM = 36.0, 63.0
# Right eye, left eye, nose, right and left mouth corner, in eye distances.
FACE = np.array([[-0.5, -0.5], [0.5, -0.5], [0.0, 0.12], [-0.4, 0.5], [0.4, 0.5]])


def face_points() -> NDArray[np.float32]:
    """Return the five landmarks in the middle of the map."""
    return (FACE * EYES_PX + (WIDTH / 2, HEIGHT / 2)).astype(np.float32)


def plane(_x: Floats, y: Floats) -> Floats:
    """Return paper that was laid on a table."""
    return np.zeros_like(y)


def bent(radius_mm: float, angle: float, *, hollow: bool = False) -> Height:
    """Return paper bent around a cylinder, across any direction."""

    def height(x: Floats, y: Floats) -> Floats:
        along = np.clip(EYES_MM * (np.cos(angle) * x + np.sin(angle) * y), -0.98 * radius_mm, 0.98 * radius_mm)
        sag = radius_mm - np.sqrt(radius_mm**2 - along**2)
        return np.asarray(sag if hollow else -sag, np.float64)

    return height


def head(x: Floats, y: Floats, nose_mm: float = 24.0) -> Floats:
    """Return a sphere, a little stretched, with a nose."""
    skull = 80 * np.sqrt(np.maximum(1 - (x / 1.45) ** 2 - (y / 2.1) ** 2, 0))
    along = np.where(y < 0.12, 0.45, 0.22)  # the tip
    return np.asarray(skull + nose_mm * np.exp(-0.5 * ((x / 0.25) ** 2 + ((y - 0.12) / along) ** 2)))


def bald_sphere(x: Floats, y: Floats) -> Floats:
    """Return the same without a nose."""
    return head(x, y, nose_mm=0.0)


def cut_out(sheet: Height, *holes: tuple[float, float, float], gap_mm: float = 90.0) -> Height:
    """Return a sheet cut along the outline of a face, with holes (x, y, radius), before a head."""

    def height(x: Floats, y: Floats) -> Floats:
        paper = (x / 1.1) ** 2 + (y / 1.4) ** 2 < 1
        for hole_x, hole_y, radius in holes:
            paper &= (x - hole_x) ** 2 + (y - hole_y) ** 2 > radius**2
        return np.where(paper, gap_mm + sheet(x, y), head(x, y))

    return height


def depth_map(
    height: Height,
    *,
    distance_mm: float = 500.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    noise_mm: float = 0.0,
    seed: int = 0,
    lost: float = 0.0,
) -> NDArray[np.uint16]:
    """Return what a depth camera measures of a thing, millimetres.

    Args:
        height: the thing.
        distance_mm: of its plane.
        tilt: tangent of its turn to the side and upwards; the whole thing leans, as in perspective.
        noise_mm: standard deviation of a pixel.
        seed: of noise and holes.
        lost: part of the pixels without a measurement.
    """
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    x, y = (columns - WIDTH / 2) / EYES_PX, (rows - HEIGHT / 2) / EYES_PX
    lean = EYES_MM * (tilt[0] * x + tilt[1] * y) / distance_mm
    z = distance_mm / np.maximum(1 - lean, 0.1) - height(x, y)  # a plane is linear in inverse depth
    draw = np.random.default_rng(seed)
    measured = np.clip(np.round(z + noise_mm * draw.standard_normal(z.shape)), 1, 65535)
    return np.where(draw.random(z.shape) < lost, 0, measured).astype(np.uint16)
