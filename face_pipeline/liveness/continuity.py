"""Does the face look as it did a frame ago? A cheap question that says when the dear one must be asked."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Image

Thumbnail = NDArray[np.float64]
SIDE: Final = 28  # pixels: small enough that noise and a few degrees do not matter
RIM: Final = 3  # pixels without: hair and background there say little about who it is


def thumbnail(crop: Image) -> Thumbnail:
    """Return an aligned crop as a small gray picture of mean 0 and deviation 1."""
    small = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    inner = small[RIM:-RIM, RIM:-RIM]
    mean, deviation = cv2.meanStdDev(inner)  # numpy's own take four times as long
    return np.asarray((inner - float(mean[0, 0])) / max(float(deviation[0, 0]), 1e-6), np.float64)


def likeness(one: Thumbnail, other: Thumbnail) -> float:
    """Return the correlation of two thumbnails, in [-1, 1]."""
    return float(np.vdot(one, other)) / one.size
