"""Is there light enough on a face, not too much, and from both sides?"""

from dataclasses import dataclass
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Guidance
from face_pipeline.policy import FacePolicy

Gray = NDArray[np.uint8]

INNER: Final = (
    slice(16, 104),
    slice(20, 92),
)  # rows and columns of the aligned crop that are face, hardly any background
HALVES: Final = ((slice(40, 100), slice(24, 52)), (slice(40, 100), slice(60, 88)))
BURNT_FROM: Final = 250  # gray; a sensor has no detail from here up
SWALLOWED_TO: Final = 12  # gray; and none from here down
WELL_LIT: Final = 110.0  # gray, mean: above it an uneven light is too strong rather than too weak


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Light on an aligned crop."""

    brightness: float
    """Mean gray of the crop, 0..255."""
    burnt_share: float = 0.0
    """Of the inner face, 0..1."""
    swallowed_share: float = 0.0
    """Same, in the dark."""
    evenness: float = 1.0
    """The darker half of the face as a part of the brighter one."""

    @classmethod
    def of(cls, gray: Gray) -> Self:
        """Measure an aligned crop, shape (112, 112)."""
        inner = gray[INNER]
        left, right = (float(cv2.mean(gray[half])[0]) for half in HALVES)
        return cls(
            brightness=float(cv2.mean(gray)[0]),
            burnt_share=cv2.countNonZero(cv2.inRange(inner, BURNT_FROM, 255)) / inner.size,
            swallowed_share=cv2.countNonZero(cv2.inRange(inner, 0, SWALLOWED_TO)) / inner.size,
            evenness=min(left, right) / max(left, right, 1.0),
        )

    def complaint(self, policy: FacePolicy) -> Guidance | None:
        """Return what is wrong with the light; None when nothing is."""
        if self.brightness < policy.brightness_min or self.swallowed_share > policy.swallowed_share_max:
            return Guidance.MORE_LIGHT
        if self.brightness > policy.brightness_max or self.burnt_share > policy.burnt_share_max:
            return Guidance.LESS_LIGHT
        if self.evenness < policy.evenness_min:
            return Guidance.LESS_LIGHT if self.brightness > WELL_LIT else Guidance.MORE_LIGHT
        return None
