"""The person before the camera turns the way the words say, at the speed of a person."""

from itertools import pairwise

import pytest

from mock_terminal.patient import DEGREES_PER_SECOND, TURN_DEGREES, Patient
from shualian.terminal.v1 import face_pb2


@pytest.mark.parametrize(("hint", "side"), [(face_pb2.HINT_TURN_LEFT, 1), (face_pb2.HINT_TURN_RIGHT, -1)])
def test_the_head_goes_to_the_side_that_is_asked(hint: face_pb2.Hint.ValueType, side: int) -> None:
    patient = Patient()
    patient.told(hint)

    assert patient.yaw(2.0) == side * TURN_DEGREES


def test_a_turn_takes_time() -> None:
    patient = Patient()
    patient.told(face_pb2.HINT_TURN_LEFT)

    assert patient.yaw(0.1) == pytest.approx(0.1 * DEGREES_PER_SECOND)
    assert patient.yaw(0.2) == pytest.approx(0.2 * DEGREES_PER_SECOND)


def test_a_head_never_turns_faster_than_a_head_can() -> None:
    patient = Patient()
    patient.told(face_pb2.HINT_TURN_LEFT)
    seen = [patient.yaw(step / 12) for step in range(12)]
    patient.told(face_pb2.HINT_TURN_RIGHT)
    seen += [patient.yaw(step / 12) for step in range(12, 30)]

    assert max(abs(after - before) for before, after in pairwise(seen)) <= DEGREES_PER_SECOND / 12 + 1e-9
    assert (max(seen), seen[-1]) == (TURN_DEGREES, -TURN_DEGREES)


def test_looking_straight_brings_the_head_back() -> None:
    patient = Patient()
    patient.told(face_pb2.HINT_TURN_RIGHT)
    patient.yaw(2.0)

    patient.told(face_pb2.HINT_LOOK_STRAIGHT)

    assert patient.yaw(4.0) == 0


def test_a_hint_about_the_light_does_not_stop_a_turn() -> None:
    patient = Patient()
    patient.told(face_pb2.HINT_TURN_LEFT)

    patient.told(face_pb2.HINT_MORE_LIGHT)

    assert patient.yaw(2.0) == TURN_DEGREES


def test_what_does_not_obey_does_not_move() -> None:
    picture = Patient(obeys=False)
    picture.told(face_pb2.HINT_TURN_LEFT)

    assert picture.yaw(2.0) == 0
