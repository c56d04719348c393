"""How far has a person come with one thing they are asked to do?

Each gesture is one number: 0 at rest, 1 when it is reached, below 0 the other way. What makes a gesture believable
(poses between, time, return) is the same for all and lies in `face_pipeline.liveness.challenge`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from face_pipeline.frames import Action, Guidance
from face_pipeline.liveness.parallax import Parallax
from face_pipeline.policy import FacePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How a head is held against its rest."""

    turn: float
    """Eye distances the nose moved sideways; positive to the person's own left."""
    parallax: Parallax | None
    """The same measured more finely, in both directions; None when the places were not found again."""
    growth: float
    """How much larger the face is: 0.5 is half as large again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gesture(ABC):
    """One kind of thing to do."""

    guidance: Guidance
    """How it is asked for."""
    time_min: timedelta
    """From rest to reached; faster is no head."""
    frames_between_min: int = 1
    """Poses between rest and reached that must be seen."""

    @abstractmethod
    def reach(self, pose: Pose) -> float | None:
        """Return how far it has come; None when this frame does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Gesture):
    """The head turns to one side."""

    sign: float
    nose_side_min: float

    def reach(self, pose: Pose) -> float | None:
        """Return the nose's way to the side that was asked."""
        return self.sign * pose.turn / self.nose_side_min


@dataclass(frozen=True, slots=True, kw_only=True)
class Nod(Gesture):
    """The chin goes to the chest; of a head that looks straight, or the nose's way down is not to be told."""

    nose_drop_min: float
    straight_max: float

    def reach(self, pose: Pose) -> float | None:
        """Return the nose's way down."""
        if pose.parallax is None or abs(pose.turn) > self.straight_max:
            return None
        return pose.parallax.down / self.nose_drop_min


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach(Gesture):
    """The person comes closer."""

    growth_min: float

    def reach(self, pose: Pose) -> float | None:
        """Return how much the face has grown."""
        return pose.growth / self.growth_min


TURN_SIGN: Final = {Action.TURN_LEFT: 1.0, Action.TURN_RIGHT: -1.0}  # the person's own left is image right
TURN_GUIDANCE: Final = {Action.TURN_LEFT: Guidance.TURN_LEFT, Action.TURN_RIGHT: Guidance.TURN_RIGHT}


def gesture(action: Action, policy: FacePolicy) -> Gesture:
    """Return what an action asks for."""
    if action is Action.NOD:
        return Nod(
            guidance=Guidance.NOD,
            time_min=policy.gesture_time_min,
            nose_drop_min=policy.nose_drop_min,
            straight_max=policy.nose_side_min / 2,
        )
    if action is Action.COME_CLOSER:
        return Approach(
            guidance=Guidance.COME_CLOSER,
            time_min=policy.approach_time_min,
            growth_min=policy.approach_growth_min,
            frames_between_min=policy.approach_frames_min,
        )
    return Turn(
        guidance=TURN_GUIDANCE[action],
        time_min=policy.gesture_time_min,
        sign=TURN_SIGN[action],
        nose_side_min=policy.nose_side_min,
    )
