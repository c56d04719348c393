"""The turn of a head as geometry: points in, guidance out."""

import random
from collections.abc import Iterable

import numpy as np
import pytest

from face_pipeline import Action, Challenge, FacePolicy, Guidance
from face_pipeline.challenge import HeadTurn, narrowness, nose_offset, random_challenge
from face_pipeline.frames import Points

POLICY = FacePolicy()
LEFT, RIGHT = Action.TURN_LEFT, Action.TURN_RIGHT


def points(nose: float = 0.0, *, narrow: float = 1.0, roll: float = 0.0) -> Points:
    """Return five points of a face whose nose lies this many eye distances off the middle."""
    face = np.array([[-30, 0], [30, 0], [60 * nose, 35], [-24, 60], [24, 60]], np.float64) * (narrow, 1)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return np.asarray(face @ turn.T + (320, 240), np.float32)


def a_turn(*actions: Action, rested: bool = True) -> HeadTurn:
    turn = HeadTurn(Challenge(actions=actions or (LEFT, RIGHT), deadline=POLICY.challenge_deadline), POLICY)
    if rested:
        watch(turn, [0.0] * POLICY.baseline_frames_min)
    return turn


def watch(turn: HeadTurn, offsets: Iterable[float]) -> None:
    for offset in offsets:
        if turn.observe(points(offset)):
            turn.advance()


@pytest.mark.parametrize("offset", [-0.3, 0.0, 0.2])
@pytest.mark.parametrize(("narrow", "roll"), [(1.0, 0.0), (0.7, 0.0), (0.8, 0.4)])
def test_the_offset_of_the_nose_does_not_change_when_the_picture_is_squeezed_or_turned(
    offset: float, narrow: float, roll: float
) -> None:
    assert nose_offset(points(offset, narrow=narrow, roll=roll)) == pytest.approx(offset, abs=1e-4)


def test_a_face_that_is_turned_looks_narrower() -> None:
    assert narrowness(points(narrow=0.8)) == pytest.approx(0.8 * narrowness(points()), abs=1e-4)


def test_points_on_one_line_do_not_divide_by_zero() -> None:
    assert np.isfinite(nose_offset(np.zeros((5, 2), np.float32)))


def test_both_turns_in_the_order_asked_pass() -> None:
    turn = a_turn(LEFT, RIGHT)
    watch(turn, [0.1, 0.2])
    assert (turn.index, turn.guidance) == (1, Guidance.TURN_RIGHT)
    watch(turn, [0.05, -0.1, -0.2])

    assert turn.passed
    assert not turn.went_wrong
    assert turn.guidance is Guidance.LOOK_STRAIGHT


def test_the_other_order_does_not_pass() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [-0.1, -0.2])

    assert turn.went_wrong
    assert not turn.passed


def test_half_a_turn_is_half_done() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [POLICY.nose_side_min / 2])

    assert turn.fraction == pytest.approx(0.5, abs=0.01)


def test_the_same_side_twice_needs_a_return_between() -> None:
    turn = a_turn(LEFT, LEFT, RIGHT)

    watch(turn, [0.1, 0.2, 0.25])
    assert (turn.index, turn.guidance) == (1, Guidance.LOOK_STRAIGHT)
    watch(turn, [0.0, 0.1, 0.2])

    assert turn.index == 2


def test_rest_is_known_only_once_the_head_is_still_and_straight() -> None:
    turn = a_turn(rested=False)

    watch(turn, [0.3, 0.3, 0.3, 0.3])
    assert (turn.rested, turn.guidance) == (False, Guidance.LOOK_STRAIGHT)
    watch(turn, [0.0, 0.1, -0.1, 0.1])
    assert (turn.rested, turn.guidance) == (False, Guidance.HOLD_STILL)
    watch(turn, [0.02, 0.0, 0.01])

    assert turn.rested


def test_a_nose_off_the_middle_is_measured_from_where_it_rests() -> None:
    turn = a_turn(rested=False)
    watch(turn, [0.1, 0.1, 0.1])

    watch(turn, [0.2])
    assert turn.index == 0
    watch(turn, [0.26])

    assert turn.index == 1


def test_three_pictures_are_not_a_turn() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [0.0, 0.2, 0.2, 0.0, 0.2])

    assert turn.index == 0
    assert turn.guidance is Guidance.LOOK_STRAIGHT


def test_who_turned_too_fast_to_be_seen_turns_once_more() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [0.2, 0.1, 0.0])
    assert (turn.index, turn.guidance) == (0, Guidance.TURN_LEFT)
    watch(turn, [0.1, 0.2])

    assert turn.index == 1


def test_a_photo_turned_in_the_hand_looks_flat() -> None:
    turn = a_turn()
    looks = []

    for narrow in (0.95, 0.85, 0.8, 0.75):
        turn.observe(points(0.02, narrow=narrow))
        looks.append(turn.is_flat)

    assert looks == [False, True, True, True]
    assert turn.index == 0


def test_a_head_that_turns_does_not_look_flat() -> None:
    turn = a_turn()
    looks = []

    for offset, narrow in ((0.1, 0.95), (0.12, 0.85), (0.14, 0.8), (0.14, 0.75)):
        turn.observe(points(offset, narrow=narrow))
        looks.append(turn.is_flat)

    assert not any(looks)


def test_a_challenge_holds_both_sides_in_an_order_that_varies() -> None:
    source = random.Random(5)  # noqa: S311 - a seed, so that the test is the same every time
    orders = {random_challenge(FacePolicy(challenge_turns=2), source).actions for _ in range(50)}

    assert orders == {(LEFT, RIGHT), (RIGHT, LEFT)}


def test_more_turns_leave_more_orders_to_guess() -> None:
    source = random.Random(5)  # noqa: S311 - as above

    orders = {random_challenge(POLICY, source).actions for _ in range(200)}

    assert len(orders) == 6
    assert all(set(order) == {LEFT, RIGHT} for order in orders)
