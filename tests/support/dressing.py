"""Dark glasses, clear glasses and masks, drawn over a portrait by its five landmarks. SIMULATED: no cloth, no glass."""

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Image

Points = NDArray[np.floating]
"""Five landmarks, axes (point, xy), as the pipeline and the software camera have them."""
Vector = NDArray[np.float64]
Layer = NDArray[np.float32]
"""How much of a picture is covered, axes (y, x), 0..1."""

CLOTHS = {
    "blue": (205, 170, 120),
    "white": (232, 232, 230),
    "black": (38, 36, 36),
    "pink": (190, 175, 230),
    "beige": (165, 190, 215),
}
"""BGR."""


class Axes:
    """The face's own axes: across from eye to eye, down from eyes to mouth."""

    def __init__(self, points: Points) -> None:
        right_eye, left_eye, nose, right_mouth, left_mouth = points.astype(np.float64)
        self.pupils = (right_eye, left_eye)
        self.eyes: Vector = (right_eye + left_eye) / 2
        self.mouth: Vector = (right_mouth + left_mouth) / 2
        self.width = float(np.linalg.norm(left_eye - right_eye))
        self.height = float(np.linalg.norm(self.mouth - self.eyes))
        self.across: Vector = (left_eye - right_eye) / self.width
        self.down: Vector = (self.mouth - self.eyes) / self.height
        self.nose: Vector = nose

    def at(self, across: float, down: float) -> Vector:
        """Return a place: eye distances from the middle of the eyes, and heights between eyes and mouth below them."""
        return np.asarray(self.eyes + self.across * across * self.width + self.down * down * self.height, np.float64)


def with_glasses(image: Image, points: Points, *, light_passed: float) -> Image:
    """Return the face behind glasses; lenses let through so much of the light: 1 is clear, 0.1 is dark."""
    axes = Axes(points)
    angle = float(np.degrees(np.arctan2(axes.across[1], axes.across[0])))
    lenses, rims = _layer(image), _layer(image)
    size = (round(0.42 * axes.width), round(0.32 * axes.width))
    for pupil in axes.pupils:
        x, y = (round(float(value)) for value in pupil + axes.down * 0.05 * axes.width)
        cv2.ellipse(lenses, (x, y), size, angle, 0, 360, 1.0, -1, cv2.LINE_AA)
        cv2.ellipse(rims, (x, y), size, angle, 0, 360, 1.0, max(1, round(0.04 * axes.width)), cv2.LINE_AA)
    behind = np.asarray(image * light_passed + (0 if light_passed >= 1 else 20), np.float32)
    rim = np.full(image.shape, 30, np.float32)
    return _covered(_covered(image, lenses, behind), rims, rim)


def with_mask(image: Image, points: Points, *, cloth: str) -> Image:
    """Return the face behind a mask, from the middle of the nose to below the chin, shaded as the face is."""
    axes = Axes(points)
    top = float((axes.nose - axes.eyes) @ axes.down) / axes.height * 0.45
    sides = [(0.3, top + 0.08), (1.0, 0.55), (0.95, 1.2), (0.5, 1.65)]
    outline = [axes.at(0, top), *(axes.at(*side) for side in sides), axes.at(0, 1.65)]
    outline += [axes.at(-across, down) for across, down in reversed(sides)]
    covered = _layer(image)
    cv2.fillPoly(covered, [np.round(outline).astype(np.int32)], 1.0, cv2.LINE_AA)
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    light = cv2.GaussianBlur(gray, (0, 0), 0.35 * axes.width).astype(np.float32) / 160
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    below = ((columns - axes.eyes[0]) * axes.down[0] + (rows - axes.eyes[1]) * axes.down[1]) / axes.height
    folds = 1 - 0.07 * np.exp(-((((below * 5) % 1) - 0.5) ** 2) / 0.03)
    colour = np.array(CLOTHS[cloth], np.float32) * (np.clip(light, 0.5, 1.2) * folds)[..., None]
    return _covered(image, covered, colour.astype(np.float32))


def _layer(image: Image) -> Layer:
    return np.zeros(image.shape[:2], np.float32)


def _covered(image: Image, layer: Layer, cover: NDArray[np.float32]) -> Image:
    share = cv2.GaussianBlur(layer, (0, 0), 0.8)[..., None]
    return np.asarray(np.clip(image * (1 - share) + cover * share, 0, 255), np.uint8)
