"""People before a terminal: enrolled from public portraits, turned into frames by the mock terminal's camera."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count, cycle, islice
from typing import Protocol

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from google.protobuf.timestamp_pb2 import Timestamp

from face_pipeline import Template, portrait
from mock_terminal.camera import Camera, Portrait, encode
from mock_terminal.capture import Viewfinder, colour
from mock_terminal.eye import BESIDE, Cameras
from mock_terminal.patient import Patient
from mock_terminal.scenes import Scene
from mock_terminal.sealing import SealChain
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
PHONE = "13800004321"


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


async def insured(running: Reachable, visitor: Visitor, *, site_id: str | None = None) -> InsuredPerson:
    """Make the visitor an insured person with face, card, phone and PIN, who is looked for at this site."""
    return await running.write(
        lambda connection: running.domain.people.add(
            connection,
            name=visitor.name,
            id_number=visitor.id_number,
            region="330100",
            card_number=CARD_NUMBER,
            pin=PIN,
            template=template_of(visitor),
            actor=ACTOR,
            phone=PHONE,
            site_id=site_id,
        )
    )


@cache
def template_of(visitor: Visitor) -> Template:
    """Return what the models make of the visitor's portrait."""
    return faces().enroll(visitor.jpeg)


@cache
def portrait_of(visitor: Visitor) -> Portrait:
    """Return the visitor's picture with the landmarks our own detector finds."""
    picture = visitor.jpeg
    found = faces().landmarks(picture)
    points = np.array(
        [found.right_eye, found.left_eye, found.nose, found.right_mouth, found.left_mouth], dtype=np.float64
    )
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return Portrait(image_bgr=image.astype(np.uint8), points=points)


def camera(visitor: Visitor, scene: Scene) -> Camera:
    """Return a camera with this visitor, or their picture, before it; on each visit they stand a little elsewhere."""
    return Camera(portrait_of(visitor), scene=scene, seed=next(_VISITS))


_VISITS = cycle((1, 3, 4, 6, 7, 9, 11, 12, 15, 16, 18, 19))
"""Seeds of stances in which the passive model has no doubts: what is tested with visitors is not the model."""


@cache
def frames_at_rest(visitor: Visitor, number: int) -> tuple[bytes, ...]:
    """Return frames of the visitor looking straight ahead."""
    looking = camera(visitor, Scene.LIVE_HEAD)
    return tuple(encode(looking.frame(index / FRAMES_PER_SECOND, 0.0)) for index in range(number))


def start(
    visitor: Visitor, *, consents: bool = True, cannot_move: bool = False, cameras: Cameras = Cameras.RGB
) -> face_pb2.AuthenticateRequest:
    """Return the opening of a session for this person's claim."""
    return face_pb2.AuthenticateRequest(
        start=face_pb2.Start(
            purpose=face_pb2.PURPOSE_VERIFY,
            business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT,
            claimed_identity=types_pb2.ClaimedIdentity(id_number=visitor.id_number, name=visitor.name),
            consent=face_pb2.Consent(granted=consents, text_version="2026-01", given_at=at()),
            camera=face_pb2.CameraAbilities(
                width_px=640, height_px=480, frames_per_second=10, beside_colour=BESIDE[cameras]
            ),
            cannot_move=cannot_move,
        )
    )


def unmoved(visitor: Visitor = LIN) -> face_pb2.AuthenticateRequest:
    """Return the opening of a session in which nobody is asked to move: the quickest one."""
    return start(visitor, cannot_move=True)


def frame(sequence: int, jpeg: bytes, captured_at: datetime | None = None) -> face_pb2.AuthenticateRequest:
    """Return one picture on its way."""
    return face_pb2.AuthenticateRequest(
        frame=face_pb2.Frame(
            sequence=sequence,
            captured_at=at(captured_at),
            pictures=[face_pb2.Picture(modality=face_pb2.MODALITY_RGB, encoding=face_pb2.ENCODING_JPEG, data=jpeg)],
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
    sent: Sequence[face_pb2.Frame]
    """What it sent: good for whoever wants to show it again."""
    asked: Sequence[face_pb2.SecondFactorAsked] = ()
    """How often the person was asked for a second factor."""


class Sealer(Protocol):
    """Makes the seal of a session, or something that looks like one; None: nothing is sent."""

    def __call__(self, terminal: EnrolledTerminal, chain: SealChain, last_sequence: int, /) -> face_pb2.Seal | None:
        """Answer `seal_asked`."""
        ...


def honest_seal(terminal: EnrolledTerminal, chain: SealChain, last_sequence: int) -> face_pb2.Seal:
    """Seal what was sent, with the key of the terminal's certificate."""
    return chain.seal(last_sequence, sign=lambda content: terminal.key.sign(content, ECDSA(SHA256())))


TRIES_MAX = 3
"""The challenge is drawn anew each time, and a head in the simulation is now and then not understood: as people do, it
tries again."""
TRY_AGAIN = {face_pb2.DECISION_OUTCOME_INSUFFICIENT, face_pb2.DECISION_OUTCOME_SPOOF_SUSPECTED}


async def face_session(
    terminal: EnrolledTerminal,
    *,
    claims: Visitor,
    shows: Visitor,
    scene: Scene = Scene.LIVE_HEAD,
    opens: face_pb2.AuthenticateRequest | None = None,
    recorded: Sequence[bytes] | None = None,
    seals: Sealer = honest_seal,
    answers: Sequence[face_pb2.SecondFactor] = (),
    cameras: Cameras = Cameras.RGB,
    once_accepted: Callable[[], Awaitable[None]] | None = None,
) -> Seen:
    """Run a whole session: who claims to be whom, and whose face the camera sees.

    The person reacts to what they are told, so a slow machine makes the session longer and nothing else.

    Args:
        terminal: where.
        claims: who is claimed.
        shows: whose face it is.
        scene: what stands before the camera.
        opens: another start than the claim's.
        recorded: pictures that a virtual camera shows in the place of the scene, each once; time and seal are fresh.
        seals: how the terminal answers when it is asked for the seal.
        answers: second factors, one for each time it is asked.
        cameras: what looks at the person; what is beside colour is promised by the start that is made here.
        once_accepted: what happens after the session was opened and before its first frame.
    """
    for tries_left in reversed(range(TRIES_MAX)):
        seen = await _face_session(
            terminal,
            claims=claims,
            shows=shows,
            scene=scene,
            opens=opens,
            recorded=recorded,
            seals=seals,
            answers=answers,
            cameras=cameras,
            once_accepted=once_accepted,
        )
        is_honest = scene is Scene.LIVE_HEAD and recorded is None and seals is honest_seal
        if not (is_honest and tries_left and seen.decision.outcome in TRY_AGAIN):
            break
    return seen


async def _face_session(
    terminal: EnrolledTerminal,
    *,
    claims: Visitor,
    shows: Visitor,
    scene: Scene,
    opens: face_pb2.AuthenticateRequest | None,
    recorded: Sequence[bytes] | None,
    seals: Sealer,
    answers: Sequence[face_pb2.SecondFactor],
    cameras: Cameras,
    once_accepted: Callable[[], Awaitable[None]] | None,
) -> Seen:
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(opens or start(claims, cameras=cameras))
        accepted = (await call.read()).accepted
        if once_accepted is not None:
            await once_accepted()
        chain = SealChain(
            session_id=accepted.session_id,
            nonce=accepted.challenge.nonce,
            frames_max=accepted.capture_profile.frames_max,
        )
        patient, left, enough = Patient(), iter(answers), asyncio.Event()
        eye = Viewfinder(camera(shows, scene), patient, cameras=cameras)
        looks_at = _pictures(eye) if recorded is None else _shown_again(recorded)
        sent: list[face_pb2.Frame] = []
        sending = asyncio.create_task(_send(call, looks_at, chain, sent, enough))
        guidance: list[face_pb2.Guidance] = []
        asked: list[face_pb2.SecondFactorAsked] = []
        try:
            async for message in call.messages():
                match message.WhichOneof("step"):
                    case "guidance":
                        patient.told(message.guidance.hint)
                        guidance.append(message.guidance)
                    case "seal_asked":
                        enough.set()
                        await sending  # not cancelled: a cancelled write takes the call with it
                        seal = seals(terminal, chain, message.seal_asked.last_sequence)
                        if seal is not None:
                            await call.write(face_pb2.AuthenticateRequest(seal=seal))
                    case "second_factor_asked":
                        asked.append(message.second_factor_asked)
                        answer = next(left, None)
                        if answer is not None:
                            await call.write(face_pb2.AuthenticateRequest(second_factor=answer))
                    case "decision":
                        return Seen(
                            accepted=accepted,
                            guidance=guidance,
                            decision=message.decision,
                            sent=sent,
                            asked=asked,
                        )
        finally:
            await _stopped(sending)
    raise AssertionError("the stream ended without a decision")


Look = Callable[[float], Awaitable[Sequence[face_pb2.Picture]]]
"""What is seen at a moment; nothing when nothing is left to show."""


def _pictures(eye: Viewfinder) -> Look:
    async def look(t: float) -> Sequence[face_pb2.Picture]:
        return await asyncio.to_thread(eye.pictures, t)

    return look


def _shown_again(recorded: Sequence[bytes]) -> Look:
    left = iter(recorded)

    async def look(_t: float) -> Sequence[face_pb2.Picture]:
        return [colour(picture) for picture in islice(left, 1)]

    return look


async def _send(
    call: FaceCall, look: Look, chain: SealChain, sent: list[face_pb2.Frame], enough: asyncio.Event
) -> None:
    began = datetime.now(UTC)
    for sequence in count(1):
        t = sequence / FRAMES_PER_SECOND
        pictures = await look(t)
        if enough.is_set() or not pictures:
            return
        moment = face_pb2.Frame(sequence=sequence, captured_at=at(began + timedelta(seconds=t)), pictures=pictures)
        chain.add(moment)
        sent.append(moment)
        await call.write(face_pb2.AuthenticateRequest(frame=moment))
        await asyncio.sleep(SENT_EVERY)


async def _stopped(sending: "asyncio.Task[None]") -> None:
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
