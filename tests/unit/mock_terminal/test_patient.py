"""The person before the camera moves the head the way the words say, at the speed of a person."""

from itertools import pairwise

import pytest

from mock_terminal.patient import (
    CLOSER,
    NOD_DEGREES,
    NOD_DEGREES_PER_SECOND,
    RELAXED,
    TURN_DEGREES,
    TURN_DEGREES_PER_SECOND,
    ZOOM_PER_SECOND,
    Patient,
    Pose,
)
from shualian.terminal.v1 import face_pb2

AN_HOUR = 3600.0


@pytest.mark.parametrize(
    ("hint", "pose"),
    [
        (face_pb2.HINT_TURN_LEFT, Pose(yaw=TURN_DEGREES)),
        (face_pb2.HINT_TURN_RIGHT, Pose(yaw=-TURN_DEGREES)),
        (face_pb2.HINT_NOD, Pose(pitch=NOD_DEGREES)),
        (face_pb2.HINT_COME_CLOSER, Pose(zoom=CLOSER)),
    ],
)
def test_the_head_goes_where_it_is_asked_to_and_nowhere_else(hint: face_pb2.Hint.ValueType, pose: Pose) -> None:
    patient = Patient()
    patient.told(hint)

    assert patient.pose(AN_HOUR) == pose


def test_left_is_positive_down_is_negative_and_closer_is_larger() -> None:
    assert TURN_DEGREES > 0 > NOD_DEGREES
    assert CLOSER > 4 / 3  # "about a third larger"


@pytest.mark.parametrize("t", [0.1, 0.2])
def test_a_movement_takes_time(t: float) -> None:
    turning, nodding, coming = Patient(), Patient(), Patient()
    turning.told(face_pb2.HINT_TURN_LEFT)
    nodding.told(face_pb2.HINT_NOD)
    coming.told(face_pb2.HINT_COME_CLOSER)

    assert turning.pose(t).yaw == pytest.approx(t * TURN_DEGREES_PER_SECOND)
    assert nodding.pose(t).pitch == pytest.approx(-t * NOD_DEGREES_PER_SECOND)
    assert coming.pose(t).zoom == pytest.approx(1 + t * ZOOM_PER_SECOND)


def test_a_head_never_turns_faster_than_a_head_can() -> None:
    patient = Patient()
    patient.told(face_pb2.HINT_TURN_LEFT)
    seen = [patient.pose(step / 12).yaw for step in range(12)]
    patient.told(face_pb2.HINT_TURN_RIGHT)
    seen += [patient.pose(step / 12).yaw for step in range(12, 30)]

    assert max(abs(after - before) for before, after in pairwise(seen)) <= TURN_DEGREES_PER_SECOND / 12 + 1e-9
    assert (max(seen), seen[-1]) == (TURN_DEGREES, -TURN_DEGREES)


@pytest.mark.parametrize("asked", [face_pb2.HINT_TURN_RIGHT, face_pb2.HINT_NOD, face_pb2.HINT_COME_CLOSER])
@pytest.mark.parametrize("after", [face_pb2.HINT_LOOK_STRAIGHT, face_pb2.HINT_HOLD_STILL, face_pb2.HINT_MOVE_BACK])
def test_what_was_done_is_undone_again(asked: face_pb2.Hint.ValueType, after: face_pb2.Hint.ValueType) -> None:
    patient = Patient()
    patient.told(asked)
    patient.pose(AN_HOUR)

    patient.told(after)

    assert patient.pose(2 * AN_HOUR) == RELAXED


def test_a_new_action_takes_the_place_of_the_one_before() -> None:
    patient = Patient()
    patient.told(face_pb2.HINT_NOD)
    patient.pose(AN_HOUR)

    patient.told(face_pb2.HINT_TURN_LEFT)

    assert patient.pose(2 * AN_HOUR) == Pose(yaw=TURN_DEGREES)


def test_who_is_asked_for_the_same_thing_again_does_it_slower_and_not_ever_slower() -> None:
    patient, went = Patient(), []
    for time in range(10):
        patient.told(face_pb2.HINT_NOD)
        went.append(-patient.pose(time * AN_HOUR + 0.1).pitch)
        patient.told(face_pb2.HINT_LOOK_STRAIGHT)
        patient.pose((time + 1) * AN_HOUR)

    assert went[0] > went[1] > went[2] > 0
    assert went[-1] == pytest.approx(went[-2])


def test_a_hint_that_is_repeated_while_it_is_followed_changes_nothing() -> None:
    once, often = Patient(), Patient()
    once.told(face_pb2.HINT_NOD)
    for _ in range(5):
        often.told(face_pb2.HINT_NOD)

    assert once.pose(0.1) == often.pose(0.1)


def test_who_comes_back_begins_each_movement_from_rest() -> None:
    patient = Patient(comes_back=True)
    patient.told(face_pb2.HINT_TURN_LEFT)
    patient.pose(AN_HOUR)
    patient.told(face_pb2.HINT_COME_CLOSER)

    seen = [patient.pose(AN_HOUR + frame / 12) for frame in range(24)]

    assert all(pose.zoom == 1 or pose.yaw == 0 for pose in seen)
    assert (seen[0].zoom, seen[-1].yaw, seen[-1].zoom) == (1, 0, CLOSER)


def test_a_hint_about_the_light_does_not_stop_a_turn() -> None:
    patient = Patient()
    patient.told(face_pb2.HINT_TURN_LEFT)

    patient.told(face_pb2.HINT_MORE_LIGHT)

    assert patient.pose(AN_HOUR).yaw == TURN_DEGREES


@pytest.mark.parametrize("hint", [face_pb2.HINT_TURN_LEFT, face_pb2.HINT_NOD, face_pb2.HINT_COME_CLOSER])
def test_who_cannot_move_does_not_move(hint: face_pb2.Hint.ValueType) -> None:
    patient = Patient(obeys=False)
    patient.told(hint)

    assert patient.pose(AN_HOUR) == RELAXED
