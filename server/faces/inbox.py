"""How frames wait for a worker: few, in order, the oldest given up first; and how a session notices that none come."""

import asyncio
from collections import deque
from dataclasses import dataclass
from time import monotonic

from server.refusals import StreamStalledError
from shualian.terminal.v1 import face_pb2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReceivedFrame:
    """A frame and when it came, on the monotonic clock."""

    message: face_pb2.Frame
    received_at: float


class FrameInbox:
    """The frames of one session between the stream and the worker.

    A patient moves on while a worker is busy: the newest frames are the ones worth looking at, so a full inbox gives
    up its oldest. What was taken out is never overtaken.
    """

    def __init__(self, *, waiting_max: int) -> None:
        self._waiting: deque[ReceivedFrame] = deque(maxlen=waiting_max)
        self._changed = asyncio.Event()
        self._error: Exception | None = None
        self._is_closed = False
        self.dropped = 0

    def put(self, message: face_pb2.Frame) -> None:
        """Add the newest frame."""
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(ReceivedFrame(message=message, received_at=monotonic()))
        self._changed.set()

    def close(self, error: Exception | None = None) -> None:
        """Say that no more will come; with an error, what waits is not looked at any more."""
        self._error = error
        self._is_closed = True
        self._changed.set()

    async def take(self, *, deadline: float, stalled_after: float) -> ReceivedFrame | None:
        """Return the next frame; None when the deadline has passed or no more will come.

        Raises:
            StreamStalledError: none came for too long.
            Exception: the one given to `close`.
        """
        while True:
            if self._error is not None:
                raise self._error
            left = deadline - monotonic()
            if left <= 0:
                return None
            if self._waiting:
                return self._waiting.popleft()
            if self._is_closed:
                return None
            self._changed.clear()
            try:
                async with asyncio.timeout(min(left, stalled_after)):
                    await self._changed.wait()
            except TimeoutError:
                if left > stalled_after:
                    raise StreamStalledError from None
