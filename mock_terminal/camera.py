"""A camera in software: it looks at a scene and delivers frames, the same ones for the same seed.

    portrait = Portrait.load(Path("portrait.png"), Path("landmarks.json"))
    camera = Camera(portrait, scene=Scene.LIVE_HEAD, size=(640, 480), seed=7)
    jpeg = encode(camera.frame(0.2, yaw_degrees=30))

Sign of the turn: positive yaw is a turn to the person's own left; it moves the nose towards image right, because the
picture is not mirrored. Positive pitch is looking up.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mock_terminal.errors import PortraitError
from mock_terminal.scenes import SCREENS, Image, Scene, Size
from mock_terminal.sensors import DEPTH_NOISE_MM, depth, infrared
from mock_terminal.stage import EYE_DISTANCE_OF_FRAME, Stage

JPEG_QUALITY = 88
SENSOR_NOISE = 1.6  # standard deviation in gray levels; the passive liveness model dislikes more than about 4
SIDE_LIGHT = (0.75, 1.25)  # bounds of what light from the side does
NOISE_ROOM = 64  # pixels
SPACE = 0x3D  # keeps the noise of infrared and depth apart from that of colour
POINTS = 5


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Capture:
    """What the cameras saw at one moment; all pictures are registered to the colour one."""

    rgb: Image
    nir: NDArray[np.uint8]
    """(y, x): near infrared, at half the size."""
    depth: NDArray[np.uint16]
    """(y, x): millimetres, 0 where nothing was measured; at half the size."""


class Camera:
    """Looks at one scene; `frame` and `capture` are pure functions of the seed and their arguments.

    Another seed is another visit: the person stands a little elsewhere, in another light (`stance`).
    """

    def __init__(
        self,
        portrait: Portrait,
        *,
        scene: Scene = Scene.LIVE_HEAD,
        size: Size = (640, 480),
        seed: int = 0,
        fills_view: bool = False,
    ) -> None:
        """Look at a scene.

        Args:
            portrait: whose face it is.
            scene: what is before the camera.
            size: of the colour picture, (width, height).
            seed: of noise, tremor and stance.
            fills_view: whether the rim of a print or screen is out of view.
        """
        self.scene = scene
        self.size = size
        self._seed = seed
        self._stage = Stage(
            image=portrait.image_bgr, points=portrait.points, scene=scene, size=size, seed=seed, fills_view=fills_view
        )
        self._still: Image | None = None
        self._still_capture: Capture | None = None
        self._gain: NDArray[np.float32] | None = None

    def frame(
        self, t: float, yaw_degrees: float, pitch_degrees: float = 0.0, *, zoom: float = 1.0, light: float = 1.0
    ) -> Image:
        """Return the view `t` seconds after the camera was switched on.

        Args:
            t: seconds; drives tremor and noise.
            yaw_degrees: turn of the head (or of the hand that holds a thing); positive to the person's own left.
            pitch_degrees: positive upwards.
            zoom: above 1 the person stands closer.
            light: factor on brightness.

        Returns:
            Picture of the camera's size, (y, x, channel), BGR, uint8.
        """
        if self.scene is not Scene.FROZEN:
            sight = self._stage.sight(t, yaw_degrees, pitch_degrees, zoom, whole=False)
            return self._sensed(sight.colour, t, light)
        if self._still is None:
            self._still = self._sensed(self._stage.sight(0, 0, 0, zoom, whole=False).colour, 0, light)
        return self._still

    def capture(
        self, t: float, yaw_degrees: float, pitch_degrees: float = 0.0, *, zoom: float = 1.0, light: float = 1.0
    ) -> Capture:
        """Return what the colour, infrared and depth cameras see; arguments as for `frame`, whose picture is in it."""
        if self.scene is not Scene.FROZEN:
            return self._captured(t, yaw_degrees, pitch_degrees, zoom=zoom, light=light)
        if self._still_capture is None:
            self._still_capture = self._captured(0, 0, 0, zoom=zoom, light=light)
        return self._still_capture

    def _captured(self, t: float, yaw_degrees: float, pitch_degrees: float, *, zoom: float, light: float) -> Capture:
        sight = self._stage.sight(t, yaw_degrees, pitch_degrees, zoom, whole=True)
        if sight.solid is None:
            raise PortraitError(path=None, problem="was not seen in space")
        draw = np.random.default_rng([SPACE, self._seed, round(t * 1e6)])
        lamp, noise_mm = np.random.default_rng([SPACE, self._seed]).uniform(
            (0.85, DEPTH_NOISE_MM[0]), (1.1, DEPTH_NOISE_MM[1])
        )
        return Capture(
            rgb=self._sensed(sight.colour, t, light),
            nir=infrared(sight.solid, draw, float(lamp)),
            depth=depth(sight.solid, draw, float(noise_mm)),
        )

    def _sensed(self, view: Image, t: float, light: float) -> Image:
        """Return what the sensor makes of a view: brightness and mild noise, the same for the same seed and moment."""
        if self._gain is None:
            self._gain = self._lit()
        width, height = self.size
        draw = np.random.default_rng([self._seed, round(t * 1e6)])
        down, across = draw.integers(0, (NOISE_ROOM, NOISE_ROOM))
        noise = _noise(self.size)[down : down + height, across : across + width]
        picture = view * (self._gain * np.float32(light))
        picture += noise if draw.random() < 0.5 else -noise  # noqa: PLR2004  # one of two
        return np.clip(picture, 0, 255, out=picture).astype(np.uint8)

    def _lit(self) -> NDArray[np.float32]:
        """Return the factor on each value of the view: the room's light in this visit; a screen has its own."""
        stance = self._stage.stance
        width, height = self.size
        if self.scene in SCREENS:
            return np.full((height, width, 3), stance.light, np.float32)
        unit = EYE_DISTANCE_OF_FRAME * min(self.size)
        across = (np.arange(width, dtype=np.float32) - width / 2) / unit * stance.side_light[0]
        down = (np.arange(height, dtype=np.float32) - height / 2) / unit * stance.side_light[1]
        side = np.clip(1 + across[None, :] + down[:, None], *SIDE_LIGHT)
        return np.asarray(stance.light * side[..., None] * stance.tint, np.float32)


def encode(frame: Image | NDArray[np.uint8]) -> bytes:
    """Return a picture in colour or in gray as a JPEG."""
    done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise PortraitError(path=None, problem="frame could not be encoded")
    return data.tobytes()


def encode_depth(depth_mm: NDArray[np.uint16]) -> bytes:
    """Return a depth picture as a PNG of 16 bits."""
    done, data = cv2.imencode(".png", depth_mm, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise PortraitError(path=None, problem="depth could not be encoded")
    return data.tobytes()


@lru_cache(maxsize=4)
def _noise(size: Size) -> NDArray[np.float32]:
    """Return more noise than a frame has; each frame takes its part elsewhere, which costs a fifth of drawing anew."""
    width, height = size
    draw = np.random.default_rng(0)
    shape = (height + NOISE_ROOM, width + NOISE_ROOM, 3)
    return SENSOR_NOISE * draw.standard_normal(shape, dtype=np.float32)
