"""What does a terminal's side of a session take, and when? Frames, then what was asked for, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from server.faces.capture import CaptureTimes
from server.faces.errors import CaptureClockError
from server.faces.inbox import FrameInbox
from server.faces.seal import SealChain
from server.faces.stream import FaceStream
from server.refusals import FramesExceededError, StreamOrderError
from shualian.terminal.v1 import face_pb2

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SOON = timedelta(seconds=10)
SEAL = face_pb2.AuthenticateRequest(seal=face_pb2.Seal(content=b"content", signature=b"signature"))
FACTOR = face_pb2.AuthenticateRequest(
    second_factor=face_pb2.SecondFactor(kind=face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR, value="4321")
)
Sent = face_pb2.AuthenticateRequest | Exception | None


class Terminal:
    """Sends what a test tells it to; None ends its side, an error breaks it."""

    def __init__(self, *, frames_max: int = 100) -> None:
        self.inbox = FrameInbox(waiting_max=2)
        self._sent: asyncio.Queue[Sent] = asyncio.Queue()
        self.stream = FaceStream(
            requests=self._requests(),
            inbox=self.inbox,
            chain=SealChain(session_id="s", nonce=b"n"),
            times=CaptureTimes(frames_per_second=100, skew_max=timedelta(seconds=30)),
            now=lambda: NOW,
            frames_max=frames_max,
        )

    async def sends(self, *messages: Sent) -> None:
        """Send, and let it be read."""
        for message in messages:
            self._sent.put_nowait(message)
        for _ in range(len(messages) + 3):
            await asyncio.sleep(0)

    @property
    def everything_was_read(self) -> bool:
        """Whether nothing waits in the stream: gRPC never frees what a cancelled read leaves there."""
        return self._sent.empty()

    async def next_frame(self) -> int | None:
        """Return the sequence of the next frame for the pipeline."""
        received = await self.inbox.take(deadline=monotonic() + 60, stalled_after=60)
        return None if received is None else received.message.sequence

    async def _requests(self) -> AsyncIterator[face_pb2.AuthenticateRequest]:
        while (message := await self._sent.get()) is not None:
            if isinstance(message, Exception):
                raise message
            yield message


@asynccontextmanager
async def a_terminal(*, frames_max: int = 100) -> AsyncIterator[Terminal]:
    terminal = Terminal(frames_max=frames_max)
    terminal.stream.start()
    try:
        yield terminal
    finally:
        terminal.stream.stop()
        await terminal.sends(None)


def frame(sequence: int, at: datetime = NOW) -> face_pb2.AuthenticateRequest:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    picture = face_pb2.Picture(modality=face_pb2.MODALITY_RGB, encoding=face_pb2.ENCODING_JPEG, data=b"x")
    return face_pb2.AuthenticateRequest(frame=face_pb2.Frame(sequence=sequence, captured_at=stamp, pictures=[picture]))


async def test_frames_that_nobody_looks_at_are_sealed_as_well() -> None:
    async with a_terminal() as terminal:
        await terminal.sends(*map(frame, range(1, 8)))

        sealable = terminal.stream.end_frames()

        assert (sealable.last_sequence, sealable.frames) == (7, 7)
        assert terminal.inbox.dropped == 5


async def test_frames_after_the_seal_was_asked_for_are_dropped_and_not_sealed() -> None:
    async with a_terminal() as terminal:
        await terminal.sends(frame(1))
        asked = terminal.stream.end_frames()
        terminal.stream.expect_seal()
        await terminal.sends(frame(2), frame(3), SEAL)

        assert await terminal.stream.seal(SOON) == SEAL.seal
        assert terminal.stream.end_frames() == asked
        assert await terminal.next_frame() == 1


async def test_an_answer_that_comes_before_anybody_waits_for_it_is_kept() -> None:
    async with a_terminal() as terminal:
        terminal.stream.expect_second_factor()
        await terminal.sends(FACTOR)

        assert await terminal.stream.second_factor(SOON) == FACTOR.second_factor


@pytest.mark.parametrize("message", [SEAL, FACTOR, face_pb2.AuthenticateRequest(start=face_pb2.Start())])
async def test_what_nobody_asked_for_ends_the_session(message: face_pb2.AuthenticateRequest) -> None:
    async with a_terminal() as terminal:
        await terminal.sends(message)

        with pytest.raises(StreamOrderError, match="expected frame"):
            await terminal.next_frame()


async def test_one_answer_in_the_place_of_another_ends_the_session() -> None:
    async with a_terminal() as terminal:
        terminal.stream.expect_seal()
        await terminal.sends(FACTOR)

        with pytest.raises(StreamOrderError, match="expected seal"):
            await terminal.stream.seal(SOON)


async def test_a_second_answer_to_one_question_is_not_taken_for_the_next() -> None:
    async with a_terminal() as terminal:
        terminal.stream.expect_second_factor()
        await terminal.sends(FACTOR, FACTOR)
        await terminal.stream.second_factor(SOON)
        terminal.stream.expect_second_factor()

        with pytest.raises(StreamOrderError):
            await terminal.stream.second_factor(SOON)


async def test_no_answer_in_time_is_none() -> None:
    async with a_terminal() as terminal:
        terminal.stream.expect_seal()

        assert await terminal.stream.seal(timedelta(milliseconds=20)) is None


@pytest.mark.parametrize("before", [True, False], ids=["before it was asked", "while it is waited for"])
async def test_a_terminal_that_has_hung_up_answers_nothing(*, before: bool) -> None:
    async with a_terminal() as terminal:
        if before:
            await terminal.sends(None)
        terminal.stream.expect_seal()
        answering = asyncio.create_task(terminal.stream.seal(SOON))
        await asyncio.sleep(0)
        if not before:
            await terminal.sends(None)

        assert await answering is None


async def test_a_stream_that_breaks_while_an_answer_is_awaited_is_told() -> None:
    async with a_terminal() as terminal:
        terminal.stream.expect_seal()
        await terminal.sends(ConnectionResetError())

        with pytest.raises(ConnectionResetError):
            await terminal.stream.seal(SOON)


async def test_i11_more_frames_than_a_session_takes_end_it_also_while_a_seal_is_awaited() -> None:
    async with a_terminal(frames_max=3) as terminal:
        await terminal.sends(frame(1))
        terminal.stream.end_frames()
        terminal.stream.expect_seal()
        await terminal.sends(*map(frame, range(2, 6)))

        with pytest.raises(FramesExceededError):
            await terminal.stream.seal(SOON)


async def test_a_frame_of_another_time_ends_the_session() -> None:
    async with a_terminal() as terminal:
        await terminal.sends(frame(1, NOW - timedelta(hours=1)))

        with pytest.raises(CaptureClockError):
            await terminal.next_frame()


async def test_what_comes_after_the_decision_is_read_and_dropped() -> None:
    async with a_terminal() as terminal:
        await terminal.sends(frame(1))
        terminal.stream.stop()
        await terminal.sends(frame(2), SEAL, frame(3))  # a seal that nobody asked for would have been an error

        assert terminal.everything_was_read
        assert await terminal.next_frame() == 1
        await terminal.sends(None)
        assert await terminal.next_frame() is None
