"""When may a frame have been taken? Near our time, and no faster than the camera can."""

from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from server.faces.capture import CaptureTimes
from server.faces.errors import CaptureClockError, CapturePaceError
from server.refusals import InvalidRequestError
from shualian.terminal.v1 import face_pb2

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SKEW = timedelta(seconds=30)
PER_SECOND = 10


def times() -> CaptureTimes:
    return CaptureTimes(frames_per_second=PER_SECOND, skew_max=SKEW)


def taken(at: datetime) -> face_pb2.Frame:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return face_pb2.Frame(sequence=1, captured_at=stamp)


@pytest.mark.parametrize("off", [SKEW, -SKEW], ids=["ahead", "behind"])
def test_a_clock_that_is_a_little_off_is_no_matter(off: timedelta) -> None:
    times().take(taken(NOW + off), NOW)


@pytest.mark.parametrize("off", [SKEW, -SKEW], ids=["ahead", "behind"])
def test_a_wrong_clock_is_told_our_time_at_the_first_frame(off: timedelta) -> None:
    with pytest.raises(CaptureClockError) as refused:
        times().take(taken(NOW + off * 1.01), NOW)

    assert refused.value.platform_time == NOW


def test_a_clock_that_is_set_within_a_session_is_noticed() -> None:
    session = times()
    session.take(taken(NOW), NOW)

    with pytest.raises(CaptureClockError):
        session.take(taken(NOW + timedelta(minutes=1)), NOW + timedelta(seconds=1))


def test_frames_at_the_cameras_own_pace_pass_however_long_the_session() -> None:
    session = times()
    for index in range(400):
        at = NOW + timedelta(seconds=index / PER_SECOND)
        session.take(taken(at), at)


def test_a_burst_after_a_pause_passes() -> None:
    session = times()
    for index in range(2 * PER_SECOND):
        session.take(taken(NOW + timedelta(milliseconds=index)), NOW)


@pytest.mark.parametrize("step", [timedelta(), timedelta(milliseconds=20)], ids=["all at once", "50 a second"])
def test_more_frames_than_the_camera_takes_are_not_its_frames(step: timedelta) -> None:
    session = times()

    def take_many() -> None:
        for index in range(100):
            session.take(taken(NOW + index * step), NOW + index * step)

    with pytest.raises(CapturePaceError):
        take_many()


def test_a_moment_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidRequestError):
        times().take(face_pb2.Frame(captured_at=Timestamp(seconds=-1)), NOW)
