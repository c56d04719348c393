"""Whoever verifies, compares or audits for minutes: the terminals do not notice, and a second one is sent away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from device_registry.operators.roles import Role
from shualian.admin.v1 import audit_pb2, audit_pb2_grpc, fleet_pb2, fleet_pb2_grpc, revocation_pb2, revocation_pb2_grpc
from shualian.terminal.v1 import device_pb2
from tests.support.conversation import control_call
from tests.support.deployment import eventually
from tests.support.lanes import held
from tests.support.operators import an_operator
from tests.support.platform import ACTOR, RunningPlatform, a_platform, an_enrolled_terminal, refusal

Ask = Callable[[grpc.aio.Channel], Any]


@pytest.fixture
async def running() -> AsyncIterator[RunningPlatform]:
    async with a_platform(http={"enabled": False}, fleet={"audit_interval": timedelta(hours=1)}) as platform:
        for job in ("CHECKPOINT", "FLEET_AUDIT", "IDENTITY_SURVEY"):  # its own long looks, which it takes at the start
            await eventually(lambda job=job: platform.counted("last_success_timestamp_seconds", task=job) > 0)  # type: ignore[misc]  # mypy does not infer a lambda with a default
        yield platform


async def test_i02_a_revoked_terminal_is_cut_off_while_every_reader_is_busy_with_other_things(
    running: RunningPlatform,
) -> None:
    terminal = await an_enrolled_terminal(running)
    unit_of_work, store = running.platform.unit_of_work, running.domain.config.store
    async with terminal.channel() as channel, AsyncExitStack() as busy:
        call = control_call(channel)
        hello = device_pb2.Hello(firmware_version="1.0")
        hello.terminal_time.FromDatetime(datetime.now(UTC))
        await call.write(device_pb2.ConnectRequest(hello=hello))
        assert (await call.read()).WhichOneof("message") == "welcome"
        for lane in [unit_of_work.walk] + store.readers * [unit_of_work.read]:
            await busy.enter_async_context(held(lane))
        await running.write(
            lambda connection: running.domain.registry.revoke(
                connection, terminal_id=terminal.terminal_id, reason="stolen", actor=ACTOR
            )
        )

        assert refusal(await asyncio.wait_for(call.refused(), 30)).reason == "TERMINAL_REVOKED"
        await eventually(lambda: running.platform.follower.lag < 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda channel: audit_pb2_grpc.AuditServiceStub(channel).Verify(audit_pb2.VerifyRequest()),
        lambda channel: revocation_pb2_grpc.RevocationServiceStub(channel).VerifyWitness(
            revocation_pb2.VerifyWitnessRequest()
        ),
        lambda channel: fleet_pb2_grpc.FleetServiceStub(channel).RunAudit(fleet_pb2.RunAuditRequest()),
    ],
    ids=["verify the audit log", "compare the witness", "audit the fleet"],
)
async def test_i11_a_second_long_look_is_told_when_to_come_back(running: RunningPlatform, ask: Ask) -> None:
    operator = await an_operator(running, Role.OPERATOR)
    async with operator.channel() as channel:
        async with held(running.platform.unit_of_work.walk):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel)
        assert (caught.value.code(), refusal(caught.value).reason) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "STORE_WALK_UNDER_WAY",
        )
        assert refusal(caught.value).retry_after == 5

        await ask(channel)


async def test_an_export_that_has_begun_waits_for_the_long_look(running: RunningPlatform) -> None:
    operator = await an_operator(running, Role.VIEWER)
    async with operator.channel() as channel:
        async with held(running.platform.unit_of_work.walk):
            call = audit_pb2_grpc.AuditServiceStub(channel).ListEntries(audit_pb2.ListEntriesRequest())
            first: asyncio.Future[audit_pb2.ListEntriesResponse] = asyncio.ensure_future(call.read())  # type: ignore[arg-type]  # grpc-stubs know EOF only
            await asyncio.sleep(1.5)  # longer than a walk would wait for its turn
            assert not first.done()

        assert (await first).entry.entry_id == 1
