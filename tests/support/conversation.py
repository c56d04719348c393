"""Bidirectional calls with the types that grpc's stubs lack: write, read, and how it ended."""

from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar, cast

import grpc
import pytest

from shualian.terminal.v1 import device_pb2, device_pb2_grpc, face_pb2, face_pb2_grpc

Q = TypeVar("Q")
A = TypeVar("A")


class Conversation(Generic[Q, A]):
    """One open bidirectional call."""

    def __init__(self, call: Any) -> None:  # noqa: ANN401  # grpc.aio's own, untyped
        self._call = call

    async def write(self, message: Q) -> None:
        """Send one message."""
        await self._call.write(message)

    async def done_writing(self) -> None:
        """Say that no more will come."""
        await self._call.done_writing()

    async def read(self) -> A:
        """Return the next message; the end of the stream is a failed test."""
        message = await self._call.read()
        assert message is not _EOF
        return cast("A", message)

    async def messages(self) -> AsyncIterator[A]:
        """Yield what comes until the stream ends."""
        while (message := await self._call.read()) is not _EOF:
            yield cast("A", message)

    async def ended_well(self) -> bool:
        """Return whether nothing more came and the status was OK."""
        return await self._call.read() is _EOF and await self._call.code() is grpc.StatusCode.OK

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
