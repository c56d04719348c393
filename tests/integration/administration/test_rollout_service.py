"""Commands and rollouts over the admin port, with a real terminal at the other end."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest

from device_registry.operators.roles import Role
from shualian.admin.v1 import command_pb2, registry_pb2
from shualian.admin.v1 import rollout_pb2 as pb
from shualian.admin.v1.command_pb2_grpc import CommandServiceStub
from shualian.admin.v1.rollout_pb2_grpc import RolloutServiceStub
from tests.integration.server.test_device import connected
from tests.support.database import Database
from tests.support.operators import EnrolledOperator, an_operator
from tests.support.platform import EnrolledTerminal, Refusal, RunningPlatform, a_platform, an_enrolled_terminal, refusal

LOOK = command_pb2.Order(action=command_pb2.COMMAND_ACTION_COLLECT_DIAGNOSTICS)


@pytest.fixture
async def running(database: Database) -> AsyncIterator[RunningPlatform]:
    async with a_platform(http={"enabled": False}, store={"url": database.url}) as platform:
        yield platform


@pytest.fixture
async def terminal(running: RunningPlatform) -> EnrolledTerminal:
    """Return a terminal in service, that is off now."""
    enrolled = await an_enrolled_terminal(running)
    async with connected(enrolled):
        pass
    return enrolled


@pytest.fixture
async def lin(running: RunningPlatform) -> EnrolledOperator:
    return await an_operator(running, Role.OPERATOR, name="lin")


async def refused(call: grpc.aio.UnaryUnaryCall) -> Refusal:  # type: ignore[type-arg]  # generic for type checkers alone
    """Return why a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return refusal(error.value)


def counts(rollout: pb.Rollout) -> dict[str, int]:
    return {pb.MemberState.Name(it.state).removeprefix("MEMBER_STATE_"): it.members for it in rollout.counts}


async def test_an_operator_gives_a_command_once_and_takes_it_back(
    terminal: EnrolledTerminal, lin: EnrolledOperator
) -> None:
    async with lin.channel() as channel:
        api = CommandServiceStub(channel)
        request = command_pb2.QueueCommandRequest(
            terminal=terminal.terminal.serial_number, order=LOOK, reason="odd noises", idempotency_key="night-1"
        )
        queued = (await api.QueueCommand(request)).command
        again = (await api.QueueCommand(request)).command
        taken_back = (
            await api.CancelCommand(
                command_pb2.CancelCommandRequest(command_id=queued.command_id, reason="it was the fan")
            )
        ).command
        listed = (await api.ListCommands(command_pb2.ListCommandsRequest(terminal=terminal.terminal_id))).commands

    assert again.command_id == queued.command_id
    assert queued.queued_by == "operator:lin"
    assert queued.order.lifetime.ToTimedelta() == timedelta(hours=1)
    assert (taken_back.state, taken_back.detail) == (command_pb2.COMMAND_STATE_CANCELLED, "it was the fan")
    assert list(listed) == [taken_back]


async def test_an_order_says_what_it_lacks_and_what_it_cannot_take(
    terminal: EnrolledTerminal, lin: EnrolledOperator
) -> None:
    lacking = command_pb2.Order(action=command_pb2.COMMAND_ACTION_OFFER_FIRMWARE, url="https://mirror.example/fw")
    excess = command_pb2.Order(action=command_pb2.COMMAND_ACTION_LOCK, url="https://mirror.example/fw")
    async with lin.channel() as channel:
        api = CommandServiceStub(channel)
        said = [
            await refused(api.QueueCommand(command_pb2.QueueCommandRequest(terminal=terminal.terminal_id, order=order)))
            for order in (lacking, excess)
        ]

    assert [it.fields for it in said] == [("order.firmware_id",), ("order.url",)]


async def test_a_rollout_is_started_paused_resumed_and_cancelled_over_the_api(
    terminal: EnrolledTerminal, lin: EnrolledOperator
) -> None:
    plan = pb.RolloutPlan(order=LOOK, filter=registry_pb2.TerminalFilter(region="330100"), groups=["50%"])
    plan.soak.FromTimedelta(timedelta(hours=1))
    async with lin.channel() as channel:
        api = RolloutServiceStub(channel)
        started = (
            await api.StartRollout(pb.StartRolloutRequest(plan=plan, reason="a look", idempotency_key="k"))
        ).rollout
        which = {"rollout_id": started.rollout_id, "reason": "because"}
        paused = (await api.PauseRollout(pb.PauseRolloutRequest(**which))).rollout
        resumed = (await api.ResumeRollout(pb.ResumeRolloutRequest(**which))).rollout
        cancelled = (await api.CancelRollout(pb.CancelRolloutRequest(**which))).rollout
        over = await refused(api.ResumeRollout(pb.ResumeRolloutRequest(**which)))
        again = (
            await api.StartRollout(pb.StartRolloutRequest(plan=plan, reason="a look", idempotency_key="k"))
        ).rollout
        found = (await api.GetRollout(pb.GetRolloutRequest(rollout_id=started.rollout_id))).rollout
        (listed,) = (await api.ListRollouts(pb.ListRolloutsRequest())).rollouts
        page = await api.ListMembers(pb.ListMembersRequest(rollout_id=started.rollout_id, page_size=1))
        rest = await api.ListMembers(
            pb.ListMembersRequest(rollout_id=started.rollout_id, page_size=1, page_token=page.next_page_token)
        )

    assert (started.members, list(started.group_ends), counts(started)) == (1, [1], {"PENDING": 1})
    assert (started.plan.pace_per_minute, started.plan.failures_percent_max) == (60, 10)
    assert started.plan.filter.region == "330100"
    assert started.plan.soak.ToTimedelta() == timedelta(hours=1)
    states = [it.state for it in (started, paused, resumed, cancelled, found, listed, again)]
    assert states == [
        pb.ROLLOUT_STATE_RUNNING,
        pb.ROLLOUT_STATE_PAUSED,
        pb.ROLLOUT_STATE_RUNNING,
        *[pb.ROLLOUT_STATE_CANCELLED] * 4,
    ]
    assert over.reason == "ROLLOUT_STATE"
    assert [member.terminal_id for member in page.members] == [terminal.terminal_id]
    assert list(rest.members) == []


async def test_a_plan_may_ask_for_no_failure_at_all(terminal: EnrolledTerminal, lin: EnrolledOperator) -> None:
    del terminal
    plan = pb.RolloutPlan(order=LOOK, failures_percent_max=0, failures_max=0, failures_answered_min=1)
    async with lin.channel() as channel:
        started = (
            await RolloutServiceStub(channel).StartRollout(pb.StartRolloutRequest(plan=plan, reason="strict"))
        ).rollout

    assert (started.plan.failures_percent_max, started.plan.failures_max) == (0, 0)
    assert started.plan.HasField("failures_percent_max")
    assert started.plan.HasField("failures_max")


async def test_the_forecast_counts_and_names(running: RunningPlatform, lin: EnrolledOperator) -> None:
    del running
    request = pb.ForecastRequest()
    request.horizon.FromTimedelta(timedelta(days=30))
    async with lin.channel() as channel:
        forecast = await RolloutServiceStub(channel).Forecast(request)

    assert (forecast.total, forecast.lapsed, list(forecast.laggards)) == (0, 0, [])


async def test_members_are_chosen_beside_the_writer(running: RunningPlatform, lin: EnrolledOperator) -> None:
    done = threading.Event()
    async with lin.channel() as channel:
        await RolloutServiceStub(channel).ListRollouts(pb.ListRolloutsRequest())  # that lin was here is noted by now
        held = asyncio.create_task(running.write(lambda _connection: done.wait(60)))
        plan = pb.RolloutPlan(order=LOOK, filter=registry_pb2.TerminalFilter(region="nowhere"))
        said = await refused(
            RolloutServiceStub(channel).StartRollout(pb.StartRolloutRequest(plan=plan, reason="a look"), timeout=30)
        )
    done.set()

    assert said.reason == "ROLLOUT_EMPTY"
    assert await held


async def test_a_text_with_the_character_nul_is_refused_on_each_database(
    terminal: EnrolledTerminal, lin: EnrolledOperator
) -> None:
    request = command_pb2.QueueCommandRequest(terminal=terminal.terminal_id, order=LOOK, reason="odd\0noises")
    async with lin.channel() as channel:
        said = await refused(CommandServiceStub(channel).QueueCommand(request))

    assert (said.code, said.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ("reason",))
