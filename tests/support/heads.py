"""A head before the camera that does what the guidance says; and those that only pretend to."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache

import cv2
import numpy as np

from face_pipeline import (
    Action,
    Challenge,
    FacePolicy,
    FaceSession,
    Frame,
    Guidance,
    Modality,
    Progress,
    Template,
    Verdict,
    portrait,
)
from face_pipeline.frames import Box, Embedding, Image
from face_pipeline.liveness.passive import PassiveLiveness
from face_pipeline.picture.embedding import Embedder
from mock_terminal.camera import Camera, Portrait, encode, encode_depth
from mock_terminal.scenes import Scene
from tests.support.models import installed_models_dir, loaded_pipeline

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LEFT_RIGHT = Challenge(actions=(Action.TURN_LEFT, Action.TURN_RIGHT), deadline=timedelta(seconds=20))
RIGHT_LEFT = Challenge(actions=(Action.TURN_RIGHT, Action.TURN_LEFT), deadline=timedelta(seconds=20))
FRAMES_PER_SECOND = 10
TURN_DEGREES = 36.0
STEP_DEGREES = 6.0
NOD_DEGREES = -22.0
CLOSER, CLOSER_STEP = 1.45, 0.1
REST = (0.0, 0.0, 1.0)
GOALS = {
    Guidance.TURN_LEFT: (TURN_DEGREES, 0.0, 1.0),
    Guidance.TURN_RIGHT: (-TURN_DEGREES, 0.0, 1.0),
    Guidance.NOD: (0.0, NOD_DEGREES, 1.0),
    Guidance.COME_CLOSER: (0.0, 0.0, CLOSER),
}
"""Yaw, pitch in degrees, and zoom."""
STEPS = np.array([STEP_DEGREES, STEP_DEGREES, CLOSER_STEP])
TRUSTING = FacePolicy(passive_min=0.0, passive_min_moved=0.0, passive_rest_min=0.0, passive_turn_min=0.0)
"""The passive model has no say."""
SPATIAL = (Modality.NIR, Modality.DEPTH)
HER, OTHER = "grace_hopper", "astronaut"


@cache
def portrait_bytes(name: str) -> bytes:
    """Return an installed portrait as a file."""
    return portrait(installed_models_dir(), name).read_bytes()


@cache
def her_template() -> Template:
    """Return the template of the person who is enrolled."""
    return loaded_pipeline().enroll(portrait_bytes(HER))


@cache
def portrait_of(name: str) -> Portrait:
    """Return a portrait with the landmarks our own detector finds."""
    found = loaded_pipeline().landmarks(portrait_bytes(name))
    points = [found.right_eye, found.left_eye, found.nose, found.right_mouth, found.left_mouth]
    image = cv2.imdecode(np.frombuffer(portrait_bytes(name), np.uint8), cv2.IMREAD_COLOR)
    return Portrait(image_bgr=np.asarray(image, np.uint8), points=np.array(points, np.float64))


def mixed(one: str, other: str) -> Portrait:
    """Return a portrait that is half of each of two people: like enough to both."""
    first, second = portrait_of(one), portrait_of(other)
    onto = cv2.estimateAffine2D(second.points, first.points)[0]
    height, width = first.image_bgr.shape[:2]
    brought = cv2.warpAffine(second.image_bgr, onto, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    image = cv2.addWeighted(first.image_bgr, 0.5, brought, 0.5, 0)
    return Portrait(image_bgr=np.asarray(image, np.uint8), points=first.points)


@cache
def picture(
    name: str,
    scene: Scene,
    index: int,
    yaw: float,
    pitch: float = 0.0,
    *,
    light: float = 1.0,
    zoom: float = 1.0,
    seed: int = 1,
) -> bytes:
    """Return one frame; the same one for the same arguments."""
    camera = Camera(portrait_of(name), scene=scene, seed=seed)
    return encode(camera.frame(index / FRAMES_PER_SECOND, yaw, pitch, light=light, zoom=zoom))


@cache
def spatial(
    name: str, scene: Scene, index: int, yaw: float, pitch: float, *, zoom: float, seed: int = 1
) -> dict[Modality, bytes]:
    """Return what the cameras beside colour see at the same moment."""
    taken = Camera(portrait_of(name), scene=scene, seed=seed).capture(index / FRAMES_PER_SECOND, yaw, pitch, zoom=zoom)
    return {Modality.NIR: encode(taken.nir), Modality.DEPTH: encode_depth(taken.depth)}


def a_frame(sequence: int = 1, *, jpeg: bytes | None = None, at: datetime | None = None) -> Frame:
    """Return a frame of her looking straight, or of these bytes."""
    content = picture(HER, Scene.LIVE_HEAD, sequence, 0.0) if jpeg is None else jpeg
    return Frame(
        sequence=sequence, captured_at=at or START + timedelta(seconds=sequence / FRAMES_PER_SECOND), jpeg=content
    )


@dataclass(slots=True, kw_only=True)
class Head:
    """Looks straight, then turns as asked; `wrong_way` turns to the other side."""

    name: str = HER
    scene: Scene = Scene.LIVE_HEAD
    becomes: str | None = None
    """Who is before the camera once the head is turned: a swap half way."""
    wrong_way: bool = False
    still: bool = False
    """Never turns."""
    seed: int = 1
    """Of the visit, and of what is held up in it."""
    beside: frozenset[Modality] = frozenset()
    """What the camera delivers beside colour."""
    solid: Scene | None = None
    """What the cameras beside colour see once the head is turned, when that is something else."""

    def visit(self, session: FaceSession, frames: int = 60) -> Verdict:
        """Feed the session until it decides, or until its time is over."""
        pose, goal = np.array(REST), np.array(REST)
        for index in range(1, frames + 1):
            pose += np.clip(goal - pose, -STEPS, STEPS)
            yaw, pitch, zoom = (round(float(value), 6) for value in pose)
            acting = max(abs(yaw), abs(pitch)) > STEP_DEGREES or zoom > 1 + CLOSER_STEP
            name = self.becomes if self.becomes and acting else self.name
            jpeg = picture(name, self.scene, index, yaw, pitch, zoom=zoom, seed=self.seed)
            solid = self.solid if self.solid and acting else self.scene
            taken = spatial(name, solid, index, yaw, pitch, zoom=zoom, seed=self.seed) if self.beside else {}
            nir, depth = (taken.get(modality) if modality in self.beside else None for modality in SPATIAL)
            answer = session.feed(replace(a_frame(index, jpeg=jpeg), nir=nir, depth=depth))
            if isinstance(answer, Verdict):
                return answer
            goal = np.array(self._goal(answer))
        return session.expire()

    def _goal(self, progress: Progress) -> tuple[float, float, float]:
        yaw, pitch, zoom = REST if self.still else GOALS.get(progress.guidance, REST)
        return (-yaw if self.wrong_way else yaw, pitch, zoom)


def asked(*actions: Action) -> Challenge:
    """Return a challenge of these actions."""
    return Challenge(actions=actions, deadline=timedelta(seconds=20))


def a_session(
    challenge: Challenge = LEFT_RIGHT,
    *,
    template: Template | None = None,
    beside: frozenset[Modality] = frozenset(),
    identify: bool = False,
) -> FaceSession:
    """Return a session on the real models; against her template unless told otherwise."""
    known = None if identify else template or her_template()
    return loaded_pipeline().open_session(challenge=challenge, template=known, beside=beside, identify=identify)


def a_session_under(policy: FacePolicy, challenge: Challenge = LEFT_RIGHT) -> FaceSession:
    """Return a session under this policy."""
    return replace(loaded_pipeline(), policy=policy).open_session(challenge=challenge, template=her_template())


def a_session_judged(live: list[float], *, beside: frozenset[Modality] = frozenset()) -> FaceSession:
    """Return a session whose passive model says this of the frames."""
    pipeline = loaded_pipeline()
    told = _Told(model=pipeline.stages.passive.model, says=iter(live))
    judged = replace(pipeline, stages=replace(pipeline.stages, passive=told))
    return judged.open_session(challenge=LEFT_RIGHT, template=her_template(), beside=beside)


def a_session_that_counts(live: list[float]) -> tuple[FaceSession, list[Image]]:
    """Return a session whose passive model says this of the frames, and the faces that it embeds as a whole."""
    pipeline, embedded = loaded_pipeline(), list[Image]()
    told = _Told(model=pipeline.stages.passive.model, says=iter(live))
    counted = _Counted(parts=pipeline.stages.embedder.parts, embedded=embedded)
    judged = replace(pipeline, stages=replace(pipeline.stages, passive=told, embedder=counted))
    return judged.open_session(challenge=LEFT_RIGHT, template=her_template()), embedded


def shown(shows: list[tuple[str, float]], opened: FaceSession | None = None) -> Verdict:
    """Return what a session says about these faces in these poses, ten pictures a second."""
    session = opened or a_session()
    for sequence, (name, yaw) in enumerate(shows, 1):
        answer = session.feed(a_frame(sequence, jpeg=picture(name, Scene.LIVE_HEAD, sequence, yaw)))
        if isinstance(answer, Verdict):
            return answer
    return session.expire()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told(PassiveLiveness):
    """A passive model that says what it is told to."""

    says: Iterator[float]

    def live_probability(self, image: Image, box: Box, small: Image | None = None) -> float:
        assert image.size
        assert small is not None
        assert box.area > 0
        return next(self.says)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted(Embedder):
    """The real embedder, which remembers whom it was shown."""

    embedded: list[Image]

    def embedding(self, crop: Image) -> Embedding:
        self.embedded.append(crop)
        return Embedder.embedding(self, crop)
