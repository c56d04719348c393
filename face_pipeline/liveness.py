"""Does one frame look like a living face, or like paper or a screen?"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from face_pipeline.frames import Box, Image
from face_pipeline.runtime import InferenceError, LoadedModel

CROP_FACTOR: Final = 2.7  # face boxes; what the model was trained on
LIVE_CLASS: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassiveLiveness:
    """MiniFAS: judges texture and surroundings of one frame. One cue of several, never a proof."""

    model: LoadedModel

    def live_probability(self, image: Image, box: Box) -> float:
        """Return the probability that the face in the box is live, in [0, 1].

        Raises:
            InferenceError: the model gave no usable numbers.
        """
        logits = self.model.session.run(self.model.planes(surroundings(image, box)))[0][0]
        if not np.isfinite(logits).all():
            raise InferenceError("the liveness model gave no number")
        weights = np.exp(logits - logits.max())
        return float(weights[LIVE_CLASS] / weights.sum())


def surroundings(image: Image, box: Box) -> Image:
    """Return the face with what is around it: 2.7 boxes, as far as the frame reaches, pushed inside its edges."""
    height, width = image.shape[:2]
    factor = min((height - 1) / box.height, (width - 1) / box.width, CROP_FACTOR)
    crop_width, crop_height = box.width * factor, box.height * factor
    left = min(max(box.x + (box.width - crop_width) / 2, 0), width - 1 - crop_width)
    top = min(max(box.y + (box.height - crop_height) / 2, 0), height - 1 - crop_height)
    right, bottom = int(left + crop_width), int(top + crop_height)
    return image[max(int(top), 0) : bottom, max(int(left), 0) : right]
