"""People before a terminal: enrolled from public portraits, turned into frames by the mock terminal's camera."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count

import cv2
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp

from face_pipeline import portrait
from mock_terminal.camera import Camera, Portrait, encode
from mock_terminal.patient import Patient
from mock_terminal.scenes import Scene
from server.config import load_config
from server.credentials.identity import checksum
from server.credentials.people import InsuredPerson
from shualian.terminal.v1 import face_pb2, types_pb2
from tests.support.conversation import FaceCall, face_call
from tests.support.platform import ACTOR, EnrolledTerminal, Reachable, faces

FRAMES_PER_SECOND = 10
"""By the terminal's clock."""
SENT_EVERY = 0.06
"""Seconds by ours: tests have less patience than patients."""
PIN = "274916"
CARD_NUMBER = "A12345678"


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody with an ID card and a face."""

    name: str
    id_number: str
    picture: str

    @property
    def jpeg(self) -> bytes:
        """The portrait they enroll with."""
        return portrait(load_config(None, {}).models_dir, self.picture).read_bytes()


def _number(digits: str) -> str:
    return digits + checksum(digits)


LIN = Visitor(name="林夏", id_number=_number("99000019510101001"), picture="grace_hopper")
MA = Visitor(name="马秋", id_number=_number("99000019630202002"), picture="astronaut")


def made_up_id_number(number: int) -> str:
    """Return the so-many-th ID number of nobody."""
    return _number(f"99000019700101{number:03d}")


async def insured(running: Reachable, visitor: Visitor) -> InsuredPerson:
    """Make the visitor an insured person with face, card and PIN."""
    template = faces().enroll(visitor.jpeg)
    return await running.write(
        lambda connection: running.domain.people.add(
            connection,
            name=visitor.name,
            id_number=visitor.id_number,
            region="330100",
            card_number=CARD_NUMBER,
            pin=PIN,
            template=template,
            actor=ACTOR,
        )
    )


@cache
def camera(visitor: Visitor, scene: Scene) -> Camera:
    """Return a camera with this visitor, or their picture, before it."""
    picture = visitor.jpeg
    found = faces().landmarks(picture)
    points = np.array(
        [found.right_eye, found.left_eye, found.nose, found.right_mouth, found.left_mouth], dtype=np.float64
    )
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return Camera(Portrait(image_bgr=image.astype(np.uint8), points=points), scene=scene)


@cache
def frames_at_rest(visitor: Visitor, number: int) -> tuple[bytes, ...]:
    """Return frames of the visitor looking straight ahead."""
    looking = camera(visitor, Scene.LIVE_HEAD)
    return tuple(encode(looking.frame(index / FRAMES_PER_SECOND, 0.0)) for index in range(number))


def start(visitor: Visitor, *, consents: bool = True) -> face_pb2.AuthenticateRequest:
    """Return the opening of a session for this person's claim."""
    return face_pb2.AuthenticateRequest(
        start=face_pb2.Start(
            purpose=face_pb2.PURPOSE_VERIFY,
            business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT,
            claimed_identity=types_pb2.ClaimedIdentity(id_number=visitor.id_number, name=visitor.name),
            consent=face_pb2.Consent(granted=consents, text_version="2026-01", given_at=at()),
            camera=face_pb2.CameraAbilities(width_px=640, height_px=480, frames_per_second=10),
        )
    )


def frame(sequence: int, jpeg: bytes, captured_at: datetime | None = None) -> face_pb2.AuthenticateRequest:
    """Return one picture on its way."""
    return face_pb2.AuthenticateRequest(
        frame=face_pb2.Frame(
            sequence=sequence,
            captured_at=at(captured_at),
            pictures=[
                face_pb2.Picture(modality=face_pb2.MODALITY_RGB, encoding=face_pb2.ENCODING_JPEG, data=jpeg)
            ],
        )
    )


def at(moment: datetime | None = None) -> Timestamp:
    """Return a moment, now by default."""
    stamp = Timestamp()
    stamp.FromDatetime(moment or datetime.now(UTC))
    return stamp


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the terminal got to see of a session."""

    accepted: face_pb2.Accepted
    guidance: Sequence[face_pb2.Guidance]
    decision: face_pb2.Decision


async def face_session(
    terminal: EnrolledTerminal, *, claims: Visitor, shows: Visitor, scene: Scene = Scene.LIVE_HEAD
) -> Seen:
    """Run a whole session: who claims to be whom, and whose face the camera sees.

    The person reacts to what they are told, so a slow machine makes the session longer and nothing else.
    """
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(claims))
        accepted = (await call.read()).accepted
        patient = Patient()
        sending = asyncio.create_task(_send(call, camera(shows, scene), patient))
        guidance: list[face_pb2.Guidance] = []
        try:
            async for message in call.messages():
                if message.WhichOneof("step") == "decision":
                    return Seen(accepted=accepted, guidance=guidance, decision=message.decision)
                patient.told(message.guidance.hint)
                guidance.append(message.guidance)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    raise AssertionError("the stream ended without a decision")


async def _send(call: FaceCall, looking: Camera, patient: Patient) -> None:
    began = datetime.now(UTC)
    for sequence in count(1):
        t = sequence / FRAMES_PER_SECOND
        picture = await asyncio.to_thread(looking.frame, t, patient.yaw(t))
        await call.write(frame(sequence, encode(picture), began + timedelta(seconds=t)))
        await asyncio.sleep(SENT_EVERY)
