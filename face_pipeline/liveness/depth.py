"""Does the face stand out of its picture as a head does, or is it a sheet, flat or bent?

Paper and screens can be laid, bent and rolled, but not bulged: a bent sheet is straight along one direction. So the
sheet that fits the face best is looked for, with any profile along any one direction, and what counts is what it leaves
over: nothing but noise on a photograph, the nose and the roundness of the cheeks on a head. A photograph that was cut
out, with holes for nose or eyes, shows as a sheet that most of the face lies on.

Planes stay planes in inverse depth, whatever the camera's focal length, which nobody tells us. Everything is therefore
fitted in `distance - distance^2 / z`: millimetres near the face, and linear wherever the thing is flat.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import DepthMap, Points
from face_pipeline.liveness.cues import CueSays
from face_pipeline.picture.registration import (
    BOTTOM,
    COLUMNS,
    INNER_X,
    INNER_Y,
    LEFT,
    RIGHT,
    ROWS,
    SAMPLES,
    TOP,
    heaps,
    pixels_of_face,
    place_in_face,
    samples_of_inner_face,
)
from face_pipeline.policy import FacePolicy

Floats = NDArray[np.float64]

BEHIND_MM: Final = 120.0  # farther from the middle of the face than any part of it: what is seen past the cheek
DIRECTIONS: Final = 24  # in which a sheet may be bent, every 7.5 degrees: a roll between two coarser ones is not seen
ANNEAL_MM: Final = (
    8.0,
    4.0,
    2.0,
    1.5,
    1.5,
)  # how far a cell may lie off the sheet before it hardly counts, step by step
ON_SHEET_MM: Final = 1.5  # a cell nearer than this lies on the sheet
RIDGE: Final = 1e-6  # keeps cells without a measurement from making the fit singular
NOSE_REACH: Final = (0.16, 0.16)  # half width and height of what is taken for the tip
NOSE_FREE: Final = (0.42, 0.5)  # half width and height around the tip that says nothing about where the cheeks are


class ReliefReason(StrEnum):
    """Why the depth is not that of a head; a closed set."""

    FLAT = "flat"
    """a plane fits it"""
    BENT = "bent"
    """a bent sheet fits it"""
    CUT_OUT = "cut_out"
    """a sheet fits most of it, with something behind its holes"""
    NO_NOSE = "no_nose"
    """nothing stands out over the cheeks"""
    LITTLE_MEASURED = "little_measured"
    """too little of the face was measured"""
    TOO_NEAR = "too_near"
    TOO_FAR = "too_far"
    NOISY = "noisy"
    """the noise hides what is asked for"""
    UNCLEAR = "unclear"
    """neither a sheet nor surely a head"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """What the depth of one face amounts to."""

    says: CueSays
    reason: ReliefReason | None
    """None when it speaks for a head."""
    valid_share: float
    """Part of the inner face that was measured, 0..1."""
    distance_mm: float
    """Median distance of the inner face; 0 where nothing was measured."""
    span: float
    """Height between eyes and mouth, of the picture's, times the distance: one head keeps it as it comes closer."""
    noise_mm: float
    """Standard deviation of one cell."""
    plane_residual_mm: float
    """Root mean square of what the best plane leaves over."""
    sheet_residual_mm: float
    """The same for the best bent sheet, noise taken out: the number that decides."""
    sheet_share: float
    """Part of the measured cells that lie on one bent sheet, 0..1."""
    nose_mm: float
    """How far the tip of the nose stands out of a plane through the rest of the face."""


def relief(depth_mm: DepthMap, points: Points, policy: FacePolicy) -> Relief:
    """Return whether a face has the relief of a head.

    Args:
        depth_mm: distances, (y, x); 0 where nothing was measured.
        points: the five landmarks in pixels of the depth map (`registration.points_in`).
        policy: the thresholds.
    """
    to_pixels = pixels_of_face(points)
    z, noise = _cells(depth_mm, to_pixels)
    seen = z > 0
    distance = float(np.median(z[seen])) if seen.any() else 0.0
    seen &= np.abs(z - distance) < BEHIND_MM
    height = float(np.hypot(*to_pixels[:, 1])) / depth_mm.shape[0]
    share = float(seen.mean())
    if share < policy.depth_valid_share_min:
        return _silent(ReliefReason.LITTLE_MEASURED, share, distance, height, noise)
    if not policy.depth_distance_mm_min <= distance <= policy.depth_distance_mm_max:
        is_near = distance < policy.depth_distance_mm_min
        reason = ReliefReason.TOO_NEAR if is_near else ReliefReason.TOO_FAR
        return _silent(reason, share, distance, height, noise)
    if noise > policy.depth_noise_mm_max:
        return _silent(ReliefReason.NOISY, share, distance, height, noise)
    out = np.where(seen, distance - distance**2 / np.where(seen, z, distance), 0.0)
    flat, bent, on_sheet = _left_over(out, seen)
    nose = _nose_over_cheeks(out, seen, place_in_face(points[2], to_pixels))
    residual = float(np.sqrt(max(bent**2 - noise**2, 0.0)))
    says, found = _verdict(flat, residual, on_sheet, nose, policy)
    return Relief(
        says=says,
        reason=found,
        valid_share=share,
        distance_mm=distance,
        span=height * distance,
        noise_mm=noise,
        plane_residual_mm=flat,
        sheet_residual_mm=residual,
        sheet_share=on_sheet,
        nose_mm=nose,
    )


def _verdict(
    flat: float, residual: float, on_sheet: float, nose: float, policy: FacePolicy
) -> tuple[CueSays, ReliefReason | None]:
    """Return what the numbers say: a head needs all three of them, a sheet is found by one."""
    if residual < policy.sheet_residual_mm_max:
        is_flat = flat < policy.sheet_residual_mm_max
        return CueSays.AGAINST, ReliefReason.FLAT if is_flat else ReliefReason.BENT
    if on_sheet > policy.sheet_share_against:
        return CueSays.AGAINST, ReliefReason.CUT_OUT
    if nose < policy.nose_mm_against:
        return CueSays.AGAINST, ReliefReason.NO_NOSE
    is_head = (
        residual >= policy.relief_residual_mm_min and on_sheet <= policy.sheet_share_max and nose >= policy.nose_mm_min
    )
    return (CueSays.FOR, None) if is_head else (CueSays.SILENT, ReliefReason.UNCLEAR)


def _silent(reason: ReliefReason, share: float, distance: float, height: float, noise: float) -> Relief:
    return Relief(
        says=CueSays.SILENT,
        reason=reason,
        valid_share=share,
        distance_mm=distance,
        span=height * distance,
        noise_mm=noise,
        plane_residual_mm=0.0,
        sheet_residual_mm=0.0,
        sheet_share=0.0,
        nose_mm=0.0,
    )


# From pixels to cells.


def _cells(depth_mm: DepthMap, to_pixels: Floats) -> tuple[Floats, float]:
    """Return each cell's median distance, (row, column), 0 where it is not known, and the noise of that."""
    samples = samples_of_inner_face(depth_mm, to_pixels)
    heaped = heaps(samples)
    known = (heaped > 0).sum(axis=2)
    ordered = np.sort(np.where(heaped > 0, heaped, np.inf), axis=2)
    middle = np.take_along_axis(ordered, np.maximum(known - 1, 0)[..., None] // 2, axis=2)[..., 0]
    enough = known >= heaped.shape[2] // 3
    return np.where(enough, middle, 0.0), _noise(samples, _pixels_per_cell(to_pixels))


def _pixels_per_cell(to_pixels: Floats) -> float:
    cell = (RIGHT - LEFT) / COLUMNS * (BOTTOM - TOP) / ROWS
    return abs(float(np.linalg.det(to_pixels[:, :2]))) * cell


def _noise(samples: Floats, pixels_per_cell: float) -> float:
    """Return the standard deviation of a cell's median, from second differences, which a smooth surface hardly has."""
    one, two, three = samples[:, :-2], samples[:, 1:-1], samples[:, 2:]
    known = (one > 0) & (two > 0) & (three > 0)
    if not known.any():
        return 0.0
    bend = np.abs(one - 2 * two + three)[known]
    # Samples closer together than pixels repeat them, which hides noise from the lower quantiles.
    single = max(float(np.quantile(bend, q)) / (quantile * math.sqrt(6)) for q, quantile in NORMAL_QUANTILES)
    independent = max(min(pixels_per_cell, SAMPLES**2), 1.0)
    return 1.25 * single / math.sqrt(independent)  # a median scatters by 1.25 of what a mean does


NORMAL_QUANTILES: Final = ((0.5, 0.6745), (0.75, 1.1503), (0.9, 1.6449))  # of the absolute value of a normal number


# Sheets.


X: Final = INNER_X.ravel()
Y: Final = INNER_Y.ravel()


def _sheets() -> Floats:
    """Return for each direction what a bent sheet is made of, (direction, cell, term)."""
    x, y = X, Y - (TOP + BOTTOM) / 2
    terms = []
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        s, t = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        terms.append(np.stack([np.ones_like(s), t, s, s * s, s**3, s**4], axis=1))
    return np.stack(terms)


SHEETS: Final = _sheets()
PLANE: Final = np.stack([np.ones_like(X), X, Y], axis=1)[None]


def _fitted(terms: Floats, out: Floats, weights: Floats) -> Floats:
    """Return what weighted least squares leave over, (direction, cell)."""
    weighted = (terms * weights[..., None]).swapaxes(1, 2)
    left = weighted @ terms + RIDGE * np.eye(terms.shape[2])
    factors = np.linalg.solve(left, (weighted @ out)[..., None])
    return np.asarray(out - (terms @ factors)[..., 0], np.float64)


def _left_over(out: Floats, seen: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Return what plane and best sheet leave over, root mean square, and how much of the face lies on one sheet."""
    values, mask = out.ravel(), seen.ravel().astype(np.float64)
    count = float(mask.sum())
    flat = float(np.sqrt((_fitted(PLANE, values, mask[None])[0] ** 2 * mask).sum() / count))
    rest = _fitted(SHEETS, values, np.broadcast_to(mask, (DIRECTIONS, mask.size)))
    bent = float(np.sqrt(((rest**2) @ mask).min() / count))
    for scale in ANNEAL_MM:  # cells far off pull less and less: holes of a cut-out lose their say
        rest = _fitted(SHEETS, values, mask / (1 + (rest / scale) ** 2) ** 2)
    on_sheet = (np.abs(rest) < ON_SHEET_MM) @ mask / count
    return flat, bent, float(on_sheet.max())


# The nose.


def _nose_over_cheeks(out: Floats, seen: NDArray[np.bool_], nose: tuple[float, float]) -> float:
    """Return how far the tip stands out of a plane through the face around it; 0 when it was not measured."""
    off_x, off_y = np.abs(X - nose[0]), np.abs(Y - nose[1])
    known = seen.ravel()
    tip = (off_x < NOSE_REACH[0]) & (off_y < NOSE_REACH[1]) & known
    around = ((off_x > NOSE_FREE[0]) | (off_y > NOSE_FREE[1])) & known
    if not tip.any() or around.sum() < known.sum() / 4:
        return 0.0
    rest = _fitted(PLANE, out.ravel(), around.astype(np.float64)[None])[0]
    return float(-np.median(rest[tip]))  # nearer is smaller
