"""Can these frames have been taken when the terminal says? Near our time, and no faster than its camera can."""

from datetime import datetime, timedelta

from server import convert
from server.faces.errors import CaptureClockError, CapturePaceError
from shualian.terminal.v1 import face_pb2

PACE_FACTOR = 2.0
"""How much faster than it said a camera may be: frame rates are nominal, and cameras catch up after a pause."""
PACE_REST = timedelta(seconds=1)
"""Frames of so long a time may come at once."""


class CaptureTimes:
    """The capture times of one session."""

    def __init__(self, *, frames_per_second: int, skew_max: timedelta) -> None:
        """Begin before the first frame.

        Args:
            frames_per_second: what the terminal said its camera can do.
            skew_max: how far its clock may be from ours; a frame that took longer to come is refused as well.
        """
        self._per_second = PACE_FACTOR * frames_per_second
        self._skew_max = skew_max
        self._first_at: datetime | None = None
        self._frames = 0

    def take(self, frame: face_pb2.Frame, received_at: datetime) -> None:
        """Take in the next frame.

        That times rise is for the pipeline to see, which counts a frame out of order as a bad one.

        Raises:
            InvalidRequestError: no such moment exists.
            CaptureClockError: too far from our time.
            CapturePaceError: more frames in the time than the camera can take.
        """
        captured_at = convert.moment(frame.captured_at, "frame.captured_at")
        if abs(captured_at - received_at) > self._skew_max:
            raise CaptureClockError(platform_time=received_at)
        self._first_at = self._first_at or captured_at
        self._frames += 1
        span = max(captured_at - self._first_at, timedelta()) + PACE_REST
        if self._frames > self._per_second * span.total_seconds() + 1:
            raise CapturePaceError
