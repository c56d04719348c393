"""One face session from the terminal's side: start, frames, guidance on the way, a seal, and the decision.

Two tasks share the stream. One listens and answers; one takes pictures at the pace that was asked for, until a seal is:
from then on no frame counts. They write in turn, because gRPC takes one message at a time, and the camera's task is
asked to stop rather than cancelled, because a cancelled write takes the whole stream with it.
"""

import asyncio
import time
from contextlib import suppress
from typing import Final

from grpc import aio

from mock_terminal import words
from mock_terminal.client import final_from, refused_from
from mock_terminal.errors import HungUpError, InputError, UnreachableError
from mock_terminal.report import Reporter
from mock_terminal.sealing import SealChain
from mock_terminal.sitting import FRAMES_PER_SECOND, Sitting, opening
from shualian.terminal.v1 import face_pb2, face_pb2_grpc

SESSION_SECONDS_MAX: Final = 90.0
FRAMES_MAX: Final = 10_000
"""A platform that lets a session have more frames than this gets no more: the chain over them is kept in memory."""

Stream = aio.StreamStreamCall[face_pb2.AuthenticateRequest, face_pb2.AuthenticateResponse]


async def authenticate(channel: aio.Channel, sitting: Sitting, report: Reporter) -> face_pb2.Decision:
    """Hold one face session and return how it ended.

    Raises:
        PlatformRefusedError: the platform would not hold it.
        UnreachableError: it could not be reached, or fell silent.
        SealError: it asked for a seal over frames that it never got.
        InputError: it asked for a second factor, and nobody there has one.
        HungUpError: the sitting does not stay for the challenge.
    """
    stub = face_pb2_grpc.FaceServiceStub(channel)
    stream = stub.Authenticate(None)
    session = _Session(stream, sitting, report)
    try:
        async with asyncio.timeout(SESSION_SECONDS_MAX):
            await session.say(face_pb2.AuthenticateRequest(start=opening(sitting)))
            async for answer in stream:
                if answer.WhichOneof("step") == "decision":
                    report.event("decision", **words.decision(answer.decision))
                    return answer.decision
                await session.hear(answer)
    except aio.AioRpcError as error:
        raise final_from(refused_from(error)) from error
    except TimeoutError:
        raise UnreachableError("the platform fell silent in the middle of a face session") from None
    finally:
        await session.close()
    raise UnreachableError("the platform ended the face session without a decision")


class _Session:
    """One session under way."""

    def __init__(self, stream: Stream, sitting: Sitting, report: Reporter) -> None:
        self._stream: Final = stream
        self._sitting: Final = sitting
        self._report: Final = report
        self._writing: Final = asyncio.Lock()
        self._enough: Final = asyncio.Event()
        self._chain: SealChain | None = None
        self._filming: asyncio.Task[None] | None = None

    async def say(self, message: face_pb2.AuthenticateRequest) -> None:
        """Send one message, in turn with whoever else is sending."""
        async with self._writing:
            await self._stream.write(message)

    async def hear(self, answer: face_pb2.AuthenticateResponse) -> None:
        """Do what an answer that is not yet the decision asks for."""
        match answer.WhichOneof("step"):
            case "accepted":
                self._report.event("accepted", **words.accepted(answer.accepted))
                if not self._sitting.stays_for(answer.accepted.challenge):
                    raise HungUpError("the terminal does not want to do what is asked")
                self._begin(answer.accepted)
            case "guidance":
                self._sitting.eye.told(answer.guidance.hint)
                self._report.event("guidance", **words.guidance(answer.guidance))
            case "seal_asked":
                await self._seal(answer.seal_asked.last_sequence)
            case "second_factor_asked":
                await self._answer(answer.second_factor_asked)

    async def close(self) -> None:
        """End the session, whatever its state."""
        if self._filming is not None:
            self._filming.cancel()
            with suppress(asyncio.CancelledError, aio.AioRpcError, asyncio.InvalidStateError):
                await self._filming
        self._stream.cancel()

    def _begin(self, accepted: face_pb2.Accepted) -> None:
        profile = accepted.capture_profile
        frames_max = min(profile.frames_max, FRAMES_MAX)
        self._chain = SealChain(session_id=accepted.session_id, nonce=accepted.challenge.nonce, frames_max=frames_max)
        pace = 1 / max(1, min(profile.frames_per_second, FRAMES_PER_SECOND))
        self._filming = asyncio.create_task(self._film(self._chain, pace=pace, frames_max=frames_max))

    async def _film(self, chain: SealChain, *, pace: float, frames_max: int) -> None:
        """Send frames until there are enough, at least a pace apart.

        The person's time passes with the frames: before a machine that cannot keep up they move slower and never jump.
        """
        for sequence in range(1, frames_max + 1):
            began = time.monotonic()
            pictures = await asyncio.to_thread(self._sitting.eye.pictures, (sequence - 1) * pace)
            if self._enough.is_set():
                return
            frame = face_pb2.Frame(sequence=sequence, pictures=pictures)
            frame.captured_at.FromDatetime(self._sitting.clock())
            chain.add(frame)
            await self.say(face_pb2.AuthenticateRequest(frame=self._sitting.after_sealing(frame)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), max(0.0, began + pace - time.monotonic()))

    async def _seal(self, last_sequence: int) -> None:
        self._enough.set()
        if self._chain is None:
            raise UnreachableError("the platform asks for a seal before it accepted the session")
        seal = self._chain.seal(last_sequence, sign=self._sitting.sign, verdict=self._sitting.verdict)
        self._report.event("sealed", last_sequence=last_sequence)
        await self.say(face_pb2.AuthenticateRequest(seal=seal))

    async def _answer(self, asked: face_pb2.SecondFactorAsked) -> None:
        self._report.event("second_factor_asked", **words.second_factor(asked))
        if self._sitting.second_factors is None:
            raise InputError("the platform asks who it is: give --last-four or --phone-last-four")
        answer = await asyncio.to_thread(self._sitting.second_factors, asked)
        await self.say(face_pb2.AuthenticateRequest(second_factor=answer))
