"""The control stream and the certificate, over real mTLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.timestamp_pb2 import Timestamp

from device_registry import CommandAction
from server.store import Event
from shualian.terminal.v1 import device_pb2, device_pb2_grpc, settlement_pb2, settlement_pb2_grpc
from tests.support.conversation import ControlCall, control_call
from tests.support.database import Database
from tests.support.deployment import eventually
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    chain_pem,
    channel_to,
    refusal,
    signing_request,
)
from tests.support.promptly import within
from tests.support.questions import looked_up

UNKNOWN_ID = "0198b5ac-1111-7111-8111-111111111111"


def at(moment: datetime | None = None) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment or datetime.now(UTC))
    return stamp


def hello(moment: datetime | None = None) -> device_pb2.ConnectRequest:
    return device_pb2.ConnectRequest(hello=device_pb2.Hello(firmware_version="1.0", terminal_time=at(moment)))


def heartbeat(sequence: int) -> device_pb2.ConnectRequest:
    return device_pb2.ConnectRequest(
        heartbeat=device_pb2.Heartbeat(
            sequence=sequence,
            terminal_time=at(),
            camera_state=device_pb2.CAMERA_STATE_READY,
            temperature_celsius=41.5,
            queue_length=2,
        )
    )


@asynccontextmanager
async def connected(terminal: EnrolledTerminal) -> AsyncIterator[ControlCall]:
    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(hello())
        welcome = await call.read()
        assert welcome.WhichOneof("message") == "welcome"
        yield call


@pytest.fixture
async def running(database: Database) -> AsyncIterator[RunningPlatform]:
    async with a_platform(store={"url": database.url}) as platform:
        yield platform


async def test_a_terminal_is_welcomed_by_the_name_in_its_certificate(terminal: EnrolledTerminal) -> None:
    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(hello())
        welcome = (await call.read()).welcome

        assert welcome.terminal_id == terminal.terminal_id
        assert welcome.heartbeat_interval.ToTimedelta() == timedelta(seconds=30)
        assert welcome.renew_after.ToDatetime(tzinfo=UTC) > datetime.now(UTC) + timedelta(days=15)


async def test_heartbeats_are_acknowledged_and_reach_the_registry(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with connected(terminal) as call:
        for sequence in (1, 2, 3):
            await call.write(heartbeat(sequence))
            assert (await call.read()).heartbeat_ack.sequence == sequence
        await running.platform.presence.flush()

        vitals = await running.write(
            lambda connection: running.platform.domain.registry.vitals(connection, terminal.terminal_id)
        )
        assert vitals is not None
        assert vitals.temperature_celsius == 41.5
        assert vitals.firmware_version == "1.0"
        assert running.counted("heartbeats_total", camera_state="READY") == 3


async def test_a_revoked_terminal_loses_its_stream_within_one_second(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    await revoked_within_a_second(running, terminal)


async def test_i02_a_revocation_ends_live_streams_within_one_second_and_holds_for_the_next_call(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    await revoked_within_a_second(running, terminal)

    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await settlement_pb2_grpc.SettlementServiceStub(channel).GetSettlement(
                settlement_pb2.GetSettlementRequest(transaction_id=UNKNOWN_ID)
            )
    assert refusal(caught.value).reason == "TERMINAL_REVOKED"


async def revoked_within_a_second(running: RunningPlatform, terminal: EnrolledTerminal) -> None:
    async with connected(terminal) as call:
        await running.write(
            lambda connection: running.platform.domain.registry.revoke(
                connection, terminal_id=terminal.terminal_id, reason="stolen", actor=ACTOR
            )
        )
        error = await within(1, call.refused())

        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert refusal(error).reason == "TERMINAL_REVOKED"
        assert running.counted("stream_cut_seconds_count", reason="TERMINAL_REVOKED") == 1


async def test_i02_a_suspension_by_another_process_cuts_the_stream_and_resuming_lets_it_back_in(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    domain = running.platform.domain
    async with connected(terminal) as call:
        with domain.engine.begin() as connection:  # as the CLI does it: nobody wakes the follower
            domain.registry.suspend(connection, terminal_id=terminal.terminal_id, reason="lost", actor=ACTOR)
        error = await within(1, call.refused())
        assert refusal(error).reason == "TERMINAL_SUSPENDED"
    await running.write(
        lambda connection: domain.registry.resume(
            connection, terminal_id=terminal.terminal_id, reason="found", actor=ACTOR
        )
    )

    async def is_let_in() -> bool:
        async with terminal.channel() as channel:
            return refusal(await looked_up(channel)).reason == "SETTLEMENT_NOT_FOUND"

    await eventually(is_let_in)
    async with connected(terminal):
        pass


async def test_a_second_control_stream_supersedes_the_first(terminal: EnrolledTerminal) -> None:
    async with connected(terminal) as first, connected(terminal) as second:
        error = await first.refused()
        assert error.code() is grpc.StatusCode.ABORTED
        assert refusal(error).reason == "STREAM_SUPERSEDED"

        await second.write(heartbeat(1))
        assert (await second.read()).heartbeat_ack.sequence == 1


async def test_a_command_goes_down_the_stream_and_its_answer_comes_back(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    commands = running.platform.domain.commands
    async with connected(terminal) as call:
        queued = await running.write(
            lambda connection: commands.queue(
                connection, terminal_id=terminal.terminal_id, action=CommandAction.RENEW_CERTIFICATE, actor=ACTOR
            )
        )
        command = (await call.read()).command
        assert command.command_id == queued.command_id
        assert command.WhichOneof("action") == "renew_certificate"
        await call.write(
            device_pb2.ConnectRequest(
                command_result=device_pb2.CommandResult(
                    command_id=command.command_id, outcome=device_pb2.COMMAND_OUTCOME_DONE
                )
            )
        )
        await call.write(heartbeat(1))
        await call.read()

        assert await running.write(lambda connection: commands.pending(connection, terminal.terminal_id)) == []


async def test_an_unanswered_command_is_sent_again_on_the_next_stream(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with connected(terminal) as call:
        await running.write(
            lambda connection: running.platform.domain.commands.queue(
                connection,
                terminal_id=terminal.terminal_id,
                action=CommandAction.SET_CONFIGURATION,
                parameters={"heartbeat_interval_ms": 5000},
                actor=ACTOR,
            )
        )
        first = (await call.read()).command
    async with connected(terminal) as call:
        again = (await call.read()).command

    assert again.command_id == first.command_id
    assert again.set_configuration.heartbeat_interval.seconds == 5


async def test_a_stream_that_does_not_begin_with_hello_is_refused(terminal: EnrolledTerminal) -> None:
    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(heartbeat(1))

        error = refusal(await call.refused())
        assert error.reason == "STREAM_OUT_OF_ORDER"
        assert error.metadata == {"expected": "hello", "next_action": "CHANGE_REQUEST"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (hello(), "STREAM_OUT_OF_ORDER"),
        (heartbeat(7), "STREAM_OUT_OF_ORDER"),
        (device_pb2.ConnectRequest(), "INVALID_REQUEST"),
        (device_pb2.ConnectRequest(heartbeat=device_pb2.Heartbeat(sequence=1, terminal_time=at())), "INVALID_REQUEST"),
    ],
    ids=["second hello", "sequence jumps", "nothing in it", "camera state missing"],
)
async def test_a_message_that_breaks_the_contract_ends_the_stream(
    terminal: EnrolledTerminal, message: device_pb2.ConnectRequest, reason: str
) -> None:
    async with connected(terminal) as call:
        await call.write(message)

        error = await call.refused()
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal(error).reason == reason


async def test_a_clock_two_days_off_is_noted_and_does_not_end_the_stream(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(hello(datetime.now(UTC) + timedelta(days=2)))
        assert (await call.read()).WhichOneof("message") == "welcome"
        await running.platform.presence.flush()

        vitals = await running.write(
            lambda connection: running.platform.domain.registry.vitals(connection, terminal.terminal_id)
        )
        assert vitals is not None
        assert vitals.clock_skew is not None
        assert timedelta(days=1, hours=23) < vitals.clock_skew < timedelta(days=2, minutes=1)


async def test_silence_ends_the_stream() -> None:
    quick = {"overdue_after": timedelta(seconds=0.4), "heartbeat_interval": timedelta(seconds=0.2)}
    async with a_platform(registry=quick) as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            call = control_call(channel)
            await call.write(hello())
            error = await call.refused()

            assert error.code() is grpc.StatusCode.ABORTED
            assert refusal(error).reason == "TERMINAL_OVERDUE"


async def test_a_stopping_platform_says_goodbye_with_a_time_to_come_back() -> None:
    async with a_platform() as running:
        terminal = await an_enrolled_terminal(running)
        async with connected(terminal) as call:
            await running.platform.control.say_goodbye(timedelta(seconds=20))

            goodbye = (await call.read()).goodbye
            assert goodbye.reconnect_after.ToTimedelta() <= timedelta(seconds=20)
            assert await call.ended_well()


async def test_a_renewed_certificate_retires_the_old_one_when_it_is_first_used(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    async with terminal.channel() as channel:
        renewed = await device_pb2_grpc.DeviceServiceStub(channel).RenewCertificate(
            device_pb2.RenewCertificateRequest(signing_request_der=signing_request(key))
        )
    async with connected(terminal):
        pass  # the old one is good until then
    chain = chain_pem(renewed.certificate_chain_der)
    async with channel_to(running, key, chain) as channel:
        call = control_call(channel)
        await call.write(hello())
        assert (await call.read()).welcome.terminal_id == terminal.terminal_id

    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(hello())
        assert refusal(await call.refused()).reason == "CERTIFICATE_RETIRED"


async def test_i11_messages_over_the_rate_end_the_stream_with_a_time_to_come_back() -> None:
    async with a_platform(limits={"messages_per_second": 0.01, "messages_burst": 3}) as running:
        terminal = await an_enrolled_terminal(running)
        async with connected(terminal) as call:
            for sequence in (1, 2, 3):
                await call.write(heartbeat(sequence))

            error = await call.refused()
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refusal(error).reason == "MESSAGE_RATE_EXCEEDED"
            assert refusal(error).retry_after


async def test_i02_a_job_that_fails_is_begun_again_and_revocations_still_bite() -> None:
    async with a_platform() as running:
        terminal = await an_enrolled_terminal(running)
        async with connected(terminal) as call:
            lost = Event(event_id=10**6, topic="terminal", subject="nobody")
            running.platform.follower._last = lost  # noqa: SLF001  # as if its place had been pruned away
            await asyncio.sleep(1.5)  # it fails, pauses, and takes everything up anew
            await running.write(
                lambda connection: running.platform.domain.registry.revoke(
                    connection, terminal_id=terminal.terminal_id, reason="stolen", actor=ACTOR
                )
            )

            assert refusal(await call.refused()).reason == "TERMINAL_REVOKED"
