"""How is a face brought to the place, size and angle the embedding model was trained on?"""

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Image, Points

CROP_SIDE: Final = 112
SHRINK_FROM: Final = 3  # times larger than the crop
SCALE_MIN: Final = 1e-3  # keeps five points in one place from dividing by zero
# Where the five points lie in the crop, pixels; the ArcFace template, which SFace was trained on too.
TEMPLATE: Final[Points] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


def aligned_crop(image: Image, points: Points) -> Image:
    """Return the face as a crop of 112 x 112 pixels, with the channels of the image.

    A large face is shrunk by averaging first: taking every fourth pixel would leave noise and drop lines.
    """
    transform = similarity_transform(points, TEMPLATE)
    shrink = int(1 / max(math.hypot(transform[0, 0], transform[1, 0]), SCALE_MIN))
    if shrink >= SHRINK_FROM:
        image, origin = _shrunk(image, transform, shrink)
        transform = similarity_transform(np.asarray((points - origin + 0.5) / shrink - 0.5, np.float32), TEMPLATE)
    return np.asarray(cv2.warpAffine(image, transform, (CROP_SIDE, CROP_SIDE)), np.uint8)


def _shrunk(image: Image, transform: NDArray[np.float64], shrink: int) -> tuple[Image, NDArray[np.float32]]:
    """Return what of the image the crop shows, smaller by a whole factor, and where its corner was, xy."""
    side = CROP_SIDE - 1
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float32)
    seen = mapped(corners, np.asarray(cv2.invertAffineTransform(transform), np.float64))
    height, width = image.shape[:2]
    left, top = (int(value) for value in np.clip(seen.min(axis=0) - shrink, 0, (width - 1, height - 1)))
    right, bottom = (int(value) for value in np.clip(seen.max(axis=0) + 2 * shrink, 1, (width, height)))
    # Whole blocks only, so that the factor is exact.
    cut = image[
        top : top + max((bottom - top) // shrink, 1) * shrink, left : left + max((right - left) // shrink, 1) * shrink
    ]
    size = max(cut.shape[1] // shrink, 1), max(cut.shape[0] // shrink, 1)
    return np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8), np.array([left, top], np.float32)


def similarity_transform(source: Points, target: Points) -> NDArray[np.float64]:
    """Return the rotation, scale and shift, shape (2, 3), that bring source nearest to target (least squares).

    Points of the plane are read as complex numbers: a similarity is then z -> a z + b, and a has a closed form.
    """
    # Plain numbers: for five points numpy has too much ado.
    z = [complex(x, y) for x, y in source.tolist()]
    w = [complex(x, y) for x, y in target.tolist()]
    z_middle, w_middle = sum(z) / len(z), sum(w) / len(w)
    onto = sum((here - z_middle).conjugate() * (there - w_middle) for here, there in zip(z, w, strict=True))
    a = onto / max(sum(abs(here - z_middle) ** 2 for here in z), 1e-9)
    b = w_middle - a * z_middle
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def roll_degrees(points: Points) -> float:
    """Return how far the eye line is from level, in degrees; positive is clockwise in the image."""
    (right_x, right_y), (left_x, left_y) = points[:2].tolist()
    return math.degrees(math.atan2(left_y - right_y, left_x - right_x))


def mapped(points: Points | NDArray[np.float64], transform: NDArray[np.float64]) -> Points:
    """Return the points after an affine transform of shape (2, 3)."""
    (xx, xy, x_shift), (yx, yy, y_shift) = transform.tolist()  # plain numbers, as above
    places: list[list[float]] = points.tolist()
    return np.array([(xx * x + xy * y + x_shift, yx * x + yy * y + y_shift) for x, y in places], np.float32)
