"""A virtual camera plays what was seen before, as the head is asked for now."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from mock_terminal.capture import colour, depth
from mock_terminal.injection import RECORDED_MAX, Injector, Recorder, in_other_bytes, reencoded
from mock_terminal.patient import Patient
from mock_terminal.scenes import Size
from shualian.terminal.v1 import face_pb2


class Album:
    """An eye whose pictures say how the head was."""

    size: Size = (640, 480)
    beside: Sequence[face_pb2.Modality.ValueType] = (face_pb2.MODALITY_DEPTH,)

    def __init__(self) -> None:
        self._head = Patient()

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Let the head hear it."""
        self._head.told(hint)

    def pictures(self, t: float) -> Sequence[face_pb2.Picture]:
        """Return the yaw in words, twice."""
        said = f"{self._head.pose(t).yaw:+03.0f} at {t:.1f}".encode()
        return [colour(b"..%s" % said), depth(b"." * 33 + said)]  # behind what is the head of such a file


def recorded(*hints: face_pb2.Hint.ValueType) -> Recorder:
    """Return what was seen of somebody who did one thing after the other, a second each."""
    recorder = Recorder(Album())
    for second, hint in enumerate(hints):
        recorder.told(hint)
        for tenth in range(10):
            recorder.pictures(second + tenth / 10)
    return recorder


def yaw(pictures: Sequence[face_pb2.Picture]) -> int:
    return int(pictures[0].data.partition(b" at ")[0][-3:])


def moment(pictures: Sequence[face_pb2.Picture]) -> bytes:
    return pictures[0].data.partition(b" at ")[2]


def test_an_honest_session_passes_through_the_recorder_unchanged() -> None:
    recorder, plain = Recorder(Album()), Album()
    for eye in (recorder, plain):
        eye.told(face_pb2.HINT_TURN_LEFT)

    assert recorder.pictures(0.5) == plain.pictures(0.5)
    assert (recorder.size, recorder.beside) == (plain.size, plain.beside)


def test_what_is_played_turns_as_it_is_asked_though_it_was_recorded_the_other_way_round() -> None:
    injector = Injector(recorded(face_pb2.HINT_HOLD_STILL, face_pb2.HINT_TURN_LEFT, face_pb2.HINT_TURN_RIGHT))

    injector.told(face_pb2.HINT_TURN_RIGHT)
    right = yaw(injector.pictures(2.0))
    injector.told(face_pb2.HINT_TURN_LEFT)
    injector.pictures(3.0)  # back to rest first
    left = yaw(injector.pictures(4.0))

    assert (right, left) == (-36, 36)


def test_a_moment_that_is_played_again_is_sent_in_other_bytes() -> None:
    recorder = Recorder(Album())
    recorder.pictures(0.0)
    injector = Injector(recorder)

    first, second = injector.pictures(1.0), injector.pictures(2.0)

    assert moment(first) == moment(second) == b"0.0"
    assert all(one.data != other.data for one, other in zip(first, second, strict=True))


def test_it_knows_what_it_can_show() -> None:
    injector = Injector(recorded(face_pb2.HINT_TURN_LEFT, face_pb2.HINT_NOD))
    left, right, nod = (
        face_pb2.CHALLENGE_ACTION_TURN_LEFT,
        face_pb2.CHALLENGE_ACTION_TURN_RIGHT,
        face_pb2.CHALLENGE_ACTION_NOD,
    )

    assert injector.can(face_pb2.Challenge(actions=[nod, left, nod]))
    assert not injector.can(face_pb2.Challenge(actions=[left, right]))


def test_i11_no_more_is_remembered_than_a_session_has() -> None:
    recorder = Recorder(Album())

    for tenth in range(RECORDED_MAX + 5):
        recorder.pictures(tenth / 10)

    assert len(recorder.moments) == RECORDED_MAX


def test_a_picture_made_anew_shows_the_same_and_shares_no_byte_that_matters() -> None:
    coarse = np.random.default_rng(1).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    drawn = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
    old = colour(cv2.imencode(".jpg", drawn)[1].tobytes())

    new = reencoded(old)

    seen = cv2.imdecode(np.frombuffer(new.data, np.uint8), cv2.IMREAD_COLOR)
    assert new.data != old.data
    assert seen is not None
    assert seen.shape == drawn.shape
    assert np.abs(seen.astype(int) - drawn).mean() < 12


def test_the_same_picture_in_other_bytes_shows_the_very_same() -> None:
    drawn = np.random.default_rng(2).integers(0, 256, (40, 60), dtype=np.uint8)
    jpeg = colour(cv2.imencode(".jpg", drawn)[1].tobytes())
    png = depth(cv2.imencode(".png", drawn.astype(np.uint16) * 9)[1].tobytes())

    for picture in (jpeg, png):
        other, another = in_other_bytes(picture, b"1"), in_other_bytes(picture, b"2")
        assert len({picture.data, other.data, another.data}) == 3
        assert (pixels(other) == pixels(picture)).all()


def pixels(picture: face_pb2.Picture) -> NDArray[np.generic]:
    seen = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert seen is not None
    return np.asarray(seen)


def test_distances_are_played_as_they_were() -> None:
    old = depth(b"a PNG of distances")

    assert reencoded(old) is old
