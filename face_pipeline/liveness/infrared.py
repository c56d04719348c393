"""Is there a living face in the infrared picture, where the colour picture shows one?

A screen is dark in near infrared: what it shows is made of visible light. A print shows less there than in colour, for
dyes let infrared through and what is printed with them fades into the paper; or, in carbon ink, it shows exactly what
colour shows, and nothing else: paper has no light of its own. A head is lit by the terminal's lamp, whatever the room
does: light and shade there are not those of the colour picture, all over the face. So two things are asked of each
region of the face, after everything that changes slowly across it was taken away: is the detail of colour there
(`detail`), and is there more than that detail (`own_light`)? That skin and hair keep a third of their contrast in
infrared is an assumption; so is that prints are even paper: crumpled ones and noisy cameras make light of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Face, Gray, Image, Points
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
DARKEST: Final = 8.0  # gray level below which a cell says nothing
TINY: Final = 1e-9
CELLS_MIN: Final = 8  # that a region must have
ROUNDS: Final = 6  # of a robust fit


Cells = NDArray[np.float64]
"""One number for each cell of the inner face, (row, column)."""


def _cells(*, out: tuple[float, float], down: tuple[float, float]) -> NDArray[np.bool_]:
    """Return which cells of the inner face lie between these ways out from its middle, and down from the eyes."""
    across = np.abs(INNER_X)
    is_out, is_down = (across > out[0]) & (across < out[1]), (down[0] < INNER_Y) & (down[1] > INNER_Y)
    return np.asarray(is_out & is_down, np.bool_)


FACE: Final = _cells(out=(-1, 0.75), down=(-1, 1.25))  # what stays on the face when it is not quite straight
REGIONS: Final = (
    _cells(out=(-1, 1), down=(-1, 0.32)),  # eyes and brows
    _cells(out=(-1, 0.45), down=(0.1, 0.85)),  # nose
    _cells(out=(0.4, 1), down=(0.3, 2)),  # cheeks
    _cells(out=(-1, 1), down=(0.75, 2)),  # mouth and chin
)


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
    """what colour shows of the face has faded: dyes on paper"""
    NO_OWN_LIGHT = "no_own_light"
    """somewhere on the face there is nothing but what colour shows: carbon on paper"""


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
    detail: float
    """How much of the detail that colour shows is there, relative to it: about 1 for gray things, 0 for dyes."""
    own_light: float
    """What is there beyond that detail, where there is least of it: root mean square, a part of the brightness."""


def in_infrared(nir: Gray, points: Points, faces: Sequence[Face], seen: Cells, policy: FacePolicy) -> InfraredReading:
    """Return whether there is a living face in infrared where the colour picture has one.

    Args:
        nir: infrared picture, (y, x).
        points: the five landmarks in pixels of it (`registration.points_in`).
        faces: what the detector finds in it (`registration.as_colour`).
        seen: the inner face in colour (`red_of`).
        policy: the thresholds.
    """
    to_pixels = pixels_of_face(points)
    samples = heaps(samples_of_inner_face(nir, to_pixels))
    brightness = float(samples.mean())
    saturated = float((samples >= SATURATED).mean())
    detail, own_light = _against_colour(np.median(samples, axis=2), seen)
    offset = _offset(points, faces)
    is_turned = abs(place_in_face(points[2], to_pixels)[0]) > policy.frontal_offset_max
    says, reason = (
        _lit(brightness, saturated, policy)
        or _placed(offset, is_turned=is_turned, policy=policy)
        or _skin(detail, own_light, is_turned=is_turned, policy=policy)
    )
    return InfraredReading(
        says=says,
        reason=reason,
        offset=offset,
        brightness=brightness,
        saturated_share=saturated,
        detail=detail,
        own_light=own_light,
    )


def red_of(colour: Image, points: Points) -> Cells:
    """Return the inner face of a colour picture in red, the light nearest to infrared: median of each cell."""
    red = np.ascontiguousarray(colour[:, :, 2])
    return np.asarray(np.median(heaps(samples_of_inner_face(red, pixels_of_face(points))), axis=2), np.float64)


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


def _skin(detail: float, own_light: float, *, is_turned: bool, policy: FacePolicy) -> Finding:
    """Return what light and shade say. They never speak against a face: dark glasses do to them what paper does."""
    share = 0.5 if is_turned else 1.0
    if not detail >= share * policy.infrared_detail_min:
        return CueSays.SILENT, InfraredReason.PALE
    if not own_light >= share * policy.infrared_own_light_min:
        return CueSays.SILENT, InfraredReason.NO_OWN_LIGHT
    return CueSays.FOR, None


def _offset(points: Points, faces: Sequence[Face]) -> float | None:
    """Return how far the middle of the nearest face found is from where it should be, in eye distances."""
    eyes, down = points[1] - points[0], (points[3:] - points[:2]).mean(axis=0)
    unit = max(float(np.hypot(*eyes)), float(np.hypot(*down)), 1e-6)  # whichever a turn has not shortened
    offsets = [float(np.hypot(*(face.points - points).mean(axis=0))) / unit for face in faces]
    return min(offsets, default=None)


def _against_colour(nir: Cells, red: Cells) -> tuple[float, float]:
    """Return how much of the detail of colour infrared shows, and the least that a region shows beyond it."""
    told = FACE & (nir > DARKEST) & (red > DARKEST)
    regions = [told & region for region in REGIONS]
    if min(int(region.sum()) for region in regions) < CELLS_MIN:
        return 0.0, 0.0
    there, shown = _detail(nir, told), _detail(red, told)
    return _slope(shown[told], there[told]), min(_left_over(shown[region], there[region]) for region in regions)


def _detail(picture: Cells, told: NDArray[np.bool_]) -> Cells:
    """Return the logarithm of a picture without what changes slowly: lamps, windows, how a cheek falls away."""
    x, y = INNER_X[told], INNER_Y[told]
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    values = np.log(picture[told])
    detail = np.zeros_like(picture)
    detail[told] = values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0]
    return detail


def _slope(shown: Cells, there: Cells) -> float:
    """Return the slope of most cells: what a hole in paper shows has no say."""
    weights, slope = np.ones_like(shown), 0.0
    for _ in range(ROUNDS):
        slope = float((weights * shown) @ there / max(float((weights * shown) @ shown), TINY))
        off = there - slope * shown
        unit = 1.4826 * float(np.median(np.abs(off))) + 0.01
        weights = 1 / np.maximum(1, (off / unit) ** 2)
    return slope


def _left_over(shown: Cells, there: Cells) -> float:
    """Return what the detail of colour does not explain."""
    x, y = shown - shown.mean(), there - there.mean()
    return float(np.sqrt(np.mean((y - x * float(x @ y) / max(float(x @ x), TINY)) ** 2)))
