"""What the running platform does with commands by itself: it delivers, closes what is over, works on rollouts."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import update

from device_registry import Command, CommandAction, CommandState
from device_registry.rollouts.rollout_records import MemberState, Rollout, RolloutPlan, RolloutState
from device_registry.tables import commands as commands_table
from server import wiring
from shualian.terminal.v1 import device_pb2
from tests.integration.server.test_device import connected
from tests.support.platform import ACTOR, EnrolledTerminal, RunningPlatform


async def queue(running: RunningPlatform, terminal: EnrolledTerminal, action: CommandAction) -> Command:
    return await running.write(
        lambda connection: running.domain.commands.queue(
            connection, terminal_id=terminal.terminal_id, action=action, actor=ACTOR
        )
    )


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110  # what is waited for happens in the platform's own tasks
            await asyncio.sleep(0.05)


async def test_what_no_longer_applies_is_not_delivered_and_counted(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    async with connected(terminal):
        pass  # becomes ACTIVE
    await queue(running, terminal, CommandAction.RESTART)
    lock = await queue(running, terminal, CommandAction.LOCK)
    async with connected(terminal) as call:  # it comes back: nobody need restart it
        first = (await call.read()).command

    assert (first.command_id, first.WhichOneof("action")) == (lock.command_id, "lock")
    assert running.counted("commands_total", action="RESTART", outcome="SUPERSEDED") == 1
    assert running.counted("commands_total", action="RESTART", outcome="SENT") == 0


async def test_a_command_whose_time_is_over_is_closed_while_its_terminal_is_away(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    command = await queue(running, terminal, CommandAction.RESTART)
    over = wiring.utc_now() - timedelta(seconds=1)
    await running.write(lambda connection: connection.execute(update(commands_table).values(expires_at=over)))

    await until(lambda: running.counted("commands_total", action="RESTART", outcome="EXPIRED") == 1)

    known = await running.write(lambda connection: running.domain.commands.find(connection, command.command_id))
    assert known.state(wiring.utc_now()) is CommandState.EXPIRED
    assert known.closed_at is not None


async def test_a_rollout_reaches_a_connected_terminal_and_ends_by_its_answer(
    running: RunningPlatform, terminal: EnrolledTerminal
) -> None:
    rollouts = running.domain.rollouts
    plan = RolloutPlan(action=CommandAction.COLLECT_DIAGNOSTICS)
    async with connected(terminal) as call:
        started = await running.write(lambda connection: rollouts.start(connection, plan, reason="a look", actor=ACTOR))
        command = (await call.read()).command
        await call.write(
            device_pb2.ConnectRequest(
                command_result=device_pb2.CommandResult(
                    command_id=command.command_id, outcome=device_pb2.COMMAND_OUTCOME_DONE
                )
            )
        )

        async def is_done() -> Rollout:
            while True:
                rollout = await running.write(lambda connection: rollouts.find(connection, started.rollout_id))
                if rollout.state is RolloutState.DONE:
                    return rollout
                await asyncio.sleep(0.05)

        done = await asyncio.wait_for(is_done(), 30)

    (member,) = await running.write(lambda connection: rollouts.members(connection, done.rollout_id))
    assert (member.state, member.command_id) == (MemberState.DONE, command.command_id)
    assert running.counted("commands_total", action="COLLECT_DIAGNOSTICS", outcome="DONE") == 1
