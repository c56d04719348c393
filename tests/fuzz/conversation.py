"""Does a face session ever do anything with a terminal's messages but take them or refuse them?

    python -m tests.fuzz.conversation [CORPUS] [-max_total_time=600]

The input is a row of messages, each behind its length in two bytes, as they would come off the wire: they are parsed,
checked against the contract, read by the stream, chained, decoded, looked at by a real session and held against the
seal. What is raised must be a refusal, or what the pipeline says of a bad frame; anything else is a crash.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import cast

import atheris  # type: ignore[import-untyped]  # it has no types

with atheris.instrument_imports(include=["server", "face_pipeline"]):
    from cryptography.hazmat.primitives.asymmetric import ec
    from google.protobuf.message import DecodeError

    from face_pipeline import FaceError, FacePipeline, FacePolicy, Verdict, load_manifest
    from server import convert
    from server.config import load_config
    from server.faces.capture import CaptureTimes
    from server.faces.inbox import FrameInbox
    from server.faces.loading import face_rules
    from server.faces.seal import SealChain, checked_seal
    from server.faces.stream import FaceStream, Requests
    from server.interceptors.validation import CheckedRequests, ValidationLayer
    from server.refusals import RefusalError
    from server.services.opening import opening
    from shualian.terminal.v1 import face_pb2

CONFIG = load_config(None, os.environ)
PIPELINE = FacePipeline.load(manifest=load_manifest(), models_dir=CONFIG.models_dir, policy=FacePolicy())
RULES = face_rules(CONFIG, PIPELINE.policy)
VALIDATION = ValidationLayer()
LOOP = asyncio.new_event_loop()
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
MESSAGES_MAX = 32


def pieces(content: bytes) -> Iterator[bytes]:
    """Cut the input into messages."""
    for _ in range(MESSAGES_MAX):
        length, content = int.from_bytes(content[:2], "big"), content[2:]
        if not content:
            return
        yield content[:length]
        content = content[length:]


async def wire(content: bytes) -> AsyncIterator[face_pb2.AuthenticateRequest]:
    """Deliver the messages; one that does not parse ends the stream, as gRPC would."""
    for piece in pieces(content):
        try:
            yield face_pb2.AuthenticateRequest.FromString(piece)
        except DecodeError:
            return
        await asyncio.sleep(0)


def seals(content: bytes) -> Iterator[face_pb2.Seal]:
    """Return the seals among the messages, as if each came when it was asked for."""
    for piece in pieces(content):
        with suppress(DecodeError):
            request = face_pb2.AuthenticateRequest.FromString(piece)
            if request.HasField("seal"):
                yield request.seal


async def converse(content: bytes) -> None:
    """Hold a session over these messages, up to the seal."""
    requests = cast("Requests", CheckedRequests(wire(content), VALIDATION))
    start = (await opening(requests, oneof="step", expected="start")).start
    rule = RULES.for_start(
        business_type=int(start.business_type),
        amount_fen=start.amount_fen,
        beside=convert.modalities(start.camera.beside_colour),
        cannot_move=start.cannot_move,
        purpose=start.purpose,
    )
    session = PIPELINE.open_session(
        challenge=PIPELINE.challenge(rule.plan), template=None, beside=convert.modalities(start.camera.beside_colour)
    )
    inbox = FrameInbox(waiting_max=4)
    stream = FaceStream(
        requests=requests,
        inbox=inbox,
        chain=SealChain(session_id="session", nonce=bytes(32)),
        times=CaptureTimes(frames_per_second=start.camera.frames_per_second, skew_max=timedelta(days=40_000)),
        now=lambda: datetime.now(UTC),
        frames_max=MESSAGES_MAX,
    )
    stream.start()
    try:
        while received := await inbox.take(deadline=float("inf"), stalled_after=1):
            try:
                if isinstance(session.feed(convert.frame(received.message)), Verdict):
                    break
            except FaceError:
                continue
    finally:
        stream.stop()
        for seal in seals(content):
            checked_seal(seal, stream.end_frames(), KEY)


def talk(content: bytes) -> None:
    """Hold one session to its end."""
    try:
        LOOP.run_until_complete(converse(content))
    except (RefusalError, FaceError):
        return


def main() -> None:
    """Fuzz until told to stop."""
    atheris.Setup(sys.argv, talk)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
