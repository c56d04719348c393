"""The turn of a head as geometry: points in, guidance out."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from face_pipeline import Action, Challenge, ChallengePlan, FacePolicy, Guidance, PolicyError
from face_pipeline.frames import Points
from face_pipeline.liveness.challenge import Look, Performance, random_challenge
from face_pipeline.liveness.gestures import Pose, gesture
from face_pipeline.liveness.parallax import FaceView, Parallax, Track
from face_pipeline.picture.pose import narrowness, nose_offset

POLICY = FacePolicy()
MOMENTS = [datetime(2026, 3, 2, 9, 0, tzinfo=UTC)]
LEFT, RIGHT, NOD, CLOSER = Action.TURN_LEFT, Action.TURN_RIGHT, Action.NOD, Action.COME_CLOSER


def points(nose: float = 0.0, *, narrow: float = 1.0, roll: float = 0.0) -> Points:
    """Return five points of a face whose nose lies this many eye distances off the middle."""
    face = np.array([[-30, 0], [30, 0], [60 * nose, 35], [-24, 60], [24, 60]], np.float64) * (narrow, 1)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return np.asarray(face @ turn.T + (320, 240), np.float32)


def a_turn(*actions: Action, rested: bool = True) -> Performance:
    turn = Performance(Challenge(actions=actions or (LEFT, RIGHT), deadline=POLICY.challenge_deadline), POLICY)
    if rested:
        watch(turn, [0.0] * POLICY.baseline_frames_min)
    return turn


def a_plan(*, turns: int = 0, extras: int = 0) -> ChallengePlan:
    return ChallengePlan(turns=turns, extras=extras, deadline=POLICY.challenge_deadline)


def watch(turn: Performance, offsets: Iterable[float], *, step: timedelta = timedelta(milliseconds=100)) -> None:
    for offset in offsets:
        if turn.observe(a_look(points(offset), step=step)):
            turn.advance()


def a_look(seen: Points, *, step: timedelta = timedelta(milliseconds=100)) -> Look:
    """Return the next frame, as long after the one before."""
    MOMENTS.append(MOMENTS[-1] + step)
    return Look(points=seen, at=MOMENTS[-1])


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


def test_who_stays_half_way_is_asked_to_begin_again_and_not_for_ever() -> None:
    turn = a_turn(LEFT, RIGHT)
    patience = round(POLICY.attempt_max / timedelta(milliseconds=100)) + 2

    watch(turn, [0.1] * (patience - 2))
    assert (turn.index, turn.guidance) == (0, Guidance.TURN_LEFT)
    watch(turn, [0.1] * 2)
    assert (turn.index, turn.guidance) == (0, Guidance.LOOK_STRAIGHT)
    watch(turn, [0.1] * patience)
    assert (turn.index, turn.guidance) == (0, Guidance.TURN_LEFT)


def test_who_began_again_is_asked_for_the_turn_and_may_do_it() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [0.1] * 30)
    assert (turn.index, turn.guidance) == (0, Guidance.LOOK_STRAIGHT)
    watch(turn, [0.0])
    assert (turn.index, turn.guidance) == (0, Guidance.TURN_LEFT)
    watch(turn, [0.1, 0.2])

    assert turn.index == 1


def test_who_looks_straight_may_take_any_time() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [0.0] * 60)

    assert (turn.index, turn.guidance) == (0, Guidance.TURN_LEFT)


def test_a_photo_turned_in_the_hand_looks_flat() -> None:
    turn = a_turn()
    looks = []

    for narrow in (0.95, 0.85, 0.8, 0.75):
        turn.observe(a_look(points(0.02, narrow=narrow)))
        looks.append(turn.is_flat)

    assert looks == [False, True, True, True]
    assert turn.index == 0


def test_a_head_that_turns_does_not_look_flat() -> None:
    turn = a_turn()
    looks = []

    for offset, narrow in ((0.1, 0.95), (0.12, 0.85), (0.14, 0.8), (0.14, 0.75)):
        turn.observe(a_look(points(offset, narrow=narrow)))
        looks.append(turn.is_flat)

    assert not any(looks)


def test_a_challenge_holds_both_sides_in_an_order_that_varies() -> None:
    source = random.Random(5)  # noqa: S311 - a seed, so that the test is the same every time
    orders = {random_challenge(a_plan(turns=2), source).actions for _ in range(50)}

    assert orders == {(LEFT, RIGHT), (RIGHT, LEFT)}


def test_more_turns_leave_more_orders_to_guess() -> None:
    source = random.Random(5)  # noqa: S311 - as above

    orders = {random_challenge(a_plan(turns=3), source).actions for _ in range(200)}

    assert len(orders) == 6
    assert all(set(order) == {LEFT, RIGHT} for order in orders)


def test_extras_are_mixed_into_the_turns_at_any_place() -> None:
    source = random.Random(5)  # noqa: S311 - as above
    orders = {random_challenge(a_plan(turns=2, extras=1), source).actions for _ in range(400)}

    assert len(orders) == 12
    assert all(order.count(LEFT) == order.count(RIGHT) == 1 for order in orders)
    assert {(set(order) - {LEFT, RIGHT}).pop() for order in orders} == {Action.NOD, Action.COME_CLOSER}
    assert {place for order in orders for place, action in enumerate(order) if action in {NOD, CLOSER}} == {0, 1, 2}


def test_a_plan_of_nothing_asks_for_nothing() -> None:
    source = random.Random(5)  # noqa: S311 - as above
    challenge = random_challenge(ChallengePlan.nothing(timedelta(seconds=9)), source)

    assert (challenge.actions, challenge.deadline) == ((), timedelta(seconds=9))


def test_a_plan_of_what_a_photograph_can_do_as_well_is_refused() -> None:
    with pytest.raises(PolicyError, match="a turn"):
        random_challenge(a_plan(turns=0, extras=1), random.Random(5))  # noqa: S311 - as above


def test_a_turn_in_no_time_is_no_turn() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [0.1, 0.2], step=timedelta(milliseconds=50))
    assert (turn.index, turn.guidance) == (0, Guidance.LOOK_STRAIGHT)
    watch(turn, [0.0, 0.1, 0.2])

    assert turn.index == 1


def test_frames_of_one_and_the_same_moment_are_no_turn() -> None:
    turn = a_turn(LEFT, RIGHT)

    watch(turn, [0.0, 0.05, 0.1, 0.15, 0.2, 0.25], step=timedelta())

    assert turn.index == 0


def approach(turn: Performance, growths: Iterable[float], *, step: timedelta = timedelta(milliseconds=100)) -> None:
    for growth in growths:
        if turn.observe(a_look(np.asarray((1 + growth) * points() - growth * points()[2], np.float32), step=step)):
            turn.advance()


def test_coming_closer_by_a_third_in_several_steps_passes() -> None:
    turn = a_turn(CLOSER)

    approach(turn, [0.05, 0.15, 0.25])
    assert turn.fraction == pytest.approx(0.75, abs=0.01)
    approach(turn, [0.34])

    assert turn.passed


@pytest.mark.parametrize(
    ("growths", "step_ms"),
    [([0.4], 100), ([0.3, 0.4], 100), ([0.0, 0.1, 0.2, 0.3, 0.4], 20), ([0.1, 0.2, 0.3, 0.3], 100)],
)
def test_a_picture_that_is_enlarged_does_not_come_closer(growths: list[float], step_ms: int) -> None:
    turn = a_turn(CLOSER)

    approach(turn, growths, step=timedelta(milliseconds=step_ms))

    assert turn.index == 0


def test_closer_once_more_needs_a_step_back() -> None:
    turn = a_turn(CLOSER, CLOSER)

    approach(turn, [0.1, 0.2, 0.3, 0.4, 0.45])
    assert (turn.index, turn.guidance) == (1, Guidance.LOOK_STRAIGHT)
    approach(turn, [0.3, 0.1, 0.0])
    assert turn.guidance is Guidance.COME_CLOSER
    approach(turn, [0.1, 0.2, 0.3, 0.4])

    assert turn.passed


def test_a_turn_where_a_step_is_asked_for_is_wrong() -> None:
    turn = a_turn(CLOSER)

    watch(turn, [0.1, 0.2])

    assert turn.went_wrong


@pytest.mark.parametrize(
    ("drop", "turn", "reach"), [(0.0, 0.0, 0.0), (0.065, 0.0, 1.0), (-0.065, 0.0, -1.0), (0.065, 0.1, None)]
)
def test_a_nod_is_the_way_of_the_nose_down_on_a_head_that_looks_straight(
    drop: float, turn: float, reach: float | None
) -> None:
    parallax = Parallax(across=turn, down=drop, narrowing=1.0)

    assert gesture(NOD, POLICY).reach(Pose(turn=turn, parallax=parallax, growth=0.0)) == reach
    assert gesture(NOD, POLICY).reach(Pose(turn=turn, parallax=None, growth=0.0)) is None


def a_view(
    *, nose: tuple[float, float] = (0.0, 0.0), squeeze: float = 1.0, noise: float = 0.0, change: float = 0.0
) -> FaceView:
    """Return a view of a drawn face, squeezed sideways, whose nose lies this many pixels off its place.

    With a change, in radians, it looks more and more unlike itself.
    """
    random_gray = np.random.default_rng(7)
    blobs, others = random_gray.normal(size=(2, 5, 25, 25, 3))
    blobs = np.cos(change) * blobs + np.sin(change) * others
    image = np.full((480, 640, 3), 128.0)
    seen = points(narrow=squeeze).astype(np.float64)
    seen[2] += nose
    for place, blob in zip(seen, blobs, strict=True):
        x, y = np.round(place).astype(int)
        size = (max(3, round(25 * squeeze)) // 2 * 2 + 1, 25)
        patch = cv2.resize(cv2.GaussianBlur(blob, (0, 0), 2.0), size)
        half = size[0] // 2
        image[y - 12 : y + 13, x - half : x + half + 1] += 300 * patch
    image += noise * random_gray.normal(size=image.shape)
    found = points(narrow=squeeze)  # as a detector would: it expects the nose where noses are
    return FaceView.of(np.clip(image, 0, 255).astype(np.uint8), found)


@pytest.mark.parametrize("squeeze", [1.0, 0.85])
def test_the_parallax_of_a_nose_is_found_in_the_picture_and_not_in_the_points(squeeze: float) -> None:
    parallax = Track(a_view(noise=2.0)).parallax(a_view(nose=(0.0, 6.0), squeeze=squeeze, noise=2.0))

    assert parallax is not None
    assert parallax.down == pytest.approx(6 / 60, abs=0.02)
    assert parallax.across == pytest.approx(0.0, abs=0.02)
    assert parallax.narrowing == pytest.approx(squeeze, abs=0.03)


def test_a_flat_picture_that_is_squeezed_has_no_parallax() -> None:
    parallax = Track(a_view()).parallax(a_view(squeeze=0.8))

    assert parallax is not None
    assert max(abs(parallax.across), abs(parallax.down)) < 0.02
    assert parallax.narrowing == pytest.approx(0.8, abs=0.03)


def test_a_face_that_is_not_found_again_says_nothing() -> None:
    blank = FaceView.of(np.full((480, 640, 3), 128, np.uint8), points())

    assert Track(a_view()).parallax(blank) is None


def test_a_face_that_comes_to_look_unlike_its_rest_is_followed_step_by_step() -> None:
    far = a_view(nose=(6.0, 0.0), change=1.4)
    track = Track(a_view())
    for step in (1, 2, 3):
        track.parallax(a_view(nose=(1.5 * step, 0.0), change=0.35 * step))

    parallax = track.parallax(far)

    assert parallax is not None
    assert parallax.across == pytest.approx(6 / 60, abs=0.03)
    assert Track(a_view()).parallax(far) is None


def test_what_errs_on_the_way_is_forgotten_where_the_face_looks_as_at_rest() -> None:
    track = Track(a_view())
    for step in range(8):
        track.parallax(a_view(nose=(float(step % 3), 0.0), noise=12.0, change=0.05 * step))

    parallax = track.parallax(a_view())

    assert parallax is not None
    assert max(abs(parallax.across), abs(parallax.down)) < 0.002
