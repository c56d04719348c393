"""Is there a living face in the infrared picture, where the colour picture shows one?

A screen is dark in near infrared: what it shows is made of visible light. Most prints are pale there: dyes let infrared
through, and eyes, brows and lips fade into the paper. Carbon ink keeps the picture: against laser prints, and against
masks, depth is the better witness. How the lamp's light falls off towards the cheeks was tried as well; on half of the
people it told heads from prints, on the other half it refused a third of the heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Face, Gray, Points
from face_pipeline.liveness.cues import CueSays
from face_pipeline.picture.registration import (
    INNER_X,
    INNER_Y,
    heaps,
    pixels_of_face,
    place_in_face,
    samples_of_inner_face,
)
from face_pipeline.policy import FacePolicy

SATURATED: Final = 250  # gray level from which a pixel says nothing but "bright"
EYE_HALF: Final = (0.28, 0.28)  # half width and height of what is taken for eye and brow, in the face's own frame
EYE_DARK: Final = 0.2  # quantile of their pixels
CHEEK_HALF: Final = (0.24, 0.2)
CHEEKS: Final = ((-0.55, 0.55), (0.55, 0.55))  # below the eyes, beside the nose
EYES: Final = ((-0.5, 0.0), (0.5, 0.0))


class InfraredReason(StrEnum):
    """Why the infrared picture is not that of a living face; a closed set."""

    NO_FACE = "no_face"
    """the detector finds none"""
    ELSEWHERE = "elsewhere"
    """it finds one, but not where the colour picture has it"""
    DARK = "dark"
    """hardly any light comes back: a screen, or somebody too far away"""
    GLARE = "glare"
    """so much light comes back that nothing can be told"""
    PALE = "pale"
    """the eyes are as bright as the cheeks: dyes on paper"""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfraredReading:
    """What the infrared picture of one face amounts to."""

    says: CueSays
    reason: InfraredReason | None
    """None when it speaks for a living face."""
    offset: float | None
    """How far the face found is from where colour has it, in eye distances; None where none was found."""
    brightness: float
    """Mean gray of the inner face, 0..255."""
    saturated_share: float
    """Of the inner face, 0..1."""
    eye_contrast: float
    """How much darker the eyes are than the cheeks, as a part of the cheeks' brightness: the number that decides."""


def in_infrared(nir: Gray, points: Points, faces: Sequence[Face], policy: FacePolicy) -> InfraredReading:
    """Return whether there is a living face in infrared where the colour picture has one.

    Args:
        nir: infrared picture, (y, x).
        points: the five landmarks in pixels of it (`registration.points_in`).
        faces: what the detector finds in it (`registration.as_colour`).
        policy: the thresholds.
    """
    to_pixels = pixels_of_face(points)
    samples = heaps(samples_of_inner_face(nir, to_pixels))
    brightness = float(samples.mean())
    saturated = float((samples >= SATURATED).mean())
    contrast, offset = _eye_contrast(samples), _offset(points, faces)
    is_turned = abs(place_in_face(points[2], to_pixels)[0]) > policy.frontal_offset_max
    says, reason = (
        _lit(brightness, saturated, policy)
        or _placed(offset, is_turned=is_turned, policy=policy)
        or _contrasted(contrast, is_turned=is_turned, policy=policy)
    )
    return InfraredReading(
        says=says,
        reason=reason,
        offset=offset,
        brightness=brightness,
        saturated_share=saturated,
        eye_contrast=contrast,
    )


Finding = tuple[CueSays, InfraredReason | None]


def _lit(brightness: float, saturated: float, policy: FacePolicy) -> Finding | None:
    if brightness < policy.infrared_brightness_min:
        return CueSays.AGAINST, InfraredReason.DARK
    if brightness > policy.infrared_brightness_max or saturated > policy.infrared_saturated_max:
        return CueSays.SILENT, InfraredReason.GLARE
    return None


def _placed(offset: float | None, *, is_turned: bool, policy: FacePolicy) -> Finding | None:
    if offset is None:  # on a turned head the detector may miss one; on a straight one it does not
        return CueSays.SILENT if is_turned else CueSays.AGAINST, InfraredReason.NO_FACE
    if offset <= policy.infrared_offset_max:
        return None
    is_other = offset > policy.infrared_offset_against
    return CueSays.AGAINST if is_other else CueSays.SILENT, InfraredReason.ELSEWHERE


def _contrasted(contrast: float, *, is_turned: bool, policy: FacePolicy) -> Finding:
    """Return what light and shade say. They never speak against a face: dark glasses do to them what paper does."""
    enough = contrast >= policy.infrared_contrast_min / (2 if is_turned else 1)
    return (CueSays.FOR, None) if enough else (CueSays.SILENT, InfraredReason.PALE)


def _offset(points: Points, faces: Sequence[Face]) -> float | None:
    """Return how far the middle of the nearest face found is from where it should be, in eye distances."""
    eyes, down = points[1] - points[0], (points[3:] - points[:2]).mean(axis=0)
    unit = max(float(np.hypot(*eyes)), float(np.hypot(*down)), 1e-6)  # whichever a turn has not shortened
    offsets = [float(np.hypot(*(face.points - points).mean(axis=0))) / unit for face in faces]
    return min(offsets, default=None)


def _eye_contrast(samples: NDArray[np.float64]) -> float:
    """Return how much darker the dark of the eyes is than the cheek below, mean of both sides."""
    found = []
    for eye, cheek in zip(EYES, CHEEKS, strict=True):
        dark = float(np.quantile(samples[_near(eye, EYE_HALF)], EYE_DARK))
        found.append(1 - dark / max(float(np.median(samples[_near(cheek, CHEEK_HALF)])), 1.0))
    return sum(found) / len(found)


def _near(middle: tuple[float, float], halves: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which cells of the inner face lie within a patch of it."""
    return (np.abs(INNER_X - middle[0]) < halves[0]) & (np.abs(INNER_Y - middle[1]) < halves[1])
