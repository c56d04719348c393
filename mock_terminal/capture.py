"""What does a terminal take pictures with, and how do they become messages?"""

from collections.abc import Sequence
from typing import Final

from mock_terminal.camera import Camera, encode, encode_depth
from mock_terminal.eye import BESIDE, Cameras, Size
from mock_terminal.patient import Patient
from shualian.terminal.v1 import face_pb2


class Viewfinder:
    """Cameras with a patient, or a pretence of one, before them."""

    def __init__(self, camera: Camera, patient: Patient, *, cameras: Cameras = Cameras.ALL) -> None:
        self._camera: Final = camera
        self._patient: Final = patient
        self._beside: Final = BESIDE[cameras]

    @property
    def size(self) -> Size:
        """Width and height of the colour picture, pixels."""
        return self._camera.size

    @property
    def beside(self) -> Sequence[face_pb2.Modality.ValueType]:
        """What it promises beside colour."""
        return self._beside

    def told(self, hint: face_pb2.Hint.ValueType) -> None:
        """Let the patient hear what to do."""
        self._patient.told(hint)

    def pictures(self, t: float) -> Sequence[face_pb2.Picture]:
        """Take a picture with each camera."""
        pose = self._patient.pose(t)
        if not self._beside:
            return [colour(encode(self._camera.frame(t, pose.yaw, pose.pitch, zoom=pose.zoom)))]
        seen = self._camera.capture(t, pose.yaw, pose.pitch, zoom=pose.zoom)
        pictures = [colour(encode(seen.rgb))]
        if face_pb2.MODALITY_NIR in self._beside:
            pictures.append(infrared(encode(seen.nir)))
        if face_pb2.MODALITY_DEPTH in self._beside:
            pictures.append(depth(encode_depth(seen.depth)))
        return pictures


def colour(jpeg: bytes) -> face_pb2.Picture:
    """Return a colour picture as a message."""
    return face_pb2.Picture(modality=face_pb2.MODALITY_RGB, encoding=face_pb2.ENCODING_JPEG, data=jpeg)


def infrared(jpeg: bytes) -> face_pb2.Picture:
    """Return a picture in near infrared as a message."""
    return face_pb2.Picture(modality=face_pb2.MODALITY_NIR, encoding=face_pb2.ENCODING_JPEG, data=jpeg)


def depth(png: bytes) -> face_pb2.Picture:
    """Return a picture of distances as a message."""
    return face_pb2.Picture(modality=face_pb2.MODALITY_DEPTH, encoding=face_pb2.ENCODING_PNG_MILLIMETRES, data=png)
