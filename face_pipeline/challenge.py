"""Did the head really turn, to the sides that were asked, in the order that was asked?

The nose stands out of the plane of eyes and mouth. Seen from the front it lies in their middle; when the head turns, it
moves against them. In the affine frame of eyes and mouth, a flat picture keeps it in place however it is turned.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Action, Challenge, Guidance, Points
from face_pipeline.policy import FacePolicy

# Where eyes and mouth corners lie in the face's own frame: x in eye distances, y in heights between eyes and mouth.
FRAME: Final = np.array([[-0.5, 0.0], [0.5, 0.0], [-0.4, 1.0], [0.4, 1.0]])
REGULAR: Final = 1e-9 * np.eye(3)  # keeps four points on one line from dividing by zero
AFFINE_POINTS: Final = [0, 1, 3, 4]  # eyes and mouth corners among the five landmarks
SIGN: Final = {Action.TURN_LEFT: 1.0, Action.TURN_RIGHT: -1.0}  # the person's own left is image right
GUIDANCE: Final = {Action.TURN_LEFT: Guidance.TURN_LEFT, Action.TURN_RIGHT: Guidance.TURN_RIGHT}


class Randomness(Protocol):
    """Where the order of turns comes from; `secrets.SystemRandom()` outside of tests."""

    def choice(self, seq: list[tuple[Action, ...]], /) -> tuple[Action, ...]:
        """Return one of them, each as likely as the other."""
        ...


def random_challenge(policy: FacePolicy, randomness: Randomness) -> Challenge:
    """Return a challenge whose order cannot be foreseen; both sides are always among the turns."""
    orders: list[tuple[Action, ...]] = [()]
    for _ in range(policy.challenge_turns):
        orders = [(*order, action) for order in orders for action in SIGN]
    both_sides = [order for order in orders if set(order) == set(SIGN)]
    return Challenge(actions=randomness.choice(both_sides), deadline=policy.challenge_deadline)


def nose_offset(points: Points) -> float:
    """Return where the nose is, in eye distances: 0 is the middle, positive towards the person's left."""
    four = np.ones((4, 3))
    four[:, :2] = points[AFFINE_POINTS] - points[2]  # with the nose as origin, its place is the shift
    across: NDArray[np.float64] = np.linalg.solve(four.T @ four + REGULAR, four.T @ FRAME[:, 0])
    return float(across[2])


def narrowness(points: Points) -> float:
    """Return eye distance over the height between eyes and mouth; it shrinks when anything is turned sideways."""
    right_eye, left_eye, _, right_mouth, left_mouth = points.astype(np.float64)
    height = float(np.linalg.norm((right_mouth + left_mouth - right_eye - left_eye) / 2))
    return float(np.linalg.norm(left_eye - right_eye)) / max(height, 1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """This person, looking straight."""

    offset: float
    narrowness: float


class HeadTurn:
    """Follows one challenge through the good frames of a session. Knows geometry alone, no pixels."""

    def __init__(self, challenge: Challenge, policy: FacePolicy) -> None:
        self._actions = challenge.actions
        self._policy = policy
        self._recent: deque[tuple[float, float]] = deque(maxlen=policy.baseline_frames_min)
        self._rest: Rest | None = None
        self._index = 0
        self._returned = True
        self._deviation = 0.0
        self._went_wrong = False
        self._passed_between = False
        self._flat = False

    @property
    def index(self) -> int:
        """Which action is being done; the number of actions when all are."""
        return self._index

    @property
    def passed(self) -> bool:
        """Whether every turn was made."""
        return self._index == len(self._actions)

    @property
    def went_wrong(self) -> bool:
        """Whether the head turned to the other side than asked: what a replayed video does half of the time."""
        return self._went_wrong

    @property
    def is_flat(self) -> bool:
        """Whether the last frame shows something that was turned and whose nose stayed in its plane."""
        return self._flat

    @property
    def is_far(self) -> bool:
        """Whether the head is turned as far as a turn asks, to either side."""
        return abs(self._deviation) >= self._policy.nose_side_min

    @property
    def rested(self) -> bool:
        """Whether it is known where the nose is at rest."""
        return self._rest is not None

    @property
    def fraction(self) -> float:
        """How far the present action has come, 0..1."""
        if self._rest is None or self.passed:
            return 0.0
        return min(max(SIGN[self._actions[self._index]] * self._deviation / self._policy.nose_side_min, 0.0), 1.0)

    @property
    def guidance(self) -> Guidance:
        """What the person should do now."""
        if self.passed:
            return Guidance.LOOK_STRAIGHT
        if self._rest is None:
            return Guidance.HOLD_STILL if self._is_frontal else Guidance.LOOK_STRAIGHT
        action = self._actions[self._index]
        too_fast = SIGN[action] * self._deviation >= self._policy.nose_side_min and not self._passed_between
        if not self._may_count or too_fast:
            return Guidance.LOOK_STRAIGHT
        return GUIDANCE[action]

    def observe(self, points: Points) -> bool:
        """Take in one good frame; return whether the action under way is now reached (see `advance`)."""
        offset, width = nose_offset(points), narrowness(points)
        if self._rest is None:
            self._recent.append((offset, width))
            self._rest = self._resting()
            return False
        if self.passed:
            return False
        side = self._policy.nose_side_min
        self._deviation = offset - self._rest.offset
        turned = width < (1 - self._policy.foreshortening_min) * self._rest.narrowness
        self._flat = turned and abs(self._deviation) < self._policy.nose_flat_max
        self._returned |= abs(self._deviation) < side / 2
        towards = SIGN[self._actions[self._index]] * self._deviation
        self._went_wrong |= self._returned and towards <= -side
        # A head comes to its turn through the poses between; single pictures of a face at rest and turned do not.
        self._passed_between |= self._policy.between_min * side <= towards <= self._policy.between_max * side
        return self._may_count and self._passed_between and towards >= side

    def advance(self) -> None:
        """Count the action as done; the caller has made sure that it is still the same person."""
        self._index += 1
        self._returned = False
        self._passed_between = False
        self._deviation = 0.0

    @property
    def _may_count(self) -> bool:
        """Whether a turn now is a new one: the head has come back, or the side is the other one."""
        return self._returned or self._actions[self._index] != self._actions[self._index - 1]

    @property
    def _is_frontal(self) -> bool:
        return bool(self._recent) and abs(self._recent[-1][0]) <= self._policy.frontal_offset_max

    def _resting(self) -> Rest | None:
        """Return the pose at rest once the last frames are frontal and still."""
        if len(self._recent) < self._policy.baseline_frames_min:
            return None
        offsets, widths = zip(*self._recent, strict=True)
        frontal = max(abs(offset) for offset in offsets) <= self._policy.frontal_offset_max
        still = max(offsets) - min(offsets) <= self._policy.still_offset_max
        return (
            Rest(offset=float(np.median(offsets)), narrowness=float(np.median(widths))) if frontal and still else None
        )
