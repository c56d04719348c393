"""Bidirectional calls with the types that grpc's stubs lack: write, read, and how it ended."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

import grpc
import pytest

from shualian.terminal.v1 import device_pb2, device_pb2_grpc, face_pb2, face_pb2_grpc

Q = TypeVar("Q")
A = TypeVar("A")


class Conversation(Generic[Q, A]):
    """One open bidirectional call.

    A server may end the stream while we still write. Then grpc.aio fails the write, and puts an INTERNAL of its own
    over whatever the server said, before or after. Here a write into a stream that is over says nothing, and whoever
    reads next hears what the server said.
    """

    def __init__(self, call: Any) -> None:  # noqa: ANN401  # grpc.aio's own, untyped
        self._call = call
        self._said: grpc.aio.AioRpcError | None = None
        self._has_ended = asyncio.Event()
        call.add_done_callback(self._note)

    async def write(self, message: Q) -> None:
        """Send one message."""
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await self._call.write(message)

    async def done_writing(self) -> None:
        """Say that no more will come."""
        with suppress(grpc.aio.InternalError):
            await self._call.done_writing()

    async def read(self) -> A:
        """Return the next message; the end of the stream is a failed test."""
        message = await self._next()
        assert message is not _EOF
        return cast("A", message)

    async def messages(self) -> AsyncIterator[A]:
        """Yield what comes until the stream ends."""
        while (message := await self._next()) is not _EOF:
            yield cast("A", message)

    async def ended_well(self) -> bool:
        """Return whether nothing more came and the status was OK."""
        return await self._next() is _EOF and await self._call.code() is grpc.StatusCode.OK

    async def refused(self) -> grpc.aio.AioRpcError:
        """Read until the stream is over; return how, which must not be well."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self._read_to_the_end()
        return caught.value

    def cancel(self) -> None:
        """Hang up."""
        self._call.cancel()

    async def _read_to_the_end(self) -> None:
        async for _ in self.messages():
            pass

    async def _next(self) -> Any:  # noqa: ANN401  # a message, or the end
        try:
            return await self._call.read()
        except grpc.aio.AioRpcError as error:
            if error.details() != _OF_THE_CLIENT:
                raise
        async with asyncio.timeout(_SECONDS_MAX):
            await self._has_ended.wait()
        if self._said is None:
            return _EOF
        raise self._said

    def _note(self, call: Any) -> None:  # noqa: ANN401  # as above
        """Keep the status; asked in the very moment it comes, as in the next it may be another."""
        code, details = _at_once(call.code()), _at_once(call.details())
        if details == _OF_THE_CLIENT:
            return
        if code is not grpc.StatusCode.OK:
            trailing = _at_once(call.trailing_metadata())
            self._said = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details, None)
        self._has_ended.set()


def _at_once(answer: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401  # grpc.aio's own, untyped
    """Return what a coroutine returns that has nothing to wait for."""
    try:
        answer.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the status is there, and yet it was waited for")


_OF_THE_CLIENT = "Internal error from Core"
_SECONDS_MAX = 30.0
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs forgot it

ControlCall = Conversation[device_pb2.ConnectRequest, device_pb2.ConnectResponse]
FaceCall = Conversation[face_pb2.AuthenticateRequest, face_pb2.AuthenticateResponse]


def control_call(channel: grpc.aio.Channel) -> ControlCall:
    """Open a control stream."""
    stub: Any = device_pb2_grpc.DeviceServiceStub(channel)
    return Conversation(stub.Connect())


def face_call(channel: grpc.aio.Channel) -> FaceCall:
    """Open a face session."""
    stub: Any = face_pb2_grpc.FaceServiceStub(channel)
    return Conversation(stub.Authenticate())
