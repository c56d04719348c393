"""Where in an infrared or depth picture is what the colour picture shows? And where in a face is it?"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from face_pipeline.errors import FrameUndecodableError
from face_pipeline.frames import DepthMap, Gray, Image, Points

SHAPE_DIFFERENCE_MAX: Final = 0.03  # relative; 640 x 480 beside 212 x 160 is rounding, beside 640 x 360 another view
REGULAR: Final = 1e-9 * np.eye(3)  # keeps four points on one line from dividing by zero
AFFINE_POINTS: Final = [0, 1, 3, 4]  # eyes and mouth corners among the five landmarks
# Where they lie in the face's own frame: x in eye distances, y in heights between eyes and mouth. As in the challenge.
FRAME: Final = np.array([[-0.5, 0.0], [0.5, 0.0], [-0.4, 1.0], [0.4, 1.0]])


def points_in(points: Points, colour: Image, companion: Gray | DepthMap) -> Points:
    """Return points of the colour picture as pixels of a registered one, whatever its resolution.

    Raises:
        FrameUndecodableError: the two have not the same shape, so they cannot show the same.
    """
    height, width = colour.shape[:2]
    factors = np.array([companion.shape[1] / width, companion.shape[0] / height])
    if abs(factors[0] / factors[1] - 1) > SHAPE_DIFFERENCE_MAX:
        raise FrameUndecodableError(detail="the pictures of one frame differ in shape")
    # Pixel centres: the middle of the first pixel here is the middle of the first `1 / factor` pixels there.
    return np.asarray((points + 0.5) * factors - 0.5, np.float32)


def as_colour(gray: Gray) -> Image:
    """Return a gray picture in three equal channels, as the face detector takes it."""
    return np.repeat(gray[:, :, None], 3, axis=2)


def pixels_of_face(points: Points) -> NDArray[np.float64]:
    """Return the affine map, shape (2, 3), from the face's own frame to pixels (least squares over eyes and mouth).

    A flat thing keeps its place in this frame however it is turned; it follows a head as far as it may.
    """
    frame = np.hstack([FRAME, np.ones((4, 1))])
    seen = points[AFFINE_POINTS].astype(np.float64)
    return np.asarray(np.linalg.solve(frame.T @ frame + REGULAR, frame.T @ seen).T, np.float64)


def place_in_face(pixel: NDArray[np.float32], to_pixels: NDArray[np.float64]) -> tuple[float, float]:
    """Return where a pixel is in the face's own frame."""
    x, y = np.linalg.solve(to_pixels[:, :2] + 1e-9 * np.eye(2), pixel - to_pixels[:, 2])
    return float(x), float(y)


# The inner face, brows to chin and cheek to cheek: x in eye distances, y in heights between eyes and mouth.
LEFT, RIGHT, TOP, BOTTOM = -0.9, 0.9, -0.55, 1.4
COLUMNS, ROWS = 13, 15  # cells
SAMPLES: Final = 6  # across and down each cell


def _cell_middles() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    across = LEFT + (np.arange(COLUMNS) + 0.5) * (RIGHT - LEFT) / COLUMNS
    down = TOP + (np.arange(ROWS) + 0.5) * (BOTTOM - TOP) / ROWS
    x, y = np.meshgrid(across, down)
    return x, y


INNER_X, INNER_Y = _cell_middles()
"""Where the middle of each cell is in the face's own frame, (row, column)."""


def samples_of_inner_face(picture: Gray | DepthMap, to_pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the inner face as `SAMPLES` values across and down each cell, (row, column); 0 outside of the picture."""
    width, height = COLUMNS * SAMPLES, ROWS * SAMPLES
    step_x, step_y = (RIGHT - LEFT) / width, (BOTTOM - TOP) / height
    # From sample (i, j) to the face's frame, and on to pixels.
    grid = np.array([[step_x, 0, LEFT + step_x / 2], [0, step_y, TOP + step_y / 2], [0, 0, 1]])
    samples = cv2.warpAffine(
        picture,
        to_pixels @ grid,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return np.asarray(samples, np.float64)


def heaps(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the samples of each cell, (row, column, sample)."""
    return samples.reshape(ROWS, SAMPLES, COLUMNS, SAMPLES).swapaxes(1, 2).reshape(ROWS, COLUMNS, SAMPLES * SAMPLES)
