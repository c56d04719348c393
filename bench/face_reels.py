"""What a camera sees of somebody who does what they are told, rendered before the clock runs.

A person before the mock terminal's camera is rendered once in each pose on the way of each action, in a picture that is
larger than a frame. A visit is a window cut out of it: in each one the person stands some pixels elsewhere, so that no
visit is taken for another one shown again, and no visit costs a rendering. All of it is simulated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle, product
from typing import Final

import cv2
import numpy as np

from face_pipeline import FacePipeline
from mock_terminal.camera import Camera, Portrait, encode
from mock_terminal.patient import CLOSER, NOD_DEGREES, RELAXED, TURN_DEGREES, Pose
from mock_terminal.scenes import Image

FRAME: Final = (640, 480)  # width, height
ROOM: Final = (64, 48)
"""Pixels by which the rendered picture is larger than a frame."""
APART: Final = 8
"""Pixels between two visits; a print of a frame does not survive them."""
STANCES: Final = (1, 3, 6, 7)
"""Seeds in which the passive model has no doubts: what is measured is not the model."""
AT_REST: Final = 12
"""Renderings at rest, where a visit spends most of its time; one in each other pose."""
STEPS: Final = 6
SECONDS_BETWEEN: Final = 0.1

Pictures = Mapping[Pose, Sequence[Image]]


class Reel:
    """The frames of one visit."""

    def __init__(self, frames: Mapping[Pose, Sequence[bytes]]) -> None:
        """Take what the camera sees in each pose."""
        self._takes: Final = {pose: cycle(takes) for pose, takes in frames.items()}
        self._number: Final = count(1)

    def picture(self, pose: Pose) -> bytes:
        """Return the frame of the nearest pose, of which no two are the same bytes, as from a camera."""
        nearest = min(self._takes, key=lambda known: _far(known, pose))
        return numbered(next(self._takes[nearest]), next(self._number))


def reels(pipeline: FacePipeline, portrait: bytes) -> Iterator[Reel]:
    """Yield visits of one person, each in a place of its own; a few hundred of them, and then the first ones again."""
    someone = _portrait(pipeline, portrait)
    rendered: dict[int, Pictures] = {}
    for left, top, stance in cycle(product(range(0, ROOM[0] + 1, APART), range(0, ROOM[1] + 1, APART), STANCES)):
        if stance not in rendered:
            rendered[stance] = _rendered(someone, stance)
        window = np.s_[top : top + FRAME[1], left : left + FRAME[0]]
        yield Reel({pose: [encode(view[window]) for view in views] for pose, views in rendered[stance].items()})


def numbered(jpeg: bytes, number: int) -> bytes:
    """Return the picture with a comment: other bytes, the same pixels."""
    comment = number.to_bytes(4, "big")
    return jpeg[:2] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + jpeg[2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """One action, from rest to its end."""

    goal: Pose

    def poses(self) -> Iterator[Pose]:
        for step in range(1, STEPS + 1):
            part = step / STEPS
            yield Pose(yaw=part * self.goal.yaw, pitch=part * self.goal.pitch, zoom=1 + part * (self.goal.zoom - 1))


_WAYS: Final = (
    _Way(goal=Pose(yaw=TURN_DEGREES)),
    _Way(goal=Pose(yaw=-TURN_DEGREES)),
    _Way(goal=Pose(pitch=NOD_DEGREES)),
    _Way(goal=Pose(zoom=CLOSER)),
)


def _rendered(someone: Portrait, seed: int) -> Pictures:
    camera = Camera(someone, size=(FRAME[0] + ROOM[0], FRAME[1] + ROOM[1]), seed=seed)
    moments = (index * SECONDS_BETWEEN for index in count())

    def view(pose: Pose) -> Image:
        return camera.frame(next(moments), pose.yaw, pose.pitch, zoom=pose.zoom)

    found: dict[Pose, Sequence[Image]] = {RELAXED: [view(RELAXED) for _ in range(AT_REST)]}
    return found | {pose: [view(pose)] for way in _WAYS for pose in way.poses()}


def _far(one: Pose, other: Pose) -> float:
    """Return how unlike two poses are, in parts of a whole action."""
    return (
        abs(one.yaw - other.yaw) / TURN_DEGREES
        + abs(one.pitch - other.pitch) / -NOD_DEGREES
        + abs(one.zoom - other.zoom) / (CLOSER - 1)
    )


def _portrait(pipeline: FacePipeline, picture: bytes) -> Portrait:
    found = pipeline.landmarks(picture)
    points = [found.right_eye, found.left_eye, found.nose, found.right_mouth, found.left_mouth]
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    return Portrait(image_bgr=np.asarray(image, np.uint8), points=np.array(points, np.float64))
