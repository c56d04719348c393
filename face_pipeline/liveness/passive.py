"""Does one frame look like a living face, or like paper or a screen?"""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from face_pipeline.frames import Box, Image
from face_pipeline.models.runtime import InferenceError, LoadedModel

CROP_FACTOR: Final = 2.7  # face boxes; what the model was trained on
LIVE_CLASS: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassiveLiveness:
    """MiniFAS: judges texture and surroundings of one frame. One cue of several, never a proof."""

    model: LoadedModel

    def live_probability(self, image: Image, box: Box, small: Image | None = None) -> float:
        """Return the probability that the face in the box is live, in [0, 1].

        Args:
            image: the whole frame.
            box: of the face in it.
            small: the same halved, where it is at hand; it saves halving again.

        Raises:
            InferenceError: the model gave no usable numbers.
        """
        width, height = self.model.input.width, self.model.input.height
        seen = surroundings(image, box)
        if small is not None and _is_half(small, image) and seen.shape[1] >= 2 * width and seen.shape[0] >= 2 * height:
            seen = surroundings(small, Box(x=box.x / 2, y=box.y / 2, width=box.width / 2, height=box.height / 2))
        seen = _halved(seen, width, height)
        logits = self.model.session.run(self.model.planes(seen))[0][0].tolist()
        if not all(map(math.isfinite, logits)):
            raise InferenceError("the liveness model gave no number")
        weights = [math.exp(logit - max(logits)) for logit in logits]
        return weights[LIVE_CLASS] / sum(weights)


def _is_half(small: Image, image: Image) -> bool:
    return (2 * small.shape[0], 2 * small.shape[1]) == image.shape[:2]


def _halved(picture: Image, width: int, height: int) -> Image:
    """Return a picture halved until it is less than twice the model's size: resizing then picks no single pixels.

    Those carry the camera's noise, which the model takes for paper: of 22 simulated heads 2 were called dead, and so 1.
    Averaging to the very size at once gives nearly the same scores (0.02 apart) and takes OpenCV forty times as long.
    """
    while width and height and picture.shape[1] >= 2 * width and picture.shape[0] >= 2 * height:
        size = picture.shape[1] // 2, picture.shape[0] // 2
        even = picture[: 2 * size[1], : 2 * size[0]]  # only an exact half is fast
        picture = np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.uint8)
    return picture


def surroundings(image: Image, box: Box) -> Image:
    """Return the face with what is around it: 2.7 boxes, as far as the frame reaches, pushed inside its edges."""
    height, width = image.shape[:2]
    factor = min((height - 1) / box.height, (width - 1) / box.width, CROP_FACTOR)
    crop_width, crop_height = box.width * factor, box.height * factor
    left = min(max(box.x + (box.width - crop_width) / 2, 0), width - 1 - crop_width)
    top = min(max(box.y + (box.height - crop_height) / 2, 0), height - 1 - crop_height)
    right, bottom = int(left + crop_width), int(top + crop_height)
    return image[max(int(top), 0) : bottom, max(int(left), 0) : right]
