"""Paper that was bent, rolled or cut: what shape does it have? Lengths are in eye distances of the face it shows."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mock_terminal.head import HEAD_DEPTH, NOSE_HEIGHT, FloatMap

STREAM = 0x5EE7  # keeps a sheet's draws apart from those of noise and stance
STEEPEST = 0.97  # of the radius: beyond it the sheet is seen from the edge
OUTLINE = (1.12, 1.55)  # half width and height of a face that is cut out of a photograph
OUTLINE_DOWN = 0.1  # its middle lies that much below the face's
EYE_HOLE = (0.2, 0.12)  # half width and height
NOSE_HOLE = (0.3, 0.42)
NOSE_HOLE_UP = 0.16  # its middle lies above the tip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bend:
    """A sheet bent around a cylinder whose axis lies across any direction in the sheet."""

    radius: float
    angle: float
    """Radians from the eye line to the direction in which the sheet is bent."""
    hollow: bool
    """Bent away from the camera at its rims, or towards it."""

    @classmethod
    def of(cls, seed: int) -> Self:
        """Draw a bend: most bend a photograph around the face's own axis, some anyhow."""
        draw = np.random.default_rng([STREAM, seed])
        anyhow = draw.random() < 0.4  # noqa: PLR2004  # four of ten
        return cls(
            radius=float(draw.uniform(1.4, 3.5)),
            angle=float(draw.uniform(0, np.pi) if anyhow else draw.normal(0, 0.15)),
            hollow=bool(draw.random() < 0.25),  # noqa: PLR2004  # one of four
        )

    def height(self, x: FloatMap, y: FloatMap) -> FloatMap:
        """Return how far the sheet stands out; 0 along its middle line."""
        s = np.clip(self._along(x, y), -STEEPEST * self.radius, STEEPEST * self.radius)
        sag = np.float32(self.radius) - np.sqrt(np.float32(self.radius**2) - s * s)
        return np.asarray(sag if self.hollow else -sag, np.float32)

    def unrolled(self, x: FloatMap, y: FloatMap) -> tuple[FloatMap, FloatMap]:
        """Return where on the flat sheet a point of the bent one was: lengths along paper do not change."""
        s = self._along(x, y)
        longer = self.radius * np.arcsin(np.clip(s / self.radius, -STEEPEST, STEEPEST)) - s
        longer += np.where(np.abs(s) > STEEPEST * self.radius, np.float32(99), np.float32(0))  # past the edge: nothing
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        return np.asarray(x + cos * longer, np.float32), np.asarray(y + sin * longer, np.float32)

    def _along(self, x: FloatMap, y: FloatMap) -> FloatMap:
        return np.asarray(np.float32(np.cos(self.angle)) * x + np.float32(np.sin(self.angle)) * y, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOut:
    """A face cut out of a print and worn before one's own, with holes or without."""

    eyes: tuple[tuple[float, float], ...]
    """Where the holes for the eyes are; none when they are left in."""
    nose: tuple[float, float] | None
    """Where the hole for the nose is."""
    bend: Bend
    stands_out: float
    """How far the middle of the sheet stands out of the ear plane."""

    @classmethod
    def of(cls, seed: int, eyes: NDArray[np.float64], nose: tuple[float, float]) -> Self:
        """Draw a cut-out; `eyes`, (2, 2), and `nose` are where the portrait has them."""
        draw = np.random.default_rng([STREAM, 1, seed])
        holes_for_eyes, hole_for_nose = draw.random(2) < (0.5, 0.4)
        # Worn on the face: it lies on the nose, or on the cheeks where the nose comes through.
        gap = 0.05 if hole_for_nose else 0.9 * NOSE_HEIGHT
        return cls(
            eyes=tuple((float(x), float(y)) for x, y in eyes) if holes_for_eyes else (),
            nose=nose if hole_for_nose else None,
            bend=Bend(radius=float(draw.uniform(1.7, 9)), angle=float(draw.normal(0, 0.08)), hollow=False),
            stands_out=float(HEAD_DEPTH + gap + draw.uniform(0, 0.08)),
        )

    def height(self, x: FloatMap, y: FloatMap) -> FloatMap:
        """Return how far the sheet stands out of the ear plane."""
        return np.asarray(self.stands_out + self.bend.height(x, y), np.float32)

    def covers(self, x: FloatMap, y: FloatMap) -> NDArray[np.bool_]:
        """Return where there is paper."""
        paper = _within(x, y, (0.0, OUTLINE_DOWN), OUTLINE)
        for eye in self.eyes:
            paper &= ~_within(x, y, eye, EYE_HOLE)
        if self.nose is not None:
            paper &= ~_within(x, y, (self.nose[0], self.nose[1] - NOSE_HOLE_UP), NOSE_HOLE)
        return paper


def _within(x: FloatMap, y: FloatMap, middle: tuple[float, float], halves: tuple[float, float]) -> NDArray[np.bool_]:
    inside = ((x - middle[0]) / halves[0]) ** 2 + ((y - middle[1]) / halves[1]) ** 2 < 1
    return np.asarray(inside, np.bool_)
