"""What passes between the stages of the pipeline, and between the pipeline and those who call it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""Axes (y, x, channel), BGR; what comes of a frame has a fourth channel without meaning (see `decode_frame`)."""

Gray = NDArray[np.uint8]
"""Axes (y, x): a picture in near infrared."""

DepthMap = NDArray[np.uint16]
"""Axes (y, x), millimetres from the camera plane; 0 where nothing was measured."""

Points = NDArray[np.float32]
"""Five landmarks, axes (point, xy), pixels: right eye, left eye, nose, right and left mouth corner.

Right and left are the person's own. The camera does not mirror, so the person's right eye lies left in the image.
"""

Embedding = NDArray[np.float32]
"""Shape (n,), unit length."""


class Action(StrEnum):
    """What the person is asked to do; left and right are the person's own."""

    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    NOD = "nod"
    """Chin to the chest."""
    COME_CLOSER = "come_closer"


class Modality(StrEnum):
    """What a camera delivers beside colour."""

    NIR = "nir"
    DEPTH = "depth"


class Assurance(StrEnum):
    """How much stands behind a live verdict."""

    COLOUR = "colour"
    """One colour camera: a screen that obeys can pass; beside infrared: a mask, or ink that infrared sees as it is."""
    COLOUR_UNMOVED = "colour_unmoved"
    """The same without a challenge, for somebody who cannot move."""
    SOLID = "solid"
    """Depth agreed with the colour picture: what stands there has the relief of a head."""


class Guidance(StrEnum):
    """What to tell the person before the terminal."""

    HOLD_STILL = "hold_still"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    COME_CLOSER = "come_closer"
    MOVE_BACK = "move_back"
    CENTRE_FACE = "centre_face"
    MORE_LIGHT = "more_light"
    LESS_LIGHT = "less_light"
    BLURRED = "blurred"
    STRAIGHTEN_HEAD = "straighten_head"
    TURN_LEFT = "turn_left"
    TURN_RIGHT = "turn_right"
    LOOK_STRAIGHT = "look_straight"
    NOD = "nod"
    UNCOVER_EYES = "uncover_eyes"
    UNCOVER_MOUTH = "uncover_mouth"


class Outcome(StrEnum):
    """How a session ends."""

    MATCHED = "matched"
    LIVE = "live"
    """Alive, and compared with nobody: the verdict carries the face to look for among many."""
    NOT_MATCHED = "not_matched"
    SPOOF_SUSPECTED = "spoof_suspected"
    INSUFFICIENT = "insufficient"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the terminal's cameras saw at one moment; all pictures are registered to the colour one."""

    sequence: int
    captured_at: datetime
    jpeg: bytes
    nir: bytes | None = None
    """Gray JPEG, near infrared."""
    depth: bytes | None = None
    """PNG, one channel of 16 bits, millimetres from the camera plane, 0 where nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a face is, in pixels; it may reach over the edge of the image."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    def overlap(self, other: "Box") -> float:
        """Return intersection over union with another box, in [0, 1]."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        return across * down / (self.area + other.area - across * down)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One detected face."""

    box: Box
    points: Points
    score: float
    searched: Points | None = None
    """The points as the search had them, where a closer look found its own and both saw the head level."""

    @property
    def steady_points(self) -> Points:
        """The points to align by: search and look err apart from each other, so their mean errs less.

        For angles take `points`: the search draws turned heads towards the front.
        """
        return self.points if self.searched is None else np.asarray((self.points + self.searched) / 2, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmarks:
    """Five points of the one face in a picture, (x, y) in pixels; right and left are the person's own."""

    right_eye: tuple[float, float]
    left_eye: tuple[float, float]
    nose: tuple[float, float]
    right_mouth: tuple[float, float]
    left_mouth: tuple[float, float]
    image_width: int
    image_height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengePlan:
    """How much a person is asked to do; what exactly, and in which order, is drawn at random."""

    turns: int
    """Of the head; from two on, both sides are among them."""
    extras: int
    """Nods and steps closer, at random places between."""
    deadline: timedelta

    @classmethod
    def nothing(cls, deadline: timedelta) -> Self:
        """Return the plan for somebody who cannot move."""
        return cls(turns=0, extras=0, deadline=deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What the person must do, in this order, and how long they have; no action at all for who cannot move."""

    actions: tuple[Action, ...]
    deadline: timedelta


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """An enrolled face: personal data, to be kept encrypted (`face_pipeline.templates`)."""

    embedding: Embedding
    model_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where the session stands after a frame."""

    guidance: Guidance
    action_index: int
    """Which action of the challenge is being done; equals the number of actions when all are."""
    action_fraction: float
    """How far the present action has come, 0..1."""
    good_frames: int
    frame_print: bytes | None = None
    """What recognises this frame when it is shown again (`liveness/replay.py`); None where it was of no use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LivenessSummary:
    """What spoke for and against a living person."""

    passive_median: float | None
    """Median of the model's live probability over the good frames, 0..1."""
    challenge_passed: bool
    continuity: float | None
    """Lowest cosine between the face at rest and the face in an action; None when it was not needed."""
    reasons: tuple[str, ...]
    """Stable words, from a small closed set (`face_pipeline.liveness.cues.Reason`)."""
