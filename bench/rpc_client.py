"""The client of the rpc bench, in a process of its own so that it does not slow down the server it measures."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection as Pipe
from time import monotonic
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from shualian.terminal.v1 import device_pb2, settlement_pb2

IN_FLIGHT = 32
_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # grpc-stubs forgot it
TRANSACTION_ID = "0198b5ac-1111-7111-8111-111111111111"


class Kind(StrEnum):
    """What is measured."""

    UNARY = "unary"
    STREAM = "stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One thing to measure."""

    name: str
    kind: Kind
    target: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the client is told to do."""

    key_pem: bytes
    chain_pem: bytes
    root_pem: bytes
    ways: tuple[Way, ...]
    seconds: float
    rounds: int


def drive(load: Load, pipe: Pipe) -> None:
    """Measure every way in turn, round by round; say before each slice what comes, and after it what it was."""
    asyncio.run(_drive(load, pipe))
    pipe.send(None)


async def _drive(load: Load, pipe: Pipe) -> None:
    for way in load.ways:  # warm up: connections, caches, rules
        await _slice(load, way, load.seconds / 4)
    for _ in range(load.rounds):
        for way in load.ways:
            pipe.send(way)
            pipe.send(await _slice(load, way, load.seconds))


async def _slice(load: Load, way: Way, seconds: float) -> tuple[int, float]:
    credentials = grpc.ssl_channel_credentials(load.root_pem, load.key_pem, load.chain_pem)
    async with grpc.aio.secure_channel(way.target, credentials) as channel:
        await channel.channel_ready()
        measure = _calls if way.kind is Kind.UNARY else _heartbeats
        began = monotonic()
        done = await measure(channel, way.method, began + seconds)
        return done, monotonic() - began


async def _calls(channel: grpc.aio.Channel, method: str, until: float) -> int:
    call = channel.unary_unary(
        method,
        request_serializer=settlement_pb2.GetSettlementRequest.SerializeToString,
        response_deserializer=settlement_pb2.GetSettlementResponse.FromString,
    )
    request = settlement_pb2.GetSettlementRequest(transaction_id=TRANSACTION_ID)

    async def one_after_another() -> int:
        done = 0
        while monotonic() < until:
            await call(request)
            done += 1
        return done

    return sum(await asyncio.gather(*(one_after_another() for _ in range(IN_FLIGHT))))


async def _heartbeats(channel: grpc.aio.Channel, method: str, until: float) -> int:
    open_stream: Any = channel.stream_stream(
        method,
        request_serializer=device_pb2.ConnectRequest.SerializeToString,
        response_deserializer=device_pb2.ConnectResponse.FromString,
    )
    call = open_stream()
    await call.write(device_pb2.ConnectRequest(hello=device_pb2.Hello(firmware_version="1", terminal_time=_now())))
    await call.read()
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def write() -> int:
        sequence = 0
        while monotonic() < until:
            await slots.acquire()
            sequence += 1
            await call.write(_heartbeat(sequence))
        await call.done_writing()
        return sequence

    async def read() -> None:
        while await call.read() is not _EOF:
            slots.release()

    sent, _ = await asyncio.gather(write(), read())
    return sent


def _heartbeat(sequence: int) -> device_pb2.ConnectRequest:
    return device_pb2.ConnectRequest(
        heartbeat=device_pb2.Heartbeat(
            sequence=sequence,
            terminal_time=_now(),
            camera_state=device_pb2.CAMERA_STATE_READY,
            temperature_celsius=40.0,
            queue_length=0,
        )
    )


def _now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp
