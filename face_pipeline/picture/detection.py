"""Where are the faces in a picture, and where are their eyes, nose and mouth?"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Box, Face, Image, Points
from face_pipeline.models.runtime import LoadedModel
from face_pipeline.picture.alignment import mapped, roll_degrees
from face_pipeline.policy import FacePolicy

STRIDES: Final = (8, 16, 32)
ROW: Final = 15  # numbers of one find: box, five points, score
# The second look. Sides 160 to 320 and factors 1.5 to 3 were tried; this pair answers most evenly to left and right.
LOOK_SIDE: Final = 224  # pixels
LOOKS_MAX: Final = 3  # one for a level head; a tilt of 40 degrees may need three
# A look sees little more than half of a tilt. Turned by 1.7 times of what it sees, a head rolled by 30 degrees stands
# upright after 1.4 looks, within 4 degrees (LFW, median); turned by what it sees, it ends 9 degrees off.
OVERSHOOT: Final = 1.7
LOOK_FACTOR: Final = 1.75  # of the longer side of the face box


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """YuNet, run at a reduced size."""

    model: LoadedModel
    policy: FacePolicy

    def faces(self, image: Image, small: Image | None = None) -> list[Face]:
        """Return the faces in pixels of the image as given, largest first.

        Args:
            image: what the faces are in.
            small: the same as `reduced` returns it, where it is at hand.
        """
        small = reduced(image, self.policy) if small is None else small
        factors = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]], np.float32)
        faces = [_face(row, factors) for row in self._rows(small)]
        return sorted(faces, key=lambda face: -face.box.width)

    def refined(self, image: Image, face: Face) -> Face:
        """Return the face with its points found again at a fixed size, turned upright where it is tilted.

        The search runs small and its points jitter by a pixel or two there; on tilted heads they drift towards upright,
        so that a strong tilt shows only look by look. Where a look finds nothing, the points stay as they were; the box
        always stays.
        """
        points, tilt = face.points, self._turn_by(roll_degrees(face.points))
        for _ in range(LOOKS_MAX):
            found = self._look(image, face, tilt)
            if found is None:
                break
            points = found
            turn = self._turn_by(roll_degrees(points) - tilt)
            if not turn:
                searched = None if tilt else face.points
                return Face(box=face.box, points=points, score=face.score, searched=searched)
            tilt += turn
        return Face(box=face.box, points=points, score=face.score)

    def _turn_by(self, tilt: float) -> float:
        """Return by how much to turn a head that seems tilted by so much; 0 when it is upright enough."""
        return OVERSHOOT * tilt if abs(tilt) > self.policy.roll_upright_degrees else 0.0

    def _look(self, image: Image, face: Face, tilt: float) -> Points | None:
        """Return the points found in a square around the face, turned by the tilt; in pixels of the image."""
        side = LOOK_FACTOR * max(face.box.width, face.box.height)
        centre = (face.box.x + face.box.width / 2, face.box.y + face.box.height / 2)
        look, back = _turned_square(image, centre, side, tilt) if tilt else _level_square(image, centre, side)
        rows = self._rows(look)
        if not rows:
            return None
        return mapped(_points(min(rows, key=_off_middle)), back)

    def _rows(self, picture: Image) -> list[NDArray[np.float32]]:
        """Return what the model finds in a picture as it is, padded to its largest stride."""
        planes = self.model.planes(picture, multiple=STRIDES[-1])
        outputs = self.model.session.run(planes)
        least = self.policy.detector_score_search
        rows = _decoded(outputs, (planes.shape[3], planes.shape[2]), least)
        # One face is found many times over: keep the best of each heap of overlapping finds.
        best = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 14].tolist(), least, self.policy.detector_overlap_max)
        return [rows[index] for index in np.asarray(best, np.intp).ravel()]


def reduced(image: Image, policy: FacePolicy) -> Image:
    """Return a picture at the size in which faces are searched; pictures that are smaller stay as they are."""
    scale = min(1.0, policy.detector_side / max(image.shape[:2]))
    if scale == 1.0:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _turned_square(
    image: Image, centre: tuple[float, float], side: float, tilt: float
) -> tuple[Image, NDArray[np.float64]]:
    """Return a square cut out at an angle, and the transform from its pixels back to the image's."""
    turn = np.asarray(cv2.getRotationMatrix2D(centre, tilt, LOOK_SIDE / side), np.float64)
    turn[:, 2] += LOOK_SIDE / 2 - np.array(centre)
    look = np.asarray(cv2.warpAffine(image, turn, (LOOK_SIDE, LOOK_SIDE)), np.uint8)
    return look, np.asarray(cv2.invertAffineTransform(turn), np.float64)


def _level_square(image: Image, centre: tuple[float, float], side: float) -> tuple[Image, NDArray[np.float64]]:
    """Return the same for a level head: cutting and scaling takes a third of the time of turning."""
    height, width = image.shape[:2]
    whole = max(round(side), 1)
    left, top = round(centre[0] - side / 2), round(centre[1] - side / 2)
    right, bottom = left + whole, top + whole
    cut = image[max(top, 0) : bottom, max(left, 0) : right]
    beyond = (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
    if any(beyond):
        cut = np.asarray(cv2.copyMakeBorder(cut, *beyond, cv2.BORDER_CONSTANT), np.uint8)
    scale = whole / LOOK_SIDE
    # Pixel centres: the middle of the first pixel here is the middle of the first `scale` pixels there.
    back = np.array([[scale, 0, left + (scale - 1) / 2], [0, scale, top + (scale - 1) / 2]])
    return np.asarray(cv2.resize(cut, (LOOK_SIDE, LOOK_SIDE)), np.uint8), back


def _decoded(outputs: list[NDArray[np.float32]], size: tuple[int, int], score_min: float) -> NDArray[np.float32]:
    """Return rows of (x, y, width, height, ten point coordinates, score), pixels of the searched picture.

    Outputs come part by part, each by stride: class, object, box, points. Nearly every anchor sees nothing, so that
    only those are worked out that see something.

    Args:
        outputs: of the model.
        size: width and height of the searched picture.
        score_min: what a find must have.
    """
    parts = (outputs[at : at + len(STRIDES)] for at in range(0, len(outputs), len(STRIDES)))
    classes, objects, boxes, points = (np.concatenate(part, axis=1)[0] for part in parts)
    squared = (classes * objects).ravel()  # both lie in 0..1; the score is their geometric mean
    chosen = (squared >= score_min * score_min).nonzero()[0]
    anchors, box = _anchors(*size).take(chosen, 0), boxes.take(chosen, 0)
    cells, stride = anchors[:, :-1], anchors[:, -1:]
    rows = np.empty((chosen.size, ROW), np.float32)
    rows[:, 2:4] = np.exp(box[:, 2:]) * stride
    rows[:, :2] = (cells[:, :2] + box[:, :2]) * stride - rows[:, 2:4] / 2
    rows[:, 4:14] = (cells + points.take(chosen, 0)) * stride
    rows[:, 14] = np.sqrt(squared.take(chosen))
    return rows


@lru_cache(maxsize=16)  # cameras differ, but not by much
def _anchors(width: int, height: int) -> NDArray[np.float32]:
    """Return a row for each anchor of a picture: x and y of its cell, five times over, and its stride."""
    levels = []
    for stride in STRIDES:
        down, across = np.divmod(np.arange(width // stride * (height // stride)), width // stride)
        levels.append(np.stack([across, down] * 5 + [np.full_like(down, stride)], axis=1).astype(np.float32))
    anchors = np.concatenate(levels)
    anchors.flags.writeable = False
    return anchors


def _face(row: NDArray[np.float32], factors: NDArray[np.float32]) -> Face:
    x, y, width, height = (row[:4].reshape(2, 2) * factors).ravel().tolist()
    points = np.asarray(_points(row) * factors, np.float32)
    return Face(box=Box(x=x, y=y, width=width, height=height), points=points, score=float(row[14]))


def _off_middle(row: NDArray[np.float32]) -> float:
    """Return how far the middle of a find is from the middle of a look, pixels."""
    x, y, width, height = row[:4].tolist()
    return math.hypot(x + width / 2 - LOOK_SIDE / 2, y + height / 2 - LOOK_SIDE / 2)


def _points(row: NDArray[np.float32]) -> Points:
    return row[4:14].reshape(5, 2)
