"""Are the eyes behind dark glasses, or the mouth behind a mask?

Measured on the aligned crop of a frontal face, where eyes and mouth have their places. Dark lenses take the light from
the skin under the eyes, which lids, lashes and clear lenses leave as bright as the cheeks; and they take the detail
from the eyes. A mask takes away the lines of mouth and nostrils, which a beard does not. Nothing here knows colours:
skin of any tone is compared with itself.
"""

import math
from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Guidance
from face_pipeline.policy import FacePolicy

Gray = NDArray[np.uint8]
Patch = tuple[slice, slice]

# Rows and columns of the aligned crop, 112 x 112; the image's left side first, where the person's right eye is.
UNDER_EYES: Final[tuple[Patch, ...]] = ((slice(56, 61), slice(32, 46)), (slice(56, 61), slice(66, 80)))
EYES: Final[tuple[Patch, ...]] = ((slice(46, 58), slice(32, 46)), (slice(46, 58), slice(66, 80)))
CHEEKS: Final[tuple[Patch, ...]] = ((slice(68, 82), slice(30, 46)), (slice(68, 82), slice(66, 82)))
MOUTH: Final[Patch] = (slice(84, 102), slice(42, 70))
LOWER_FACE: Final[Patch] = (slice(62, 100), slice(36, 76))
UPPER_FACE: Final[Patch] = (slice(20, 62), slice(28, 84))
LIGHT_MIN: Final = 8.0  # gray; below it a ratio says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncovered:
    """How much of eyes and mouth is to be seen."""

    eyes: float
    """Light under the eyes as a part of that on the cheeks, times the root of the detail in the eyes; about 0.8 in
    real faces, below 0.28 behind most dark glasses."""
    mouth: float
    """Vertical change of gray about the mouth as a part of its brightness; about 0.6 in real faces, 0.1 in masks."""
    mouth_to_eyes: float
    """The same change as a part of that above the nose, which blur takes from both alike; about 1.7, in masks 0.3."""

    @classmethod
    def of(cls, gray: Gray) -> Self:
        """Measure an aligned crop, shape (112, 112)."""
        change = np.asarray(cv2.Sobel(gray, cv2.CV_16S, 0, 1), np.int16)
        light = [max(_mean(gray, cheek), LIGHT_MIN) for cheek in CHEEKS]
        shade = [_mean(gray, under) / cheek for under, cheek in zip(UNDER_EYES, light, strict=True)]
        detail = [_strength(change, eye) / cheek for eye, cheek in zip(EYES, light, strict=True)]
        mouth = _strength(change, MOUTH)
        return cls(
            eyes=sum(shade) / len(shade) * math.sqrt(sum(detail) / len(detail)),
            mouth=mouth / max(_mean(gray, LOWER_FACE), LIGHT_MIN),
            mouth_to_eyes=mouth / max(_strength(change, UPPER_FACE), 1.0),
        )

    def complaint(self, policy: FacePolicy) -> Guidance | None:
        """Return what should be taken off; None when nothing is in the way."""
        if self.eyes < policy.eyes_uncovered_min:
            return Guidance.UNCOVER_EYES
        is_bare = self.mouth >= policy.mouth_uncovered_min or self.mouth_to_eyes >= policy.mouth_to_eyes_min
        return None if is_bare else Guidance.UNCOVER_MOUTH


def _mean(gray: Gray, patch: Patch) -> float:
    return float(cv2.mean(gray[patch])[0])


def _strength(change: NDArray[np.int16], patch: Patch) -> float:
    """Return the mean of the absolute values."""
    part = change[patch]
    return float(cv2.norm(part, cv2.NORM_L1)) / part.size
