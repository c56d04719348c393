"""How is a face brought to the place, size and angle the embedding model was trained on?"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Image, Points

CROP_SIDE: Final = 112
# Where the five points lie in the crop, pixels; the ArcFace template, which SFace was trained on too.
TEMPLATE: Final[Points] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)


def aligned_crop(image: Image, points: Points) -> Image:
    """Return the face as a crop of 112 x 112 pixels, BGR."""
    return np.asarray(cv2.warpAffine(image, similarity_transform(points, TEMPLATE), (CROP_SIDE, CROP_SIDE)), np.uint8)


def similarity_transform(source: Points, target: Points) -> NDArray[np.float64]:
    """Return the rotation, scale and shift, shape (2, 3), that bring source nearest to target (least squares).

    Points of the plane are read as complex numbers: a similarity is then z -> a z + b, and a has a closed form.
    """
    z = source[:, 0].astype(np.float64) + 1j * source[:, 1]
    w = target[:, 0].astype(np.float64) + 1j * target[:, 1]
    z_middle, w_middle = z.mean(), w.mean()
    centred = z - z_middle
    a = np.vdot(centred, w - w_middle) / max(float(np.vdot(centred, centred).real), 1e-9)
    b = w_middle - a * z_middle
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def roll_degrees(points: Points) -> float:
    """Return how far the eye line is from level, in degrees; positive is clockwise in the image."""
    right_eye, left_eye = points[0], points[1]
    return float(np.degrees(np.arctan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0])))


def mapped(points: Points, transform: NDArray[np.float64]) -> Points:
    """Return the points after an affine transform of shape (2, 3)."""
    return np.asarray(points @ transform[:, :2].T + transform[:, 2], np.float32)
