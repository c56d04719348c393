"""The person before the camera: looks straight, and does with the head what they are told, as fast as people do."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from shualian.terminal.v1 import face_pb2

TURN_DEGREES: Final = 36.0
"""How far the person turns: about 30 degrees are asked, and people overdo it."""
NOD_DEGREES: Final = -22.0
"""Chin to the chest: about 20 degrees are asked."""
CLOSER: Final = 1.45
"""How much larger the face is after a step towards the camera: a third is asked."""
TURN_DEGREES_PER_SECOND: Final = 75.0
NOD_DEGREES_PER_SECOND: Final = 45.0
ZOOM_PER_SECOND: Final = 0.6
AGAIN: Final = 0.7
"""Who is asked for the same thing again has been too fast: so much slower each time."""
SLOWEST: Final = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a head is, against how the person stood there at first."""

    yaw: float = 0.0
    """Degrees, positive to the person's own left."""
    pitch: float = 0.0
    """Degrees, positive upwards."""
    zoom: float = 1.0
    """Above 1 the person stands closer."""


RELAXED: Final = Pose()
_GOALS: Final = {
    face_pb2.HINT_TURN_LEFT: Pose(yaw=TURN_DEGREES),
    face_pb2.HINT_TURN_RIGHT: Pose(yaw=-TURN_DEGREES),
    face_pb2.HINT_NOD: Pose(pitch=NOD_DEGREES),
    face_pb2.HINT_COME_CLOSER: Pose(zoom=CLOSER),
    face_pb2.HINT_LOOK_STRAIGHT: RELAXED,
    face_pb2.HINT_HOLD_STILL: RELAXED,
    face_pb2.HINT_MOVE_BACK: RELAXED,
}
"""What each hint makes of a head; other hints leave it where it is going."""


class Patient:
    """Moves the head towards where the last hint wants it."""

    def __init__(self, *, obeys: bool = True, comes_back: bool = False) -> None:
        """Stand before the camera.

        Args:
            obeys: False for somebody, or something, that cannot move.
            comes_back: whether each movement begins from rest; most people go from one right into the next.
        """
        self._obeys: Final = obeys
        self._comes_back: Final = comes_back
        self._next: Pose | None = None
        self._goal = RELAXED
        self._moved = RELAXED
        self._seen_at = 0.0
        self._asked: Counter[Pose] = Counter()

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Hear what to do; hints that are not about the head leave it where it is going."""
        goal = _GOALS.get(hint, self._next or self._goal)
        if not self._obeys or goal == (self._next or self._goal):
            return
        self._next = goal
        if goal != RELAXED:
            self._asked[goal] += 1

    def pose(self, t: float) -> Pose:
        """Return where the head is at `t` seconds. Time only rises."""
        passed = max(0.0, t - self._seen_at)
        self._seen_at = t
        self._choose_goal()
        done = passed * max(SLOWEST, AGAIN ** max(0, self._asked[self._goal] - 1))
        self._moved = Pose(
            yaw=_towards(self._goal.yaw, self._moved.yaw, TURN_DEGREES_PER_SECOND * done),
            pitch=_towards(self._goal.pitch, self._moved.pitch, NOD_DEGREES_PER_SECOND * done),
            zoom=_towards(self._goal.zoom, self._moved.zoom, ZOOM_PER_SECOND * done),
        )
        return self._moved

    def _choose_goal(self) -> None:
        if self._next is None:
            return
        if self._comes_back and RELAXED not in {self._moved, self._next}:
            self._goal = RELAXED
        else:
            self._goal, self._next = self._next, None


def _towards(goal: float, now: float, step: float) -> float:
    return now + max(-step, min(step, goal - now))
