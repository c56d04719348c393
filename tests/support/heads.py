"""A head before the camera that does what the guidance says; and those that only pretend to."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import cv2
import numpy as np

from face_pipeline import (
    Action,
    Challenge,
    FaceSession,
    Frame,
    Guidance,
    Progress,
    Template,
    Verdict,
    portrait,
)
from mock_terminal.camera import Camera, Portrait, encode
from mock_terminal.scenes import Scene
from tests.support.models import installed_models_dir, loaded_pipeline

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LEFT_RIGHT = Challenge(actions=(Action.TURN_LEFT, Action.TURN_RIGHT), deadline=timedelta(seconds=20))
RIGHT_LEFT = Challenge(actions=(Action.TURN_RIGHT, Action.TURN_LEFT), deadline=timedelta(seconds=20))
FRAMES_PER_SECOND = 10
TURN_DEGREES = 36.0
STEP_DEGREES = 6.0
TURN = {Guidance.TURN_LEFT: TURN_DEGREES, Guidance.TURN_RIGHT: -TURN_DEGREES}
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


@cache
def picture(name: str, scene: Scene, index: int, yaw: float, *, light: float = 1.0, zoom: float = 1.0) -> bytes:
    """Return one frame; the same one for the same arguments."""
    camera = Camera(portrait_of(name), scene=scene, seed=1)
    return encode(camera.frame(index / FRAMES_PER_SECOND, yaw, light=light, zoom=zoom))


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

    def visit(self, session: FaceSession, frames: int = 60) -> Verdict:
        """Feed the session until it decides, or until its time is over."""
        yaw = goal = 0.0
        for index in range(1, frames + 1):
            yaw += float(np.clip(goal - yaw, -STEP_DEGREES, STEP_DEGREES))
            name = self.becomes if self.becomes and abs(yaw) > STEP_DEGREES else self.name
            answer = session.feed(a_frame(index, jpeg=picture(name, self.scene, index, yaw)))
            if isinstance(answer, Verdict):
                return answer
            goal = self._goal(answer)
        return session.expire()

    def _goal(self, progress: Progress) -> float:
        asked = 0.0 if self.still else TURN.get(progress.guidance, 0.0)
        return -asked if self.wrong_way else asked


def a_session(challenge: Challenge = LEFT_RIGHT, *, template: Template | None = None) -> FaceSession:
    """Return a session on the real models; against her template unless told otherwise."""
    return loaded_pipeline().open_session(challenge=challenge, template=template or her_template())
