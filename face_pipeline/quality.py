"""Is this face good enough to be judged, and if not, what should the person change?"""

from dataclasses import dataclass

import cv2
import numpy as np

from face_pipeline.alignment import roll_degrees
from face_pipeline.frames import Face, Guidance, Image
from face_pipeline.policy import FacePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What differs between a session and an enrollment."""

    face_width_min: float
    sharpness_min: float

    @classmethod
    def of_session(cls, policy: FacePolicy) -> "Demands":
        """Return what a frame of a session must fulfil."""
        return cls(face_width_min=policy.face_width_min, sharpness_min=policy.sharpness_min)

    @classmethod
    def of_enrollment(cls, policy: FacePolicy) -> "Demands":
        """Return what a portrait must fulfil."""
        return cls(face_width_min=policy.face_width_min_enroll, sharpness_min=policy.sharpness_min_enroll)


def presence(faces: list[Face], policy: FacePolicy) -> Face | Guidance:
    """Return the one face before the camera, or why there is not exactly one. Faces come largest first."""
    accepted = [face for face in faces if face.score >= policy.detector_score_accept]
    if not accepted:
        return Guidance.NO_FACE
    first = accepted[0]
    second_width = policy.second_face_width_ratio * first.box.width
    if any(face is not first and face.box.width >= second_width for face in faces):
        return Guidance.SEVERAL_FACES
    return first


def framing(face: Face, image: Image, policy: FacePolicy, demands: Demands) -> Guidance | None:
    """Return what is wrong with size or place of the face; None when nothing is."""
    height, width = image.shape[:2]
    box = face.box
    inside_x = min(box.x + box.width, width) - max(box.x, 0)
    inside_y = min(box.y + box.height, height) - max(box.y, 0)
    if box.width < demands.face_width_min:
        return Guidance.COME_CLOSER
    if box.width > policy.face_width_fraction_max * width:
        return Guidance.MOVE_BACK
    to_edge = float(np.minimum(face.points, (width, height) - face.points).min())
    cut_off = inside_x * inside_y < (1 - policy.cut_off_fraction_max) * box.area
    if cut_off or to_edge < policy.edge_margin_min * box.width:
        return Guidance.CENTRE_FACE
    return None


def posture(face: Face, policy: FacePolicy) -> Guidance | None:
    """Return what is wrong with the tilt of a refined face, if anything; unrefined points hide a strong tilt."""
    return Guidance.STRAIGHTEN_HEAD if abs(roll_degrees(face.points)) > policy.roll_degrees_max else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CropQuality:
    """Light and sharpness of an aligned crop."""

    brightness: float
    """Mean gray, 0..255."""
    sharpness: float
    """Variance of the Laplacian."""

    @classmethod
    def of(cls, crop: Image) -> "CropQuality":
        """Measure a crop."""
        gray = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
        laplacian = cv2.Laplacian(gray, cv2.CV_32F)
        return cls(brightness=float(cv2.mean(gray)[0]), sharpness=float(np.var(laplacian)))

    def complaint(self, policy: FacePolicy, demands: Demands) -> Guidance | None:
        """Return what is wrong with light or sharpness; None when nothing is."""
        if self.brightness < policy.brightness_min:
            return Guidance.MORE_LIGHT
        if self.brightness > policy.brightness_max:
            return Guidance.LESS_LIGHT
        if self.sharpness < demands.sharpness_min:
            return Guidance.BLURRED
        return None
