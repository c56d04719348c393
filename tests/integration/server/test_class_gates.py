"""What a terminal's class lets it call, over mutual TLS: every method of the contract, by terminals of each class."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from device_registry import TerminalClass
from server.gates import METHODS
from shualian.terminal.v1 import credential_pb2, device_pb2, face_pb2, settlement_pb2, types_pb2
from tests.support.conversation import Conversation
from tests.support.payments import by_card, desk, quoted
from tests.support.platform import EnrolledTerminal, RunningPlatform, a_platform, an_enrolled_terminal, refusal
from tests.support.visitors import CARD_NUMBER, LIN, PIN, insured

CALLS = [
    (f"/{service.full_name}/{method.name}", f"{service.name}/{method.name}")
    for file in (credential_pb2, device_pb2, face_pb2, settlement_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
ORDER = list(TerminalClass)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A terminal of each class."""

    running: RunningPlatform
    terminals: dict[TerminalClass, EnrolledTerminal]


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with a_platform() as running:
        await insured(running, LIN)
        yield Fleet(
            running=running,
            terminals={
                one: await an_enrolled_terminal(running, serial_number=f"SL-{one.value}", terminal_class=one)
                for one in TerminalClass
            },
        )


async def reason_of(channel: grpc.aio.Channel, path: str) -> str:
    """Call a method of whatever kind with an empty message; return the reason of the answer."""
    method: Any = channel.stream_stream(path, request_serializer=None, response_deserializer=None)
    call: Conversation[bytes, bytes] = Conversation(method(timeout=30))
    await call.write(b"")
    await call.done_writing()
    return refusal(await call.refused()).reason


async def test_each_method_is_open_from_its_class_on_and_shut_below(fleet: Fleet) -> None:
    shut = set()
    for held, terminal in fleet.terminals.items():
        async with terminal.channel() as channel:
            shut |= {(held, name) for path, name in CALLS if await reason_of(channel, path) == "TERMINAL_CLASS"}

    assert shut == {
        (held, name) for held in TerminalClass for name, needed in METHODS.items() if not held.covers(needed)
    }
    assert {(TerminalClass.SCAN, "FaceService/Authenticate"), (TerminalClass.CARD, "FaceService/Authenticate")} <= shut


async def test_a_card_is_offered_from_class_two_on(fleet: Fleet) -> None:
    async with fleet.terminals[TerminalClass.CARD].channel() as channel:
        assert (await quoted(channel, by_card(CARD_NUMBER, PIN))).quote_id
    async with fleet.terminals[TerminalClass.SCAN].channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await quoted(channel, by_card(CARD_NUMBER, PIN))

    answer = refusal(caught.value)
    assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "TERMINAL_CLASS")
    assert answer.metadata["needed"] == "II"
    assert fleet.running.counted("authorizations_total", way="CARD", outcome="REFUSED") == 1


async def test_the_refusal_of_a_bare_id_number_is_the_same_for_every_class(fleet: Fleet) -> None:
    bill = settlement_pb2.Bill(
        bill_number="B-1", business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT, total_fen=100
    )
    bare = settlement_pb2.Authorization(bare_id_number=settlement_pb2.BareIdNumber(id_number="990000195101010011"))
    reasons = set()
    for terminal in fleet.terminals.values():
        async with terminal.channel() as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await desk(channel).PreSettle(settlement_pb2.PreSettleRequest(bill=bill, authorization=bare))
            reasons.add(refusal(caught.value).reason)

    assert reasons == {"AUTHORIZATION_MISSING"}


async def test_who_keeps_asking_for_what_its_class_does_not_cover_only_hears_when_to_come_back(fleet: Fleet) -> None:
    async with fleet.terminals[TerminalClass.SCAN].channel() as channel:
        path = next(path for path, name in CALLS if name == "FaceService/Authenticate")
        reasons = [await reason_of(channel, path) for _ in range(40)]

    assert reasons[0] == "TERMINAL_CLASS"
    assert reasons[-1] == "RATE_LIMITED"
