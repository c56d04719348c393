"""An operator locks a terminal out from the command line, another process: it holds without a word from the terminal.

How soon (I2: within a second) is for `shualian bench revocation` to say: a test's figure would be the machine's.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc
from tests.support.conversation import FaceCall, face_call
from tests.support.deployment import SECONDS_MAX, Deployment, a_terminal, an_enrolled_box, eventually
from tests.support.platform import Refusal, refusal
from tests.support.visitors import LIN, frame, frames_at_rest, start

UNKNOWN_ID = "01900000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(("verb", "reason"), [("revoke", "TERMINAL_REVOKED"), ("suspend", "TERMINAL_SUSPENDED")])
async def test_i02_a_terminal_locked_out_by_an_operator_loses_its_control_stream_though_it_says_nothing(
    shared: Deployment, verb: str, reason: str
) -> None:
    box = await an_enrolled_box(shared)
    running = box.start("run")
    await asyncio.to_thread(running.wait_for, "connected", within=SECONDS_MAX)

    await locked_out(shared, verb, box.serial_number)
    _, ended = await asyncio.to_thread(running.wait_for, "stream_ended", within=SECONDS_MAX)

    assert (ended["code"], ended["reason"]) == ("PERMISSION_DENIED", reason)


async def test_a_revoked_terminals_program_ends_with_its_own_exit_code_and_a_suspended_one_comes_back(
    shared: Deployment,
) -> None:
    revoked, suspended = await an_enrolled_box(shared), await an_enrolled_box(shared)
    running = [box.start("run") for box in (revoked, suspended)]
    for program in running:
        await asyncio.to_thread(program.wait_for, "connected", within=SECONDS_MAX)
    await locked_out(shared, "revoke", revoked.serial_number)
    await locked_out(shared, "suspend", suspended.serial_number)
    await asyncio.to_thread(running[1].wait_for, "stream_ended", within=SECONDS_MAX)
    await asyncio.to_thread(shared.shualian, "terminal", "resume", suspended.serial_number, "--reason", "found again")

    assert await asyncio.to_thread(running[0].wait, within=SECONDS_MAX) == 6  # Exit.REVOKED
    await asyncio.to_thread(running[1].wait_for, "connected", within=SECONDS_MAX)
    assert await asyncio.to_thread(running[1].stop) == 0


@pytest.mark.parametrize(("verb", "reason"), [("revoke", "TERMINAL_REVOKED"), ("suspend", "TERMINAL_SUSPENDED")])
async def test_i02_a_terminal_locked_out_in_the_middle_of_a_face_session_loses_it_and_the_next_call_is_refused(
    shared: Deployment, verb: str, reason: str
) -> None:
    terminal = await a_terminal(shared)
    cut_before = shared.counted("stream_cut_seconds_count", reason=reason)
    async with terminal.channel() as channel:
        call = face_call(channel)
        await call.write(start(LIN))
        await call.read()
        sending = asyncio.create_task(at_rest(call))
        ending = asyncio.create_task(ended(call))
        await locked_out(shared, verb, terminal.terminal_id)
        found = await ending
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        next_call = await looked_up(channel)
    async with terminal.channel() as fresh:
        next_connection = await looked_up(fresh)

    assert shared.counted("stream_cut_seconds_count", reason=reason) == cut_before + 1
    assert found.reason == next_call.reason == next_connection.reason == reason
    assert next_call.code is grpc.StatusCode.PERMISSION_DENIED


async def test_i02_a_suspension_holds_until_it_is_taken_back(shared: Deployment) -> None:
    terminal = await a_terminal(shared)
    async with terminal.channel() as channel:
        assert (await looked_up(channel)).reason == "SETTLEMENT_NOT_FOUND"
        await locked_out(shared, "suspend", terminal.terminal_id)
        await eventually(reason_is(channel, "TERMINAL_SUSPENDED"))
        await asyncio.to_thread(shared.shualian, "terminal", "resume", terminal.terminal_id, "--reason", "found")

        await eventually(reason_is(channel, "SETTLEMENT_NOT_FOUND"))


async def locked_out(deployment: Deployment, verb: str, terminal: str) -> None:
    """Let an operator decide."""
    await asyncio.to_thread(deployment.shualian, "terminal", verb, terminal, "--reason", "reported stolen")


async def ended(call: FaceCall) -> Refusal:
    return refusal(await call.refused())


async def at_rest(call: FaceCall) -> None:
    """Send somebody who looks straight and does not turn, without end."""
    pictures = frames_at_rest(LIN, 20)
    for sequence in itertools.count(1):
        await call.write(frame(sequence, pictures[sequence % len(pictures)]))
        await asyncio.sleep(0.1)


async def looked_up(channel: grpc.aio.Channel) -> Refusal:
    """Ask for a settlement that nobody made; return the refusal."""
    stub: Any = settlement_pb2_grpc.SettlementServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.GetSettlement(settlement_pb2.GetSettlementRequest(transaction_id=UNKNOWN_ID))
    return refusal(caught.value)


def reason_is(channel: grpc.aio.Channel, reason: str) -> Callable[[], Awaitable[bool]]:
    """Return the question whether the next call is refused for this reason."""

    async def asked() -> bool:
        return (await looked_up(channel)).reason == reason

    return asked
