"""What may a terminal look with, and what does a session get its pictures from?

Apart from what takes them, which needs OpenCV: most verbs show nobody to a camera, and do not wait for it.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

from shualian.terminal.v1 import face_pb2

Size = tuple[int, int]


class Cameras(StrEnum):
    """What looks at the person."""

    RGB = "rgb"
    """Colour alone: a screen that obeys can pass for a person."""
    RGB_DEPTH = "rgb+depth"
    """Colour, and a structured-light or time-of-flight camera."""
    RGB_NIR = "rgb+nir"
    """Colour and near infrared, lit by the terminal."""
    ALL = "all"
    """All three, as certified class III terminals have them."""


BESIDE: Final[Mapping[Cameras, Sequence[face_pb2.Modality.ValueType]]] = {
    Cameras.RGB: (),
    Cameras.RGB_DEPTH: (face_pb2.MODALITY_DEPTH,),
    Cameras.RGB_NIR: (face_pb2.MODALITY_NIR,),
    Cameras.ALL: (face_pb2.MODALITY_NIR, face_pb2.MODALITY_DEPTH),
}
"""What each delivers beside colour, in the order in which it is sent."""


class Eye(Protocol):
    """What a session gets its pictures from."""

    @property
    def size(self) -> Size:
        """Width and height of the colour picture, pixels."""

    @property
    def beside(self) -> Sequence[face_pb2.Modality.ValueType]:
        """What it promises beside colour."""

    def pictures(self, t: float) -> Sequence[face_pb2.Picture]:
        """Return what it sees `t` seconds into the session, colour first. Time only rises."""

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Let whoever is before it hear what to do."""
