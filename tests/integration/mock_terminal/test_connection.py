"""The control stream of a terminal that obeys, renews in time and comes back, against a real platform."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from device_registry import Command, CommandAction, CommandOutcome
from mock_terminal.connection import Connection
from mock_terminal.errors import PlatformRefusedError
from mock_terminal.terminal import renew
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc
from tests.integration.mock_terminal.conftest import Box, Heard, left
from tests.support.platform import ACTOR, refusal
from tests.support.proxy import Proxy
from tests.support.questions import looked_up

Clock = Callable[[], datetime]


def real() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def connected(
    box: Box, heard: Heard, now: Clock = real, address: str = "", fails: Collection[str] = ()
) -> AsyncIterator[asyncio.Task[PlatformRefusedError]]:
    connection = Connection(box.folder, address=address or box.address, report=heard, now=now, fails=fails)
    running = asyncio.create_task(connection.run())
    try:
        await until(lambda: "connected" in heard.names)
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110  # what is waited for happens in gRPC and in other tasks
            await asyncio.sleep(0.02)


async def queue(box: Box, action: CommandAction, parameters: Mapping[str, Any] | None = None) -> str:
    commands = box.running.domain.commands
    command = await box.running.write(
        lambda connection: commands.queue(
            connection, terminal_id=box.terminal_id, action=action, parameters=parameters or {}, actor=ACTOR
        )
    )
    return command.command_id


async def answered(box: Box, command_id: str) -> Command:
    """Wait until the platform has the answer to a command."""
    commands = box.running.domain.commands
    async with asyncio.timeout(30):
        while True:
            known = await box.running.write(lambda connection: commands.history(connection, box.terminal_id))
            command = next(command for command in known if command.command_id == command_id)
            if command.outcome is not None:
                return command
            await asyncio.sleep(0.05)


async def until_sent(box: Box, command_id: str) -> None:
    """Wait until the platform has sent a command."""
    commands = box.running.domain.commands
    async with asyncio.timeout(30):
        while True:
            known = await box.running.write(lambda connection: commands.history(connection, box.terminal_id))
            if next(command for command in known if command.command_id == command_id).sent_at is not None:
                return
            await asyncio.sleep(0.02)


async def test_a_renewal_by_command_is_answered_before_the_stream_is_left(box: Box, heard: Heard) -> None:
    before = box.folder.keys.identity()
    async with connected(box, heard):
        command = await answered(box, await queue(box, CommandAction.RENEW_CERTIFICATE))
        await until(lambda: heard.names.count("connected") == 2)

    assert command.outcome is not None
    assert command.outcome.value == "DONE"
    assert box.folder.keys.identity().key_pem != before.key_pem
    in_order = [name for name in heard.names if name != "heartbeat"]
    assert in_order == ["connected", "renewed", "command", "stream_ended", "connected"]
    assert heard.the("stream_ended") == {"code": "OK", "reason": ""}


async def test_a_due_certificate_is_renewed_however_quiet_the_stream_is(box: Box, heard: Heard) -> None:
    def on_the_day_of_renewal_until_renewed() -> datetime:
        return real() + (timedelta() if "renewed" in heard.names else timedelta(days=24))

    async with connected(box, heard, on_the_day_of_renewal_until_renewed):
        await until(lambda: heard.names.count("connected") == 2)

    assert heard.names.count("renewed") == 1
    assert heard.the("stream_ended")["code"] == "OK"


async def test_a_renewal_that_fails_is_answered_as_failed_and_the_stream_goes_on(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        with box.folder.changing_identity():
            failed = await answered(box, await queue(box, CommandAction.RENEW_CERTIFICATE))
        done = await answered(box, await queue(box, CommandAction.RENEW_CERTIFICATE))

    assert failed.outcome is not None
    assert (failed.outcome.value, failed.detail) == ("FAILED", "STATE_UNUSABLE")
    assert done.outcome is not None
    assert done.outcome.value == "DONE"


async def test_a_renewal_waits_for_the_payment_under_way_which_keeps_its_certificate(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        with box.folder.paying():
            async with box.folder.channel(box.address) as channel:
                command_id = await queue(box, CommandAction.RENEW_CERTIFICATE)
                await until_sent(box, command_id)
                reasons = [refusal(await looked_up(channel)).reason for _ in range(50)]
        in_between = [name for name in heard.names if name != "heartbeat"]
        await answered(box, command_id)
        await until(lambda: heard.names.count("connected") == 2)

    assert set(reasons) == {"SETTLEMENT_NOT_FOUND"}
    assert in_between == ["connected"]


async def test_a_new_heartbeat_interval_holds_at_once(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        assert heard.the("connected")["heartbeat_interval_seconds"] == 30
        await queue(box, CommandAction.SET_CONFIGURATION, {"heartbeat_interval_ms": 1000})
        await until(lambda: heard.names.count("heartbeat") >= 3)

    assert heard.the("command")["outcome"] == "DONE"
    assert heard.the("heartbeat")["sequence"] >= 3


async def test_diagnostics_are_answered_with_words(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        command = await answered(box, await queue(box, CommandAction.COLLECT_DIAGNOSTICS))

    assert "camera ready" in (command.detail or "")


async def test_a_restart_is_answered_first_and_the_terminal_comes_back(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        command = await answered(box, await queue(box, CommandAction.RESTART))
        await until(lambda: heard.names.count("connected") == 2)
        waiting = await box.running.write(
            lambda connection: box.running.domain.commands.pending(connection, box.terminal_id)
        )

    assert command.outcome is CommandOutcome.DONE
    assert heard.names.count("command") == 1
    assert waiting == []


async def test_a_locked_terminal_takes_no_patients_until_it_is_unlocked(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        await answered(box, await queue(box, CommandAction.LOCK))
        refused = await left("pay", *box.at, "--total-fen", "100")
        await answered(box, await queue(box, CommandAction.UNLOCK))
        other = await left("pay", *box.at, "--total-fen", "100")

    assert refused.code == 3
    assert refused.the("failed")["reason"] == "TERMINAL_LOCKED"
    assert other.the("failed")["reason"] == "INPUT_UNUSABLE"  # it gets as far as asking for a claim
    assert heard.names.count("connected") == 1


async def test_a_command_can_be_told_to_fail(box: Box, heard: Heard) -> None:
    async with connected(box, heard, fails={"restart"}):
        command = await answered(box, await queue(box, CommandAction.RESTART))

    assert (command.outcome, command.detail) == (CommandOutcome.FAILED, "told to fail")
    assert heard.names.count("connected") == 1


async def test_the_platforms_newest_word_about_renewal_counts_and_not_that_of_the_day_of_issue(
    box: Box, heard: Heard
) -> None:
    write_renewal(box, box.folder.keys.identity().not_after)

    def on_the_day_of_renewal_until_renewed() -> datetime:
        return real() + (timedelta() if "renewed" in heard.names else timedelta(days=24))

    async with connected(box, heard, on_the_day_of_renewal_until_renewed):
        await until(lambda: "renewed" in heard.names)

    assert heard.names.count("renewed") == 1


def write_renewal(box: Box, renew_after: datetime) -> None:
    """Have the terminal believe that it was told another date when its certificate was issued."""
    path = box.folder.path / "current" / "renewal.json"
    path.write_text(json.dumps({"renew_after": renew_after.isoformat()}), encoding="utf-8")


async def test_i02_a_revoked_terminal_stops_and_says_why(box: Box, heard: Heard) -> None:
    async with connected(box, heard) as running:
        await box.revoke()
        ended = await asyncio.wait_for(running, 30)

    assert ended.reason in {"TERMINAL_REVOKED", "CERTIFICATE_REVOKED"}


async def test_a_renewal_by_another_process_does_not_put_the_terminal_out(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        async with box.folder.channel(box.address) as channel:
            await renew(box.folder, channel)
        async with box.folder.channel(box.address) as channel:  # the first use, which retires the stream's certificate
            request = settlement_pb2.GetSettlementRequest(transaction_id="0198b5ac-1111-7111-8111-111111111111")
            await asyncio.gather(
                settlement_pb2_grpc.SettlementServiceStub(channel).GetSettlement(request), return_exceptions=True
            )
        await until(lambda: heard.names.count("connected") == 2)

    assert heard.the("stream_ended")["reason"] == "CERTIFICATE_RETIRED"


async def test_a_broken_connection_is_made_again(box: Box, heard: Heard) -> None:
    with Proxy(box.address) as network:
        async with connected(box, heard, address=network.address):
            network.cut()
            await until(lambda: heard.names.count("connected") == 2)

    assert heard.the("stream_ended")["code"] == "UNAVAILABLE"


async def test_a_platform_that_stops_is_left_for_as_long_as_it_says(box: Box, heard: Heard) -> None:
    async with connected(box, heard):
        await box.running.platform.control.say_goodbye(timedelta(milliseconds=1))
        await until(lambda: heard.names.count("connected") == 2)

    assert heard.the("stream_ended") == {"code": "OK", "reason": ""}


async def test_a_signal_ends_run_well(box: Box) -> None:
    done = await left("run", *box.at, stop_after="connected")

    assert done.code == 0
    assert done.names[-1] == "stopped"
