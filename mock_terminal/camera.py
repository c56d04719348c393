"""A camera in software: it looks at a scene and delivers frames, the same ones for the same seed.

    portrait = Portrait.load(Path("portrait.png"), Path("landmarks.json"))
    camera = Camera(portrait, scene=Scene.LIVE_HEAD, size=(640, 480), seed=7)
    jpeg = encode(camera.frame(0.2, yaw_degrees=30))

Sign of the turn: positive yaw is a turn to the person's own left; it moves the nose towards image right, because the
picture is not mirrored. Positive pitch is looking up.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mock_terminal.errors import PortraitError
from mock_terminal.head import FaceFrame, remap, turned_view
from mock_terminal.scenes import Image, Scene, Size, as_print, as_screen, held

JPEG_QUALITY = 88
SENSOR_NOISE = 1.6  # standard deviation in gray levels; the passive liveness model dislikes more than about 4
EYE_DISTANCE_OF_FRAME = 0.17  # eye distance as a part of the frame's shorter side: a face of about 190 px at 640 x 480
POINTS = 5
MAGNIFICATION_MAX = 2.5  # a small portrait is not blown up beyond this: it would only be blurred


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """A still picture of one face."""

    image_bgr: Image
    """(y, x, channel), BGR, uint8."""
    points: NDArray[np.float64]
    """(5, 2) pixels: right eye, left eye, nose tip, right and left mouth corner; the person's own right and left."""

    @classmethod
    def load(cls, image: Path, landmarks: Path) -> Self:
        """Read a picture and its landmarks file `{"points": [[x, y], ...]}`.

        Raises:
            PortraitError: one of the two cannot be read as such.
        """
        picture = cv2.imread(str(image), cv2.IMREAD_COLOR)
        if picture is None:
            raise PortraitError(path=image, problem="is no picture")
        try:
            points = np.array(json.loads(landmarks.read_text(encoding="utf-8"))["points"], dtype=np.float64)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PortraitError(path=landmarks, problem='holds no {"points": [[x, y], ...]}') from error
        if points.shape != (POINTS, 2) or not np.isfinite(points).all() or points[1, 0] <= points[0, 0]:
            raise PortraitError(
                path=landmarks, problem="must hold five points, the person's right eye before the left one"
            )
        return cls(image_bgr=np.asarray(picture, dtype=np.uint8), points=points)


class Camera:
    """Looks at one scene; `frame` is a pure function of the seed and its arguments."""

    def __init__(
        self, portrait: Portrait, *, scene: Scene = Scene.LIVE_HEAD, size: Size = (640, 480), seed: int = 0
    ) -> None:
        self.scene = scene
        self.size = size
        self._portrait = portrait
        self._seed = seed
        self._face = FaceFrame.of(portrait.points)
        self._still: Image | None = None

    def frame(
        self, t: float, yaw_degrees: float, pitch_degrees: float = 0.0, *, zoom: float = 1.0, light: float = 1.0
    ) -> Image:
        """Return the view `t` seconds after the camera was switched on.

        Args:
            t: seconds; drives tremor and noise.
            yaw_degrees: turn of the head (or of the hand that holds a flat thing); positive to the person's own left.
            pitch_degrees: positive upwards.
            zoom: above 1 the person stands closer.
            light: factor on brightness.

        Returns:
            Picture of the camera's size, (y, x, channel), BGR, uint8.
        """
        if self.scene is Scene.FROZEN:
            if self._still is None:
                self._still = self._sensed(self._head_view(0, 0, 0, zoom), 0, light)
            return self._still
        if self.scene is Scene.LIVE_HEAD:
            view = self._head_view(t, yaw_degrees, pitch_degrees, zoom)
        else:
            view = self._flat_view(t, yaw_degrees, pitch_degrees, zoom)
        return self._sensed(view, t, light)

    def _head_view(self, t: float, yaw_degrees: float, pitch_degrees: float, zoom: float) -> Image:
        width, height = self.size
        face, scale = self._face, self._scale(zoom)
        sway_x, sway_y = _tremor(t, self._seed)
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        # The frame's middle looks at the face; from there in portrait pixels, then in the face's own coordinates.
        across = (columns - width / 2) / scale + face.origin[0] + sway_x * face.eye_distance
        down = (rows - height / 2) / scale + face.origin[1] + sway_y * face.eye_distance
        x, y = face.coordinates(across.astype(np.float32), down.astype(np.float32))
        seen_x, seen_y = turned_view(x, y, face.nose, yaw_degrees + 20 * sway_x, pitch_degrees + 20 * sway_y)
        return remap(self._softened(scale), *face.pixels(seen_x, seen_y))

    def _flat_view(self, t: float, yaw_degrees: float, pitch_degrees: float, zoom: float) -> Image:
        picture = self._head_view(0, 0, 0, 1.0)
        thing = as_print(picture) if self.scene is Scene.FLAT_PHOTO else as_screen(picture, phase=3 * t)
        sway_x, sway_y = _tremor(t, self._seed)
        return held(
            thing,
            self.size,
            yaw_degrees=yaw_degrees + 30 * sway_x,
            pitch_degrees=pitch_degrees + 30 * sway_y,
            zoom=zoom,
        )

    def _scale(self, zoom: float) -> float:
        """Return frame pixels per portrait pixel."""
        wanted = EYE_DISTANCE_OF_FRAME * min(self.size) * zoom
        return min(wanted / self._face.eye_distance, MAGNIFICATION_MAX)

    def _softened(self, scale: float) -> Image:
        """Return the portrait without the detail that the frame cannot hold, lest it flicker."""
        if scale >= 1:
            return self._portrait.image_bgr
        return np.asarray(cv2.GaussianBlur(self._portrait.image_bgr, (0, 0), 0.45 / scale), dtype=np.uint8)

    def _sensed(self, view: Image, t: float, light: float) -> Image:
        """Return what the sensor makes of a view: brightness and mild noise, the same for the same seed and moment."""
        noise = np.random.default_rng([self._seed, round(t * 1e6)]).standard_normal(view.shape, dtype=np.float32)
        return np.clip(view * np.float32(light) + SENSOR_NOISE * noise, 0, 255).astype(np.uint8)


def encode(frame: Image) -> bytes:
    """Return the frame as a JPEG."""
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise PortraitError(path=None, problem="frame could not be encoded")
    return data.tobytes()


def _tremor(t: float, seed: int) -> tuple[float, float]:
    """Return the small sway of a body or a hand, in eye distances: two slow waves whose phases come from the seed."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 4)
    x = 0.012 * np.sin(2.1 * t + phases[0]) + 0.006 * np.sin(5.3 * t + phases[1])
    y = 0.010 * np.sin(1.7 * t + phases[2]) + 0.005 * np.sin(4.7 * t + phases[3])
    return float(x), float(y)
