"""Did the person really do what was asked, in the order that was asked, as a head does it?

A gesture counts when it is reached from rest, through poses between, in a time that a head needs. The same gesture
again needs a return first. A turn to the side that was not asked ends the challenge.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

import numpy as np

from face_pipeline.errors import PolicyError
from face_pipeline.frames import Action, Challenge, ChallengePlan, Guidance, Image, Points
from face_pipeline.liveness.gestures import TURN_SIGN, Pose, gesture
from face_pipeline.liveness.parallax import FaceView, Track
from face_pipeline.picture.pose import extent, narrowness, nose_offset
from face_pipeline.policy import FacePolicy

EXTRAS: Final = (Action.NOD, Action.COME_CLOSER)
MISTAKEN: Final = 0.15  # eye distances between the two measures of a turn; one of them took a place for another
T = TypeVar("T")


class Randomness(Protocol):
    """Where the order of actions comes from; `secrets.SystemRandom()` outside of tests."""

    def choice(self, seq: list[T], /) -> T:
        """Return one of them, each as likely as the other."""
        ...


def random_challenge(plan: ChallengePlan, randomness: Randomness) -> Challenge:
    """Return a challenge that cannot be foreseen: which actions, how they are mixed, in which order.

    Raises:
        PolicyError: it would be asked for nothing but what a photograph can do as well.
    """
    if plan.extras and not plan.turns:
        raise PolicyError(mistakes=("a challenge needs a turn: a photograph is brought closer as easily as a head",))
    orders: list[tuple[Action, ...]] = [()]
    for _ in range(plan.turns):
        orders = [(*order, action) for order in orders for action in TURN_SIGN]
    both_sides = [order for order in orders if plan.turns < len(TURN_SIGN) or set(order) == set(TURN_SIGN)]
    order = randomness.choice(both_sides)
    actions = list(order)
    for _ in range(plan.extras):
        place = randomness.choice(list(range(len(actions) + 1)))
        actions.insert(place, randomness.choice(list(EXTRAS)))
    return Challenge(actions=tuple(actions), deadline=plan.deadline)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """One good frame, as far as the challenge is concerned."""

    points: Points
    at: datetime
    """Capture time."""
    picture: Image | None = None
    """The frame that the points are in; without it a nod is not seen."""

    def view(self) -> FaceView | None:
        """Return the face in its own frame."""
        return None if self.picture is None else FaceView.of(self.picture, self.points)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rest:
    """This person, looking straight."""

    offset: float
    narrowness: float
    extent: float
    track: Track | None

    def pose(self, look: Look) -> Pose:
        """Return how the head is held now, against this."""
        by_points = nose_offset(look.points) - self.offset
        view = look.view() if self.track else None
        parallax = self.track.parallax(view) if self.track and view else None
        if parallax is not None and abs(parallax.across - by_points) > MISTAKEN:
            parallax = None
        return Pose(
            turn=by_points if parallax is None else parallax.across,
            parallax=parallax,
            growth=extent(look.points) / max(self.extent, 1e-6) - 1,
        )


class Performance:
    """Follows one challenge through the good frames of a session."""

    def __init__(self, challenge: Challenge, policy: FacePolicy) -> None:
        self._actions = challenge.actions
        self._gestures = tuple(gesture(action, policy) for action in challenge.actions)
        self._policy = policy
        self._recent: deque[Points] = deque(maxlen=policy.baseline_frames_min)
        self._rest: Rest | None = None
        self._pose = Pose(turn=0.0, parallax=None, growth=0.0)
        self._index = 0
        self._went_wrong = False
        self._flat = False
        self._is_straight_again = True
        self._begin()

    def _begin(self) -> None:
        """Forget what was seen of an action."""
        self._reach = 0.0
        self._returned = False
        self._between = 0
        self._left_rest_at: datetime | None = None
        self._rested_at: datetime | None = None
        self._lost_at: datetime | None = None
        self._too_fast = False

    @property
    def asked(self) -> int:
        """How many actions there are."""
        return len(self._actions)

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._actions)

    @property
    def index(self) -> int:
        """Which action is being done; the number of actions when all are."""
        return self._index

    @property
    def passed(self) -> bool:
        """Whether every action was done."""
        return self._index == len(self._actions)

    @property
    def went_wrong(self) -> bool:
        """Whether the head turned to a side that was not asked: what a replayed video does half of the time."""
        return self._went_wrong

    @property
    def is_flat(self) -> bool:
        """Whether the last frame shows something that was turned and whose nose stayed in its plane."""
        return self._flat

    @property
    def is_far(self) -> bool:
        """Whether the head is as far as an action asks: such a frame is no witness of what lies between."""
        return abs(self._pose.turn) >= self._policy.nose_side_min or self._reach >= 1

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing moves the head away from looking straight."""
        policy = self._policy
        is_straight = abs(self._pose.turn) < policy.between_min * policy.nose_side_min
        return is_straight and self._reach < policy.between_min

    @property
    def rested(self) -> bool:
        """Whether it is known how this person looks at rest."""
        return self._rest is not None

    @property
    def fraction(self) -> float:
        """How far the present action has come, 0..1."""
        return 0.0 if self._rest is None or self.passed else min(max(self._reach, 0.0), 1.0)

    @property
    def guidance(self) -> Guidance:
        """What the person should do now."""
        if self.passed:
            return Guidance.LOOK_STRAIGHT
        if self._rest is None:
            return Guidance.HOLD_STILL if self._is_frontal else Guidance.LOOK_STRAIGHT
        if not self._may_count or self._too_fast or self._lost_at:
            return Guidance.LOOK_STRAIGHT
        return self._gestures[self._index].guidance

    def observe(self, look: Look) -> bool:
        """Take in one good frame; return whether the action under way is now reached (see `advance`)."""
        if self._rest is None:
            self._recent.append(look.points)
            self._rest = self._resting(look)
            self._left_rest_at = look.at
            return False
        if self.passed:
            return False
        before, self._pose = self._pose, self._rest.pose(look)
        self._notice_turn(look.points)
        is_reached = self._is_reached(look.at, before)
        self._notice_loss(look)
        return is_reached

    def _notice_loss(self, look: Look) -> None:
        """See whether somebody is on the way for so long that they can only begin again.

        At the end of a turn or nod the places of eyes and mouth may be hidden: who stays there waits for ever.
        """
        is_seen = look.picture is None or self._pose.parallax is not None
        since = self._lost_at or self._rested_at
        is_over = since is not None and look.at - since > self._policy.attempt_max
        if since is None or (is_seen and self.is_at_rest) or (is_over and self._lost_at):
            self._rested_at, self._lost_at = look.at, None
        elif is_over:
            self._lost_at = look.at

    def advance(self) -> None:
        """Count the action as done; the caller has made sure that it is still the same person."""
        self._index += 1
        self._is_straight_again = False
        self._begin()

    def _notice_turn(self, points: Points) -> None:
        """See whether something flat was turned, and whether the head turned to a side that was not asked."""
        policy, turn = self._policy, self._pose.turn
        self._flat = self._is_flat(points)
        self._is_straight_again |= abs(turn) < policy.nose_side_min / 2
        asked = TURN_SIGN.get(self._actions[self._index], 0.0)
        is_other_side = abs(turn) >= policy.nose_side_min and turn * asked <= 0
        self._went_wrong |= self._is_straight_again and is_other_side

    def _is_flat(self, points: Points) -> bool:
        """Return whether something was turned, or tilted for a nod, and its nose stayed in its plane."""
        policy, rest, parallax = self._policy, self._rest, self._pose.parallax
        if rest is None:
            return False
        if parallax is None:
            narrowing, across = narrowness(points) / max(rest.narrowness, 1e-6), self._pose.turn
        else:
            narrowing, across = parallax.narrowing, parallax.across
        if narrowing < 1 - policy.foreshortening_min:
            return abs(across) < policy.nose_flat_max
        is_tilted = parallax is not None and narrowing > 1 / (1 - policy.foreshortening_min)
        is_nod = self._actions[self._index] is Action.NOD
        return is_nod and is_tilted and parallax is not None and abs(parallax.down) < policy.nose_drop_min / 2

    def _is_reached(self, at: datetime, before: Pose) -> bool:
        """Follow the present action: a head comes to it from rest, through the poses between, and not in no time."""
        policy, wanted = self._policy, self._gestures[self._index]
        reach = wanted.reach(self._pose)
        if reach is None:
            return False
        self._reach = reach
        self._returned |= abs(reach) < 1 / 2
        jumped = (1 + self._pose.growth) > (1 + policy.growth_step_max) * (1 + before.growth)
        if reach < policy.between_min or jumped:
            self._left_rest_at, self._between, self._too_fast = at, 0, False
        elif reach <= policy.between_max:
            self._between += 1
        if reach < 1 or not self._may_count:
            return False
        in_time = self._left_rest_at is not None and at - self._left_rest_at >= wanted.time_min
        self._too_fast = not in_time or self._between < wanted.frames_between_min
        return not self._too_fast

    @property
    def _may_count(self) -> bool:
        """Whether an action now is a new one: the head has come back, or something else is asked."""
        if not self._index or self._actions[self._index] != self._actions[self._index - 1]:
            return True
        return self._returned and self._is_straight_again

    @property
    def _is_frontal(self) -> bool:
        return bool(self._recent) and abs(nose_offset(self._recent[-1])) <= self._policy.rest_offset_max

    def _resting(self, look: Look) -> Rest | None:
        """Return the pose at rest once the last frames are frontal and still."""
        if len(self._recent) < self._policy.baseline_frames_min:
            return None
        offsets = [nose_offset(points) for points in self._recent]
        frontal = max(abs(offset) for offset in offsets) <= self._policy.rest_offset_max
        still = max(offsets) - min(offsets) <= self._policy.still_offset_max
        if not (frontal and still):
            return None
        return Rest(
            offset=float(np.median(offsets)),
            narrowness=float(np.median([narrowness(points) for points in self._recent])),
            extent=float(np.median([extent(points) for points in self._recent])),
            track=Track(view) if (view := look.view()) else None,
        )
