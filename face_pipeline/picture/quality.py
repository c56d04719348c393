"""Is this face good enough to be judged, and if not, what should the person change?"""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from face_pipeline.frames import Face, Guidance, Image, Points
from face_pipeline.picture.alignment import roll_degrees
from face_pipeline.picture.exposure import Exposure
from face_pipeline.picture.occlusion import Uncovered
from face_pipeline.picture.pose import nose_offset
from face_pipeline.policy import FacePolicy

STEADINESS_KEPT: Final = 0.97  # of the best sharpness from frame to frame: one noisy frame is forgotten within seconds


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
    to_edge = min(min(x, width - x, y, height - y) for x, y in face.points.tolist())
    cut_off = inside_x * inside_y < (1 - policy.cut_off_fraction_max) * box.area
    if cut_off or to_edge < policy.edge_margin_min * box.width:
        return Guidance.CENTRE_FACE
    return None


def posture(face: Face, policy: FacePolicy) -> Guidance | None:
    """Return what is wrong with the tilt of a refined face, if anything; unrefined points hide a strong tilt."""
    return Guidance.STRAIGHTEN_HEAD if abs(roll_degrees(face.points)) > policy.roll_degrees_max else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CropQuality:
    """Light, sharpness and openness of an aligned crop."""

    exposure: Exposure
    sharpness: float
    """Variance of the Laplacian."""
    uncovered: Uncovered | None = None
    """Eyes and mouth; None where the face is turned away and they are not where they are looked for."""
    is_smeared: bool = False
    """Much less sharp than this person was a moment ago: the head or the camera moved (`Steadiness`)."""

    @classmethod
    def of(cls, crop: Image, points: Points, policy: FacePolicy) -> "CropQuality":
        """Measure a crop of the face with these points."""
        gray = np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), np.uint8)
        # The deviation of the Laplacian, from OpenCV in one pass; numpy's variance takes three.
        _, deviation = cv2.meanStdDev(cv2.Laplacian(gray, cv2.CV_16S))
        is_frontal = abs(nose_offset(points)) <= policy.frontal_offset_max
        return cls(
            exposure=Exposure.of(gray),
            sharpness=float(deviation[0, 0]) ** 2,
            uncovered=Uncovered.of(gray) if is_frontal else None,
        )

    def complaint(self, policy: FacePolicy, demands: Demands) -> Guidance | None:
        """Return what is wrong with light, sharpness or openness; None when nothing is."""
        in_the_way = None if self.uncovered is None else self.uncovered.complaint(policy)
        if in_the_way is not None:
            return in_the_way  # before the light: dark glasses and black masks make a dark crop
        complaint = self.exposure.complaint(policy)
        if complaint is None and (self.is_smeared or self.sharpness < demands.sharpness_min):
            return Guidance.BLURRED
        return complaint


class Steadiness:
    """Remembers how sharp a face was, so that a frame smeared by motion is told from a person who is never sharp."""

    def __init__(self, policy: FacePolicy) -> None:
        self._policy = policy
        self._best = 0.0

    def judged(self, quality: CropQuality) -> CropQuality:
        """Return the quality of the next frame, marked where it is smeared."""
        self._best = max(quality.sharpness, self._best * STEADINESS_KEPT)
        # An absolute bound as well: what would do for an enrollment is sharp, however sharp the frame before was.
        least = min(self._best * self._policy.sharpness_share_min, self._policy.sharpness_min_enroll)
        return replace(quality, is_smeared=quality.sharpness < least)
