"""What does a virtual camera do? It records what a terminal saw of an honest person, and plays it back as if live.

It is as good as one can be who holds a whole terminal, its key among the rest: the old pictures of all cameras come
with new times, under a seal that holds, and those are played that show the head as it is asked for now. Nothing about
such a session is wrong, but that its pictures have been seen before.
"""

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mock_terminal.eye import Eye
from mock_terminal.patient import Patient, Pose
from mock_terminal.scenes import Size
from shualian.terminal.v1 import face_pb2

RECORDED_MAX: Final = 400
"""Moments; a session has fewer."""
REENCODED_QUALITY: Final = 70
"""Of the JPEGs made anew: no byte of the old ones is left."""
REENCODED_CROP: Final = 4
"""Pixels cut off at each side before, so that no pixel is at its old place either."""
_JPEG_START: Final = 2
_PNG_HEADER: Final = 33
"""Bytes: signature and IHDR."""
_ZOOM_DEGREES: Final = 100.0
"""How many degrees of a turn are as different as a face twice as large."""

_HINTS: Final = {
    face_pb2.CHALLENGE_ACTION_TURN_LEFT: face_pb2.HINT_TURN_LEFT,
    face_pb2.CHALLENGE_ACTION_TURN_RIGHT: face_pb2.HINT_TURN_RIGHT,
    face_pb2.CHALLENGE_ACTION_NOD: face_pb2.HINT_NOD,
    face_pb2.CHALLENGE_ACTION_COME_CLOSER: face_pb2.HINT_COME_CLOSER,
}
Remade = Callable[[face_pb2.Picture], face_pb2.Picture]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What the cameras saw at one moment, and how the head was asked to be then."""

    pose: Pose
    pictures: Sequence[face_pb2.Picture]


class Recorder:
    """An eye that remembers what it saw."""

    def __init__(self, eye: Eye) -> None:
        self._eye: Final = eye
        self._head: Final = Patient(comes_back=True)
        self.moments: Final[list[Moment]] = []
        self.hints: Final[set[face_pb2.Hint.ValueType]] = set()

    @property
    def size(self) -> Size:
        """Width and height of the colour picture, pixels."""
        return self._eye.size

    @property
    def beside(self) -> Sequence[face_pb2.Modality.ValueType]:
        """What it promises beside colour."""
        return self._eye.beside

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Let the patient hear it, and keep in mind what was said."""
        self.hints.add(hint)
        self._head.told(hint)
        self._eye.told(hint)

    def pictures(self, t: float) -> Sequence[face_pb2.Picture]:
        """Look, and remember."""
        seen = self._eye.pictures(t)
        if len(self.moments) < RECORDED_MAX:
            self.moments.append(Moment(pose=self._head.pose(t), pictures=seen))
        return seen


class Injector:
    """An eye that sees nothing: it plays the recorded moment that comes nearest to what is asked for."""

    def __init__(self, recorded: Recorder, *, remade: Remade | None = None) -> None:
        """Play what was recorded.

        Args:
            recorded: the honest session; at least one moment of it.
            remade: what is done to each picture before it is played; nothing by default.
        """
        self._size: Final = recorded.size
        self._beside: Final = recorded.beside
        self._moments: Final = tuple(recorded.moments)
        self._hints: Final = frozenset(recorded.hints)
        self._played = 0
        self._head: Final = Patient(comes_back=True)
        self._remade: Final = remade

    @property
    def size(self) -> Size:
        """Width and height of the colour picture, pixels."""
        return self._size

    @property
    def beside(self) -> Sequence[face_pb2.Modality.ValueType]:
        """What it promises beside colour."""
        return self._beside

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Pretend to hear."""
        self._head.told(hint)

    def pictures(self, t: float) -> Sequence[face_pb2.Picture]:
        """Play the moment in which the head was most as it is wanted now."""
        wanted = self._head.pose(t)
        nearest = min(self._moments, key=lambda moment: _apart(moment.pose, wanted))
        self._played += 1
        pictures = nearest.pictures
        remade = pictures if self._remade is None else [self._remade(picture) for picture in pictures]
        return [in_other_bytes(picture, b"%d" % self._played) for picture in remade]

    def can(self, challenge: face_pb2.Challenge) -> bool:
        """Return whether everything that is asked was done in what was recorded."""
        return all(_HINTS[action] in self._hints for action in challenge.actions)


def reencoded(picture: face_pb2.Picture) -> face_pb2.Picture:
    """Return a picture that looks the same and shares no byte with the old one; distances stay as they are."""
    if picture.encoding != face_pb2.ENCODING_JPEG:
        return picture
    seen = cv2.imdecode(np.frombuffer(picture.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if seen is None:
        return picture
    height, width = seen.shape[:2]
    cut = seen[REENCODED_CROP : height - REENCODED_CROP, REENCODED_CROP : width - REENCODED_CROP]
    shown = cv2.resize(cut, (width, height), interpolation=cv2.INTER_CUBIC)
    _, data = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, REENCODED_QUALITY])
    return face_pb2.Picture(modality=picture.modality, encoding=picture.encoding, data=data.tobytes())


def in_other_bytes(picture: face_pb2.Picture, remark: bytes) -> face_pb2.Picture:
    """Return the very same picture with a remark in its file, so that no bytes are ever sent twice."""
    if picture.encoding == face_pb2.ENCODING_JPEG:
        comment = b"\xff\xfe" + struct.pack(">H", len(remark) + 2) + remark
        data = picture.data[:_JPEG_START] + comment + picture.data[_JPEG_START:]
    else:
        chunk = b"tEXt" + b"Comment\x00" + remark
        text = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        data = picture.data[:_PNG_HEADER] + text + picture.data[_PNG_HEADER:]
    return face_pb2.Picture(modality=picture.modality, encoding=picture.encoding, data=data)


def _apart(one: Pose, other: Pose) -> float:
    zoom = _ZOOM_DEGREES * abs(one.zoom - other.zoom)
    return float(np.hypot(one.yaw - other.yaw, one.pitch - other.pitch)) + zoom
