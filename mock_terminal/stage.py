"""What stands before the camera at a moment, in colour and in space? From a portrait, a scene and a seed.

A head is seen from far away, as its portrait was taken; paper and screens are seen with the camera's own perspective.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from mock_terminal.head import (
    HEAD_DEPTH,
    HEAD_HALF_HEIGHT,
    HEAD_HALF_WIDTH,
    Build,
    FaceFrame,
    FloatMap,
    Seen,
    Surface,
    depth,
    head_view,
    remap,
    resized,
    rotation,
    seen,
)
from mock_terminal.scenes import (
    FOCAL_LENGTH,
    PHOTO_WIDTH,
    SCREENS,
    TABLE_COLOUR,
    WHOLE_VIEW,
    Hold,
    Image,
    Scene,
    Size,
    as_print,
    as_screen,
    held,
    in_ink,
)
from mock_terminal.sensors import Solid, facing
from mock_terminal.sheets import Bend, CutOut
from mock_terminal.stance import Stance

EYES_MM: Final = 63.0  # between the eyes of an average adult
EYE_DISTANCE_OF_FRAME: Final = 0.17  # as a part of the frame's shorter side: a face of about 190 px at 640 x 480
MAGNIFICATION_MAX: Final = (
    2.5  # a small portrait is not blown up beyond this at its usual distance: it would only be blurred
)
WALL_MM: Final = 900.0  # behind the face
BODY_FROM: Final = 1.75  # eye distances below the middle of the face: neck and shoulders
BODY_HALF_WIDTH: Final = 2.9
SHEET_HALF: Final = (1.9, 2.3)  # half width and height of a bent print, eye distances: face and hair
WALL_REFLECTANCE: Final = 0.5
SCREEN_REFLECTANCE: Final = 0.03  # of infrared; what a screen shows is not there at all
BEZEL_REFLECTANCE: Final = 0.05
BEZEL_LEVEL: Final = 20  # gray level below which a screen is taken for its bezel: both are dark in infrared
GLARE_LEVEL, GLARE_PX = 230.0, 9.0  # the lamp mirrored in glass: gray levels, pixels at half size
STREAM: Final = 0xC0  # keeps what is drawn here apart from noise and stance


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What is there to be seen."""

    colour: Image
    solid: Solid | None
    """At half the size; None when only colours were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How the head, or the hand, is held."""

    yaw_degrees: float
    pitch_degrees: float
    nearness: float
    sway: tuple[float, float]
    """Eye distances."""
    shift: tuple[float, float]
    """Eye distances."""


AT_REST: Final = Moment(yaw_degrees=0, pitch_degrees=0, nearness=1, sway=(0, 0), shift=(0, 0))


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One scene."""

    image: Image
    points: NDArray[np.float64]
    scene: Scene
    size: Size
    seed: int
    fills_view: bool

    @cached_property
    def face(self) -> FaceFrame:
        """Where the face is in the portrait."""
        return FaceFrame.of(self.points)

    @cached_property
    def stance(self) -> Stance:
        """Where and how it is in this visit."""
        return Stance.of(self.seed)

    def sight(self, t: float, yaw_degrees: float, pitch_degrees: float, zoom: float, *, whole: bool) -> Sight:
        """Return what is there `t` seconds after the camera was switched on; `whole` also in space."""
        moment = Moment(
            yaw_degrees=yaw_degrees + self.stance.yaw_degrees,
            pitch_degrees=pitch_degrees + self.stance.pitch_degrees,
            nearness=zoom * self.stance.nearness,
            sway=_tremor(t, self.seed),
            shift=self.stance.shift,
        )
        match self.scene:
            case Scene.LIVE_HEAD | Scene.FROZEN | Scene.MASK:
                return self._head(moment, whole=whole)
            case Scene.CUT_OUT:
                return self._cut_out(moment, whole=whole)
            case Scene.BENT_PHOTO:
                return self._bent(moment, whole=whole)
            case Scene.SCREEN_VIDEO:
                return self._screen_video(t, moment, yaw_degrees, pitch_degrees, zoom, whole=whole)
            case Scene.FLAT_PHOTO | Scene.SCREEN_REPLAY:
                return self._flat(t, moment, whole=whole)

    # The head, and what is worn on it.

    def _head(self, moment: Moment, *, whole: bool) -> Sight:
        x, y = self._looks(moment)
        looked = seen(x, y, self._average, self._turn(moment))
        colour = self._shown(x, y, looked)
        if self.scene is Scene.MASK:
            near = (x / 1.15) ** 2 + ((y - 0.1) / 1.6) ** 2 < 1
            colour = np.where(near[..., None], in_ink(colour), colour)
        return Sight(colour=colour, solid=self._head_solid(moment, looked, colour) if whole else None)

    def _cut_out(self, moment: Moment, *, whole: bool) -> Sight:
        x, y = self._looks(moment)
        sheet, turn = self._cut, self._turn(moment)
        behind, before = seen(x, y, self._average, turn), seen(x, y, sheet.height, turn)
        size = (x.shape[1], x.shape[0])
        on_x, on_y = x + resized(before.x - before.at_x, size), y + resized(before.y - before.at_y, size)
        paper = sheet.covers(on_x, on_y)
        printed = in_ink(remap(self._softened(self._scale(moment)), *self.face.pixels(on_x, on_y)))
        colour = np.where(paper[..., None], printed, self._shown(x, y, behind))
        if not whole:
            return Sight(colour=colour, solid=None)
        head = self._head_solid(moment, behind, colour)
        half = (head.distance_mm.shape[1], head.distance_mm.shape[0])
        covers = cv2.resize(paper.astype(np.uint8), half, interpolation=cv2.INTER_NEAREST) > 0
        out = resized(before.height(sheet.height), half)
        distance = (self._front_mm(moment) - EYES_MM * (out - np.float32(HEAD_DEPTH))).astype(np.float32)
        sheet_alone = replace(head, distance_mm=distance)
        solid = replace(
            head,
            distance_mm=np.where(covers, distance, head.distance_mm).astype(np.float32),
            reflectance=np.where(covers, self._printed(colour), head.reflectance).astype(np.float32),
            seams=np.where(covers, facing(sheet_alone), facing(head)).astype(np.float32),
        )
        return Sight(colour=colour, solid=solid)

    def _head_solid(self, moment: Moment, looked: Seen, colour: Image) -> Solid:
        half = (self.size[0] // 2, self.size[1] // 2)
        out = resized(looked.height(self._own), half)
        source_x, source_y, at_x, at_y = (resized(m, half) for m in (looked.x, looked.y, looked.at_x, looked.at_y))
        front = self._front_mm(moment)
        face = (source_x / HEAD_HALF_WIDTH) ** 2 + (source_y / HEAD_HALF_HEIGHT) ** 2 < 1
        body = (at_y > BODY_FROM) & (np.abs(at_x) < BODY_HALF_WIDTH)
        behind = np.where(body, np.float32(front + EYES_MM * HEAD_DEPTH), np.float32(front + WALL_MM))
        distance = np.where(face, front - EYES_MM * (out - np.float32(HEAD_DEPTH)), behind)
        skin = self._printed(colour) if self.scene is Scene.MASK else 0.18 + 0.65 * _red(colour, half)
        reflectance = np.where(face | body, skin, np.float32(WALL_REFLECTANCE))
        return Solid(
            distance_mm=distance.astype(np.float32),
            reflectance=reflectance.astype(np.float32),
            slope_unit_mm=2 * front / self._focal_px,
        )

    # Paper and screens in a hand.

    def _flat(self, t: float, moment: Moment, *, whole: bool) -> Sight:
        picture = self._shown_straight
        thing = as_screen(picture, phase=3 * t) if self.scene in SCREENS else self._print
        return self._held(thing, moment, whole=whole)

    def _screen_video(
        self, t: float, moment: Moment, yaw_degrees: float, pitch_degrees: float, zoom: float, *, whole: bool
    ) -> Sight:
        played = Moment(
            yaw_degrees=yaw_degrees, pitch_degrees=pitch_degrees, nearness=zoom, sway=moment.sway, shift=(0, 0)
        )
        x, y = self._looks(played)
        picture = self._shown(x, y, seen(x, y, self._average, self._turn(played)))
        at_rest = Moment(
            yaw_degrees=self.stance.yaw_degrees,
            pitch_degrees=self.stance.pitch_degrees,
            nearness=self.stance.nearness,
            sway=moment.sway,
            shift=self.stance.shift,
        )
        return self._held(as_screen(picture, phase=3 * t), at_rest, whole=whole)

    def _held(self, thing: Image, moment: Moment, *, whole: bool) -> Sight:
        eye_px = EYE_DISTANCE_OF_FRAME * min(self.size)
        hold = held(
            thing,
            self.size,
            yaw_degrees=moment.yaw_degrees + 30 * moment.sway[0],
            pitch_degrees=moment.pitch_degrees + 30 * moment.sway[1],
            width_of_view=(WHOLE_VIEW if self.fills_view else PHOTO_WIDTH) * moment.nearness,
            shift=(moment.shift[0] * eye_px / 2, moment.shift[1] * eye_px / 2),
        )
        colour = hold.view(thing)
        return Sight(colour=colour, solid=self._flat_solid(hold, thing, moment, colour) if whole else None)

    def _flat_solid(self, hold: Hold, thing: Image, moment: Moment, colour: Image) -> Solid:
        half = (self.size[0] // 2, self.size[1] // 2)
        relative, covers = hold.distance(thing, half)
        # Faces on paper and on tablets come in any size; the smaller, the nearer it is held.
        eyes_mm = float(self._draw(2).uniform(30, 46) if self.scene in SCREENS else self._draw(2).uniform(42, 68))
        eye_px = self._scale(AT_REST) * self.face.eye_distance * hold.scale
        distance = self._focal_px * eyes_mm / eye_px
        far = np.float32(distance + WALL_MM)
        own = self._printed(colour)
        glare: FloatMap | None = None
        if self.scene in SCREENS:
            is_bezel = colour.max(axis=2)[::2, ::2][: half[1], : half[0]] < BEZEL_LEVEL
            own = np.where(is_bezel, np.float32(BEZEL_REFLECTANCE), np.float32(SCREEN_REFLECTANCE))
            glare = self._glare(moment, half) * covers
        return Solid(
            distance_mm=np.where(covers, relative * np.float32(distance), far).astype(np.float32),
            reflectance=np.where(covers, own, WALL_REFLECTANCE).astype(np.float32),
            slope_unit_mm=2 * distance / self._focal_px,
            glare=glare,
        )

    def _bent(self, moment: Moment, *, whole: bool) -> Sight:
        sheet = self._bend
        x, y = self._looks(moment)
        near = self.face.eye_distance * self._scale(moment) / self._focal_px
        looked = seen(x, y, sheet.height, self._turn(moment), nearness=near)
        size = (x.shape[1], x.shape[0])
        flat_x, flat_y = sheet.unrolled(looked.x, looked.y)
        on_x, on_y = x + resized(flat_x - looked.at_x, size), y + resized(flat_y - looked.at_y, size)
        halves = (9.0, 9.0) if self.fills_view else SHEET_HALF
        paper = (np.abs(on_x) < halves[0]) & (np.abs(on_y) < halves[1])
        printed = in_ink(remap(self._softened(self._scale(moment)), *self.face.pixels(on_x, on_y)))
        colour = np.where(paper[..., None], printed, np.array(TABLE_COLOUR, np.uint8))
        if not whole:
            return Sight(colour=colour, solid=None)
        half = (self.size[0] // 2, self.size[1] // 2)
        covers = cv2.resize(paper.astype(np.uint8), half, interpolation=cv2.INTER_NEAREST) > 0
        distance = self._front_mm(moment)
        mine = distance * (1 - np.float32(near) * resized(looked.height(sheet.height), half))
        solid = Solid(
            distance_mm=np.where(covers, mine, np.float32(distance + WALL_MM)).astype(np.float32),
            reflectance=np.where(covers, self._printed(colour), np.float32(WALL_REFLECTANCE)).astype(np.float32),
            slope_unit_mm=2 * distance / self._focal_px,
        )
        return Sight(colour=colour, solid=solid)

    # Pieces.

    @cached_property
    def _own_build(self) -> Build:
        return Build.of(self.points)

    @cached_property
    def _bend(self) -> Bend:
        return Bend.of(self.seed)

    @cached_property
    def _cut(self) -> CutOut:
        eyes = self.points[:2] - np.array(self.face.origin)
        x, y = self.face.coordinates(
            np.asarray(self.points[:2, 0], np.float32), np.asarray(self.points[:2, 1], np.float32)
        )
        return CutOut.of(self.seed, np.stack([x, y], axis=1).astype(eyes.dtype), self.face.nose)

    @cached_property
    def _average(self) -> Surface:
        nose = self.face.nose
        return lambda x, y: depth(x, y, nose)

    @cached_property
    def _own(self) -> Surface:
        nose, build = self.face.nose, self._own_build
        return lambda x, y: depth(x, y, nose, build)

    @cached_property
    def _shown_straight(self) -> Image:
        x, y = self._looks(AT_REST)
        return self._shown(x, y, seen(x, y, self._average, rotation(0, 0)))

    @cached_property
    def _print(self) -> Image:
        return as_print(self._shown_straight)

    @property
    def _focal_px(self) -> float:
        return FOCAL_LENGTH * min(self.size)

    def _draw(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([STREAM, stream, self.seed])

    def _turn(self, moment: Moment) -> NDArray[np.float64]:
        return rotation(moment.yaw_degrees + 20 * moment.sway[0], moment.pitch_degrees + 20 * moment.sway[1])

    def _looks(self, moment: Moment) -> tuple[FloatMap, FloatMap]:
        """Return where each pixel of the view looks, in the face's own coordinates."""
        width, height = self.size
        face, scale = self.face, self._scale(moment)
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        off_x, off_y = ((moment.sway[i] - moment.shift[i]) * face.eye_distance + face.origin[i] for i in (0, 1))
        across = (columns - np.float32(width / 2)) / np.float32(scale) + np.float32(off_x)
        down = (rows - np.float32(height / 2)) / np.float32(scale) + np.float32(off_y)
        return face.coordinates(across, down)

    def _shown(self, x: FloatMap, y: FloatMap, looked: Seen) -> Image:
        """Return the portrait's head as it was turned."""
        eye_px = (self.size[0] - 1) / max(float(np.hypot(x[0, -1] - x[0, 0], y[0, -1] - y[0, 0])), 1e-6)
        picture = self._softened(eye_px / self.face.eye_distance)
        return remap(picture, *self.face.pixels(*head_view(x, y, looked)))

    def _scale(self, moment: Moment) -> float:
        """Return frame pixels per portrait pixel."""
        wanted = EYE_DISTANCE_OF_FRAME * min(self.size)
        return min(wanted / self.face.eye_distance, MAGNIFICATION_MAX) * moment.nearness

    def _front_mm(self, moment: Moment) -> float:
        """Return how far the front of the face is, were it of average size."""
        return self._focal_px * EYES_MM / (self._scale(moment) * self.face.eye_distance)

    def _softened(self, scale: float) -> Image:
        """Return the portrait without the detail that the frame cannot hold, lest it flicker."""
        if scale >= 1:
            return self.image
        return np.asarray(cv2.GaussianBlur(self.image, (0, 0), 0.45 / scale), dtype=np.uint8)

    def _printed(self, colour: Image) -> FloatMap:
        """Return the infrared reflectance of a print: dyes hardly show there, carbon does."""
        draw = self._draw(1)
        is_carbon = draw.random() < 0.35  # noqa: PLR2004  # about a third
        contrast = draw.uniform(0.5, 0.8) if is_carbon else draw.uniform(0.08, 0.3)
        darkness = 1 - _red(colour, (self.size[0] // 2, self.size[1] // 2))
        return np.asarray(0.72 * (1 - np.float32(contrast) * darkness), np.float32)

    def _glare(self, moment: Moment, half: Size) -> FloatMap:
        """Return the lamp mirrored in glass; it leaves the view when the glass is turned away."""
        yaw, pitch = np.radians((moment.yaw_degrees, moment.pitch_degrees))
        middle_x = half[0] / 2 + self._focal_px / 2 * np.tan(2 * yaw)
        middle_y = half[1] / 2 - self._focal_px / 2 * np.tan(2 * pitch)
        columns, rows = np.meshgrid(np.arange(half[0], dtype=np.float32), np.arange(half[1], dtype=np.float32))
        squared = (columns - np.float32(middle_x)) ** 2 + (rows - np.float32(middle_y)) ** 2
        return np.asarray(GLARE_LEVEL * np.exp(-squared / np.float32(2 * GLARE_PX**2)), np.float32)


def _red(colour: Image, size: Size) -> FloatMap:
    """Return the red channel at another size, 0..1: infrared sees skin much as red light does."""
    small = cv2.resize(np.ascontiguousarray(colour[:, :, 2]), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small.astype(np.float32) / 255, np.float32)


def _tremor(t: float, seed: int) -> tuple[float, float]:
    """Return the small sway of a body or a hand, in eye distances: two slow waves whose phases come from the seed."""
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 4)
    x = 0.012 * np.sin(2.1 * t + phases[0]) + 0.006 * np.sin(5.3 * t + phases[1])
    y = 0.010 * np.sin(1.7 * t + phases[2]) + 0.005 * np.sin(4.7 * t + phases[3])
    return float(x), float(y)
