"""Who reads what a terminal sends in a face session? One task, from accepted to the decision.

So a slow pipeline never stops the reading, and a stream that stalls, breaks the contract or is cut is noticed at once.
Frames go to the inbox, and all of them into the chain, until the seal is asked for; what comes after that was on its
way, and is dropped. A seal or second factor is taken only when it was asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from server.faces.capture import CaptureTimes
from server.faces.inbox import FrameInbox
from server.faces.seal import Sealable, SealChain
from server.refusals import FramesExceededError, StreamOrderError
from shualian.terminal.v1 import face_pb2

Requests = AsyncIterator[face_pb2.AuthenticateRequest]
FRAMES_RETRY: Final = timedelta(seconds=1)
_ending: Final[set["asyncio.Task[None]"]] = set()
"""Readings of calls that are about to end: nobody else holds on to them."""
_SEAL: Final = "seal"
_SECOND_FACTOR: Final = "second_factor"


@dataclass(slots=True, eq=False)
class _Question:
    """What was asked, and the place for the answer: None when the terminal hung up instead."""

    step: str
    answer: "asyncio.Future[face_pb2.AuthenticateRequest | None]"


class FaceStream:
    """The terminal's side of one session."""

    def __init__(
        self,
        *,
        requests: Requests,
        inbox: FrameInbox,
        chain: SealChain,
        times: CaptureTimes,
        now: Callable[[], datetime],
        frames_max: int,
    ) -> None:
        self._requests = requests
        self._inbox = inbox
        self._chain = chain
        self._times = times
        self._now = now
        self._frames_max = frames_max
        self._frames = 0
        self._frames_are_over = False
        self._question: _Question | None = None
        self._ended = False
        self._error: Exception | None = None
        self._is_stopped = False
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._reading = asyncio.create_task(self._read())

    def stop(self) -> None:
        """Drop what still comes; the reading ends by itself, with the call.

        It is not cancelled: gRPC never frees the message of a read that was (grpc/grpc#43360), some frames a session.
        """
        self._is_stopped = True
        if self._reading is not None:
            _ending.add(self._reading)
            self._reading.add_done_callback(_ending.discard)

    def end_frames(self) -> Sealable:
        """Take no more frames; return what a seal over those that came must say."""
        self._frames_are_over = True
        return self._chain.sealable

    def expect_seal(self) -> None:
        """Let a seal in, from now on; called before it is asked for, so that none comes too early."""
        self._expect(_SEAL)

    async def seal(self, within: timedelta) -> face_pb2.Seal | None:
        """Return the seal that is expected; None when it does not come in time.

        Raises:
            Exception: what was wrong with the stream.
        """
        answer = await self._answer(within)
        return None if answer is None else answer.seal

    def expect_second_factor(self) -> None:
        """Let a second factor in, from now on."""
        self._expect(_SECOND_FACTOR)

    async def second_factor(self, within: timedelta) -> face_pb2.SecondFactor | None:
        """Return the second factor that is expected; None when it does not come in time.

        Raises:
            Exception: what was wrong with the stream.
        """
        answer = await self._answer(within)
        return None if answer is None else answer.second_factor

    def _expect(self, step: str) -> None:
        self._question = _Question(step, asyncio.get_running_loop().create_future())
        if self._ended:
            self._end_question()

    async def _answer(self, within: timedelta) -> face_pb2.AuthenticateRequest | None:
        question = self._question
        if question is None:
            return None
        try:
            async with asyncio.timeout(within.total_seconds()):
                return await question.answer
        except TimeoutError:
            return None
        finally:
            self._question = None

    async def _read(self) -> None:
        """Read until the stream ends; what goes wrong is told to whoever waits, for a frame or for an answer."""
        try:
            async for request in self._requests:
                if not self._is_stopped:
                    self._take(request)
        except Exception as error:  # noqa: BLE001  # raised again by the task that waits
            self._end(error)
        else:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        self._ended, self._error = True, error
        self._inbox.close(error)
        self._end_question()

    def _end_question(self) -> None:
        """Tell whoever waits for an answer that there will be none."""
        if self._question is None or self._question.answer.done():
            return
        if self._error is None:
            self._question.answer.set_result(None)
        else:
            self._question.answer.set_exception(self._error)

    def _take(self, request: face_pb2.AuthenticateRequest) -> None:
        step = request.WhichOneof("step")
        question = self._question
        if step == "frame":
            self._take_frame(request.frame)
        elif question is not None and question.step == step and not question.answer.done():
            question.answer.set_result(request)
        else:
            raise StreamOrderError(expected="frame" if question is None else question.step)

    def _take_frame(self, frame: face_pb2.Frame) -> None:
        self._frames += 1
        if self._frames > self._frames_max:
            raise FramesExceededError(retry_after=FRAMES_RETRY)
        if self._frames_are_over:
            return
        self._times.take(frame, self._now())
        self._chain.add(frame)
        self._inbox.put(frame)
