"""What do an infrared and a depth camera make of what stands before them?

The models are coarse and of our own making: the shape of their errors follows what is commonly said of structured light
and time of flight (noise that grows with the square of the distance, holes at edges, on grazing and on dark surfaces,
a small shift on dark ones). Nothing here was measured on a real sensor.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FloatMap = NDArray[np.float32]

LIT_MM = 500.0  # the infrared lamp is set for a face at this distance
EXPOSURE = 230.0  # gray level of a white sheet that faces the lamp there
EXPOSED_TO = 190.0  # the camera exposes its middle so that nine tenths of it are below this gray level
GAIN = (0.2, 1.6)  # what its exposure can do: a dark thing stays dark
INFRARED_NOISE = 2.0  # standard deviation in gray levels
DEPTH_NOISE_MM = (1.0, 2.4)  # standard deviation of one pixel at 500 mm; each camera has its own
DARK_SHIFT_MM = 2.5  # a black surface seems this much farther than a white one
EDGE_MM = 22.0  # a step between neighbouring pixels from which neither is measured
GRAZING = 0.22  # cosine below which a surface sends nothing back
DARK = 0.12  # reflectance below which many pixels are not measured
DARK_HOLES = 0.35  # of them
DROPOUT = 0.012  # of all pixels, without a reason
RANGE_MM = 4000.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solid:
    """What stands before the cameras, beyond its colours; maps are (y, x), float32."""

    distance_mm: FloatMap
    reflectance: FloatMap
    """Of near infrared, 0..1."""
    slope_unit_mm: float
    """What one pixel spans at the thing, in millimetres."""
    glare: FloatMap | None = None
    """What the lamp's mirror image adds, in gray levels."""
    seams: FloatMap | None = None
    """Cosine to the camera where one surface ends before another: a step between two is no steep surface."""


def facing(solid: Solid) -> FloatMap:
    """Return the cosine between each surface and the direction to the camera, as if all were one."""
    smooth = cv2.GaussianBlur(solid.distance_mm, (0, 0), 1.2)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8) / solid.slope_unit_mm
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8) / solid.slope_unit_mm
    return np.asarray(1 / np.sqrt(1 + across**2 + down**2), np.float32)


def infrared(solid: Solid, draw: np.random.Generator, light: float) -> NDArray[np.uint8]:
    """Return the infrared picture, (y, x): lit from the terminal, so bright is what is near and faces it."""
    cosine = facing(solid) if solid.seams is None else solid.seams
    lit = solid.reflectance * cosine * (LIT_MM / solid.distance_mm) ** 2
    picture = EXPOSURE * light * lit
    height, width = picture.shape
    middle = picture[height // 4 : -(height // 4) : 4, width // 4 : -(width // 4) : 4]
    picture *= np.float32(np.clip(EXPOSED_TO / max(float(np.quantile(middle, 0.9)), 1.0), *GAIN))
    if solid.glare is not None:
        picture += solid.glare
    picture += INFRARED_NOISE * draw.standard_normal(picture.shape, dtype=np.float32)
    return np.clip(picture, 0, 255).astype(np.uint8)


def depth(solid: Solid, draw: np.random.Generator, noise_mm: float) -> NDArray[np.uint16]:
    """Return the depth picture, (y, x), millimetres, 0 where nothing was measured.

    Args:
        solid: what is there.
        draw: where noise and holes come from.
        noise_mm: standard deviation of one pixel at 500 mm.
    """
    true = solid.distance_mm
    white = draw.standard_normal(true.shape, dtype=np.float32)
    cloudy = 3.6 * cv2.GaussianBlur(white, (0, 0), 1.0)  # neighbours err alike; the factor keeps the deviation at 1
    noise = noise_mm * (0.6 * np.roll(white, 7, axis=1) + 0.8 * cloudy) * (true / LIT_MM) ** 2
    measured = cv2.GaussianBlur(true, (0, 0), 0.8) + noise + DARK_SHIFT_MM * (0.6 - solid.reflectance)
    highest, lowest = cv2.dilate(true, np.ones((3, 3))), cv2.erode(true, np.ones((3, 3)))
    luck = draw.random(true.shape, dtype=np.float32)
    holes = (highest - lowest > EDGE_MM) | (luck < DROPOUT) | (true > RANGE_MM) | (facing(solid) < GRAZING)
    holes |= (solid.reflectance < DARK) & (luck < DARK_HOLES)
    return np.where(holes, 0, np.clip(np.round(measured), 1, 65535)).astype(np.uint16)
