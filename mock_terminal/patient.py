"""The person before the camera: looks straight, and turns the head when told to, as fast as people do."""

from typing import Final

from shualian.terminal.v1 import face_pb2

TURN_DEGREES: Final = 36.0
"""How far the person turns: about 30 degrees are asked, and people overdo it."""
DEGREES_PER_SECOND: Final = 75.0
_TARGETS: Final = {face_pb2.HINT_TURN_LEFT: TURN_DEGREES, face_pb2.HINT_TURN_RIGHT: -TURN_DEGREES}


class Patient:
    """Moves the head towards where the last hint wants it."""

    def __init__(self, *, obeys: bool = True) -> None:
        """Stand before the camera.

        Args:
            obeys: False for somebody, or something, that does not turn.
        """
        self._obeys: Final = obeys
        self._target = 0.0
        self._yaw = 0.0
        self._seen_at = 0.0

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Hear what to do; hints that are not about turning leave the head where it is going."""
        if not self._obeys:
            return
        if hint in _TARGETS:
            self._target = _TARGETS[hint]
        elif hint in {face_pb2.HINT_LOOK_STRAIGHT, face_pb2.HINT_HOLD_STILL}:
            self._target = 0.0

    def yaw(self, t: float) -> float:
        """Return the turn of the head in degrees at `t` seconds, positive to the person's own left. Time only rises."""
        step = DEGREES_PER_SECOND * max(0.0, t - self._seen_at)
        self._seen_at = t
        self._yaw += max(-step, min(step, self._target - self._yaw))
        return self._yaw
