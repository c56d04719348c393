"""What a camera sees of somebody who does what they are told, rendered before the clock runs.

A person before the mock terminal's camera is rendered once in each pose on the way of each action, in a picture that is
larger than a frame. A visit is a window cut out of it: in each one the person stands some pixels elsewhere, so that no
visit is taken for another one shown again, and no visit costs a rendering. What the passive model makes of somebody is
measured elsewhere (`python -m bench.sessions`): visits in which it doubts the end of an action are left out. All of it
is simulated.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, cycle, product
from typing import Final

import cv2
import numpy as np

from face_pipeline import FacePipeline
from face_pipeline.frames import Face
from face_pipeline.picture.decode import decode_frame
from face_pipeline.picture.quality import presence
from mock_terminal.camera import Camera, Portrait, encode
from mock_terminal.patient import CLOSER, NOD_DEGREES, RELAXED, TURN_DEGREES, Pose
from mock_terminal.scenes import Image

FRAME: Final = (640, 480)  # width, height
ROOM: Final = (64, 48)
"""Pixels by which the rendered picture is larger than a frame."""
AS_IN_A_FRAME: Final = FRAME[1] / (FRAME[1] + ROOM[1])
"""Zoom: the camera shows a face in proportion to its picture, and here it is to be as large as in a frame. A tenth
larger, and a step closer left so little around it that the passive model doubted its end in each of 80 visits."""
APART: Final = 8
"""Pixels between two visits; a print of a frame does not survive them."""
STANCES: Final = (7, 12, 13, 18, 22, 24)
"""Seeds in which the passive model has few doubts: most of their visits are shown."""
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
    """Yield visits of one person, each in a place of its own; some three hundred, and then the first ones again."""
    someone = _portrait(pipeline, portrait)
    rendered: dict[int, Pictures] = {}
    for left, top, stance in cycle(product(range(0, ROOM[0] + 1, APART), range(0, ROOM[1] + 1, APART), STANCES)):
        if stance not in rendered:
            rendered[stance] = _rendered(someone, stance)
        window = np.s_[top : top + FRAME[1], left : left + FRAME[0]]
        seen = {pose: [view[window] for view in views] for pose, views in rendered[stance].items()}
        if all(_looks_alive(pipeline, encode(seen[way.goal][0])) for way in _WAYS):
            yield Reel({pose: [encode(view) for view in views] for pose, views in seen.items()})


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
    _Way(goal=Pose(zoom=CLOSER)),  # the end that is doubted most is asked for first
    _Way(goal=Pose(yaw=TURN_DEGREES)),
    _Way(goal=Pose(yaw=-TURN_DEGREES)),
    _Way(goal=Pose(pitch=NOD_DEGREES)),
)


def _rendered(someone: Portrait, seed: int) -> Pictures:
    camera = Camera(someone, size=(FRAME[0] + ROOM[0], FRAME[1] + ROOM[1]), seed=seed)
    moments = (index * SECONDS_BETWEEN for index in count())

    def view(pose: Pose) -> Image:
        return camera.frame(next(moments), pose.yaw, pose.pitch, zoom=AS_IN_A_FRAME * pose.zoom)

    found: dict[Pose, Sequence[Image]] = {RELAXED: [view(RELAXED) for _ in range(AT_REST)]}
    return found | {pose: [view(pose)] for way in _WAYS for pose in way.poses()}


def _looks_alive(pipeline: FacePipeline, jpeg: bytes) -> bool:
    """Return whether a session takes this frame for the end of an action, as far as the passive model goes."""
    policy, stages = pipeline.policy, pipeline.stages
    image = decode_frame(jpeg, policy)
    found = presence(stages.detector.faces(image), policy)
    return isinstance(found, Face) and stages.passive.live_probability(image, found.box) >= policy.passive_turn_min


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
