"""How far did the nose move against eyes and mouth, measured in the picture itself?

A nod moves the nose towards the mouth, by little: about an eighth of the way from the eyes to it. The detector's
points are not fine enough for that (they follow the face that it expects: a nod of 22 degrees moved them by 0.00 to
0.05), so the picture itself is asked. Both frames are brought into the affine frame of eyes and mouth; there the
surroundings of the five points are followed from the pose at rest; what the eyes and mouth moved is undone; the rest
is parallax. A flat picture has none, however it is tilted: simulated, nine faces, prints move by 0.02 at most at 36
degrees, and screens, whose pattern hides the places, by 0.05 where they were found; heads by 0.16 to 0.27, and in a nod
of 22 degrees by 0.10 to 0.16.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.frames import Image, Points
from face_pipeline.picture.alignment import mapped
from face_pipeline.picture.pose import AFFINE_POINTS, REGULAR, narrowness

Gray = NDArray[np.uint8]
Place = NDArray[np.float64]

SIDE: Final = 112  # pixels of the view, as large as the crops
EYE_DISTANCE: Final = 48.0  # pixels in the view
HEIGHT: Final = 48.0  # pixels between eyes and mouth in the view
PLACES: Final = np.array([[32.0, 36.0], [80.0, 36.0], [37.0, 84.0], [75.0, 84.0]])  # of eyes and mouth corners in it
MIDDLE: Final[tuple[float, ...]] = tuple(PLACES.mean(axis=0).tolist())
OFF_MIDDLE: Final[list[list[float]]] = (PLACES - PLACES.mean(axis=0)).tolist()
PLANE: Final = np.linalg.pinv(np.hstack([PLACES, np.ones((4, 1))]))  # from four shifts to the affine map they make
ON_PLANE: Final = np.hstack([PLACES, np.ones((4, 1))]) @ PLANE  # from four shifts to those that one map makes of them
NOSE: Final = 2  # among the five landmarks
IN_LANDMARK_ORDER: Final = [0, 1, 4, 2, 3]  # of places, where the nose comes last
HALF: Final = 9  # pixels around a point that are looked for
EDGE: Final = SIDE - 1 - HALF  # the last pixel that has all its surroundings in the view
REACH: Final = 14  # pixels that it may have moved
MISFIT_MAX: Final = 3.0  # pixels; four shifts that no affine map makes: one place was taken for another
TINY: Final = 1e-6
LIKENESS_MIN: Final = 0.5  # correlation; below it the place was not found (good ones 0.6 to 1.0)
AS_AT_REST: Final = 0.95  # of every place: from there on a view is measured against the rest (18 degrees: 0.89 to 0.97)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceView:
    """A face in the affine frame of its eyes and mouth."""

    gray: Gray
    nose: Place
    """(x, y) in the view."""
    to_picture: NDArray[np.float64]
    """From the view to the frame's pixels, shape (2, 3)."""

    @classmethod
    def of(cls, image: Image, points: Points) -> "FaceView":
        """Return the view of the face with these points."""
        matrix = _affine(points)
        gray = cv2.cvtColor(cv2.warpAffine(image, matrix, (SIDE, SIDE)), cv2.COLOR_BGR2GRAY)
        x, y = points[NOSE].tolist()
        nose = np.array([min(max(a * x + b * y + c, HALF), EDGE) for a, b, c in matrix.tolist()])
        back = cv2.invertAffineTransform(matrix)
        return cls(gray=np.asarray(gray, np.uint8), nose=nose, to_picture=np.asarray(back, np.float64))

    def points(self, places: NDArray[np.float64]) -> Points:
        """Return places of the view, in landmark order, as pixels of the frame."""
        return mapped(places, self.to_picture)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parallax:
    """How a face is seen now, against how it was seen at rest."""

    across: float
    """Eye distances the nose moved sideways against eyes and mouth; positive to the person's own left."""
    down: float
    """Heights between eyes and mouth that it moved towards the mouth."""
    narrowing: float
    """Narrowness now over narrowness at rest: below 1, something was turned sideways; above, it was tilted."""


class Track:
    """Follows the five places of one face, from its rest through the frames that come.

    A head that is far round looks unlike its rest, and a place is taken for another; from one frame to the next it
    hardly changes. So places are looked for where the last frame had them, in what it showed there. What errs thereby
    adds up; a face that looks as it did at rest is therefore measured against that.
    """

    def __init__(self, rest: FaceView) -> None:
        self._rest: Final = rest
        self._began: Final = np.vstack((PLACES, rest.nose))
        self._narrowness: Final = _narrowness(rest, self._began)
        self._last, self._places = rest, self._began

    def parallax(self, now: FaceView) -> Parallax | None:
        """Return how the face is seen now; None when one of the five places was not found again."""
        found = _found(self._rest.gray, now.gray, self._began, likeness_min=AS_AT_REST)
        if found is None:
            found = _found(self._last.gray, now.gray, self._places, likeness_min=LIKENESS_MIN)
        if found is None:
            found = _found(self._rest.gray, now.gray, self._began, likeness_min=LIKENESS_MIN)
        if found is None:
            return None
        self._last, self._places = now, found
        return self._measured(now, found)

    def _measured(self, now: FaceView, places: Place) -> Parallax:
        corners, nose = places[:-1] - PLACES, places[-1] - self._rest.nose
        plane = PLANE @ corners
        across, down = nose - (self._rest.nose @ plane[:2] + plane[2])
        narrowing = _narrowness(now, places) / max(self._narrowness, TINY)
        return Parallax(across=float(across) / EYE_DISTANCE, down=float(down) / HEIGHT, narrowing=narrowing)


def _found(before: Gray, now: Gray, places: Place, *, likeness_min: float) -> Place | None:
    """Return where the surroundings of five places are; None when one is not found, or was taken for another."""
    moved: list[list[float]] = []
    for x, y in places.tolist():
        across, down, likeness = _shift(before, now, x, y)
        if not likeness >= likeness_min:  # also what is no number
            return None
        moved.append([x + across, y + down])
    found = np.array(moved)
    corners = found[:-1] - PLACES
    return None if np.abs(corners - ON_PLANE @ corners).max() > MISFIT_MAX else found


def _affine(points: Points) -> NDArray[np.float64]:
    """Return the affine map, shape (2, 3), that brings eyes and mouth nearest to their places (least squares)."""
    # Plain numbers: for four points numpy has too much ado.
    corners: list[list[float]] = points[AFFINE_POINTS].tolist()
    x, y = (sum(corner[axis] for corner in corners) / len(corners) for axis in (0, 1))
    xx = xy = yy = xu = yu = xv = yv = 0.0
    for corner, (u, v) in zip(corners, OFF_MIDDLE, strict=True):
        right, down = corner[0] - x, corner[1] - y
        xx, xy, yy = xx + right * right, xy + right * down, yy + down * down
        xu, yu, xv, yv = xu + right * u, yu + down * u, xv + right * v, yv + down * v
    size = xx * yy - xy * xy
    if size <= REGULAR * xx * yy:  # all on one line: the least map that does it
        ones = np.hstack([points[AFFINE_POINTS].astype(np.float64), np.ones((len(corners), 1))])
        return np.asarray(np.linalg.lstsq(ones, PLACES, rcond=None)[0].T, np.float64)
    rows = [((xw * yy - yw * xy) / size, (yw * xx - xw * xy) / size) for xw, yw in ((xu, yu), (xv, yv))]
    return np.array([[a, b, m - a * x - b * y] for (a, b), m in zip(rows, MIDDLE, strict=True)])


def _narrowness(view: FaceView, places: Place) -> float:
    """Return how narrow a face is in its frame, from eyes, mouth corners and nose in the view."""
    return narrowness(view.points(places[IN_LANDMARK_ORDER]))


def _shift(before: Gray, now: Gray, at_x: float, at_y: float) -> tuple[float, float, float]:
    """Return by how many pixels the surroundings of a place moved, across and down, and how like they are there."""
    x, y = min(max(round(at_x), HALF), EDGE), min(max(round(at_y), HALF), EDGE)
    left, top = max(x - HALF - REACH, 0), max(y - HALF - REACH, 0)
    wanted = before[y - HALF : y + HALF + 1, x - HALF : x + HALF + 1]
    area = now[top : y + HALF + REACH + 1, left : x + HALF + REACH + 1]
    heights = cv2.matchTemplate(area, wanted, cv2.TM_CCOEFF_NORMED)
    _, best, _, (column, row) = cv2.minMaxLoc(heights)
    across = left + HALF - x + _peak(heights[row].tolist(), column)
    return across, top + HALF - y + _peak(heights[:, column].tolist(), row), best


def _peak(line: list[float], at: int) -> float:
    """Return where the top of a parabola through the highest value and its neighbours is."""
    if not 0 < at < len(line) - 1:
        return float(at)
    before, top, after = line[at - 1 : at + 2]
    bend = before - 2 * top + after
    return at + (0.5 * (before - after) / bend if bend < 0 else 0.0)
