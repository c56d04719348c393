"""The terminals of the face benches: real calls over mutual TLS, the mock terminal's patient, a recorded camera.

A terminal here sends frames by the clock, whatever the platform makes of them, does what the guidance says, and seals
what it sent with the key of its certificate. It renders nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

import grpc
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection

from bench.deployment import BenchError, Deployment
from bench.face_reels import FRAME, Reel
from bench.terminals import ACTOR, Identity
from face_pipeline import Template
from mock_terminal.capture import colour
from mock_terminal.patient import Patient
from mock_terminal.sealing import SealChain
from server.credentials.identity import checksum
from server.wiring import Domain
from shualian.terminal.v1 import face_pb2, face_pb2_grpc, types_pb2

NAME: Final = "林夏"
_EOF: Final[Any] = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs forgot it
_OPTIONS: Final = [("grpc.use_local_subchannel_pool", 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a terminal got to know of a session, and what it had sent."""

    session_id: str
    decision: face_pb2.Decision
    actions: Sequence[face_pb2.ChallengeAction.ValueType]
    sent: Sequence[face_pb2.Frame]
    """Up to the last frame that was needed, when a seal was asked for."""
    seconds: float
    """From the first frame to the decision."""

    @property
    def outcome(self) -> str:
        """How it ended."""
        return face_pb2.DecisionOutcome.Name(self.decision.outcome).removeprefix("DECISION_OUTCOME_")

    @property
    def decision_ms(self) -> float:
        """From the last frame that was needed to the decision, by the platform's clock."""
        return 1000 * self.decision.decision_time.ToTimedelta().total_seconds()


def made_up_people(deployment: Deployment, template: Template, number: int) -> list[str]:
    """Make people with one face, and return their ID numbers, which are nobody's."""
    id_numbers = [_id_number(index) for index in range(number)]

    def add(connection: Connection, domain: Domain = deployment.domain) -> None:
        for id_number in id_numbers:
            domain.people.add(
                connection,
                name=NAME,
                id_number=id_number,
                region="330100",
                card_number=None,
                pin=None,
                template=template,
                actor=ACTOR,
            )

    deployment.write(add)
    return id_numbers


def _id_number(index: int) -> str:
    digits = f"99000019700101{index:03d}"
    return digits + checksum(digits)


@dataclass(slots=True, eq=False)
class Shutter:
    """Takes frames by the clock, and keeps the chain over them."""

    reel: Reel
    patient: Patient
    chain: SealChain
    began: float = field(default_factory=time.monotonic)
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sent: list[face_pb2.Frame] = field(default_factory=list)

    def taken(self, picture: bytes | None = None) -> face_pb2.AuthenticateRequest:
        """Return the next frame, as the reel or somebody else has it."""
        seconds = time.monotonic() - self.began
        picture = picture or self.reel.picture(self.patient.pose(seconds))
        frame = face_pb2.Frame(
            sequence=len(self.sent) + 1,
            captured_at=stamp(self.began_at + timedelta(seconds=seconds)),
            pictures=[colour(picture)],
        )
        self.chain.add(frame)
        self.sent.append(frame)
        return face_pb2.AuthenticateRequest(frame=frame)


class FaceTerminal:
    """One terminal on one connection."""

    def __init__(self, channel: grpc.aio.Channel, key_pem: bytes, *, frames_per_second: float) -> None:
        """Stand before an open connection; a camera takes so many frames a second."""
        key = load_pem_private_key(key_pem, password=None)
        if not isinstance(key, EllipticCurvePrivateKey):
            raise BenchError("the terminal's key is not an elliptic one")
        self._key: Final = key
        self._stub: Final[Any] = face_pb2_grpc.FaceServiceStub(channel)
        self._interval: Final = 1 / frames_per_second

    async def begun(self, id_number: str, reel: Reel, *, moves: bool = True) -> "Sitting":
        """Begin a session for this claim, with this person before the camera."""
        call = self._stub.Authenticate()
        await call.write(opening(id_number, frames_per_second=round(1 / self._interval), cannot_move=not moves))
        answer = await call.read()
        if answer is _EOF:
            raise BenchError(f"a face session was refused: {await call.details()}")
        accepted = answer.accepted
        chain = SealChain(
            session_id=accepted.session_id,
            nonce=accepted.challenge.nonce,
            frames_max=accepted.capture_profile.frames_max,
        )
        shutter = Shutter(reel, Patient(obeys=moves, comes_back=True), chain)
        return Sitting(call=call, accepted=accepted, shutter=shutter, key=self._key, interval=self._interval)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sitting:
    """One session that is under way."""

    call: Any
    accepted: face_pb2.Accepted
    shutter: Shutter
    key: EllipticCurvePrivateKey
    interval: float
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """gRPC takes one message of a call at a time."""

    async def decided(self) -> Told:
        """Send frames by the clock, do what is asked, and return the decision."""
        sending = asyncio.create_task(self._send())
        try:
            return await self.answered()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def answered(self) -> Told:
        """Read until the decision, doing what is asked."""
        last = None
        while (message := await self.call.read()) is not _EOF:
            match message.WhichOneof("step"):
                case "guidance":
                    self.shutter.patient.told(message.guidance.hint)
                case "seal_asked":
                    last = message.seal_asked.last_sequence
                    seal = self.shutter.chain.seal(last, sign=lambda content: self.key.sign(content, ECDSA(SHA256())))
                    await self._write(face_pb2.AuthenticateRequest(seal=seal))
                case "decision":
                    return Told(
                        session_id=self.accepted.session_id,
                        decision=message.decision,
                        actions=self.accepted.challenge.actions,
                        sent=self.shutter.sent[:last],
                        seconds=time.monotonic() - self.shutter.began,
                    )
        raise BenchError(f"a face session ended without a decision: {await self.call.details()}")

    async def show(self, picture: bytes | None = None) -> None:
        """Send one frame now."""
        await self._write(self.shutter.taken(picture))

    async def _write(self, request: face_pb2.AuthenticateRequest) -> None:
        async with self.writing:
            await self.call.write(request)

    async def _send(self) -> None:
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # decided; whoever reads knows
            for number in count(1):
                await self.show()
                due = self.shutter.began + number * self.interval
                await asyncio.sleep(max(0.0, due - time.monotonic()))


@asynccontextmanager
async def a_face_terminal(
    deployment: Deployment, identity: Identity, *, frames_per_second: float
) -> AsyncIterator[FaceTerminal]:
    """Give a terminal that is connected."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=deployment.root_pem,
        private_key=identity.key_pem,
        certificate_chain=identity.chain_pem,
    )
    async with grpc.aio.secure_channel(deployment.ready.terminal, credentials, options=_OPTIONS) as channel:
        yield FaceTerminal(channel, identity.key_pem, frames_per_second=frames_per_second)


def opening(id_number: str, *, frames_per_second: int, cannot_move: bool = False) -> face_pb2.AuthenticateRequest:
    """Return the start of a session before a colour camera."""
    return face_pb2.AuthenticateRequest(
        start=face_pb2.Start(
            purpose=face_pb2.PURPOSE_VERIFY,
            business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT,
            claimed_identity=types_pb2.ClaimedIdentity(id_number=id_number, name=NAME),
            consent=face_pb2.Consent(granted=True, text_version="2026-01", given_at=stamp(datetime.now(UTC))),
            camera=face_pb2.CameraAbilities(width_px=FRAME[0], height_px=FRAME[1], frames_per_second=frames_per_second),
            cannot_move=cannot_move,
        )
    )


def stamp(moment: datetime) -> Timestamp:
    """Return a moment as a message."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def in_turn(reels: Iterator[Reel], number: int) -> list[Reel]:
    """Return so many visits, cut and encoded now."""
    return [next(reels) for _ in range(number)]
