"""Commands are written down before they are sent, and sent until they are answered."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from device_registry import (
    DEFAULT_POLICY,
    Authority,
    Command,
    CommandAction,
    CommandOutcome,
    CommandState,
    Terminal,
    TerminalState,
)
from device_registry.errors import (
    CommandInvalidError,
    CommandUnknownError,
    TerminalRetiredError,
    TerminalRevokedError,
    TooManyCommandsError,
)
from device_registry.tables import audit_log
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_terminal

RENEW = CommandAction.RENEW_CERTIFICATE


@pytest.fixture
def terminal(connection: Connection, bench: RegistryBench) -> Terminal:
    return a_terminal(connection, bench.registry)


def queued(
    connection: Connection, bench: RegistryBench, terminal: Terminal, action: CommandAction = RENEW, **parameters: int
) -> Command:
    return bench.registry.queue_command(
        connection, terminal_id=terminal.terminal_id, action=action, parameters=parameters, actor=OPERATOR
    )


def test_a_queued_command_waits_and_is_announced(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal, CommandAction.SET_CONFIGURATION, heartbeat_interval_ms=5000)

    assert bench.registry.pending_commands(connection, terminal.terminal_id) == [command]
    assert command.state(bench.clock.now()) is CommandState.WAITING
    assert command.parameters == {"heartbeat_interval_ms": 5000}
    assert command.expires_at == bench.clock.now() + DEFAULT_POLICY.command_lifetime
    assert bench.announcements.heard[-1] == ("command", terminal.terminal_id)


def test_a_command_is_delivered_again_until_it_is_answered(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)
    for _ in range(2):  # the stream broke after the first time
        bench.registry.command_sent(connection, command.command_id)

    (pending,) = bench.registry.pending_commands(connection, terminal.terminal_id)
    assert (pending.times_sent, pending.sent_at) == (2, bench.clock.now())
    assert pending.state(bench.clock.now()) is CommandState.SENT

    answer(connection, bench, terminal, command, outcome=CommandOutcome.DONE, detail="took 2 s")

    assert not bench.registry.pending_commands(connection, terminal.terminal_id)
    (answered,) = bench.registry.commands(connection, terminal.terminal_id)
    assert (answered.outcome, answered.detail) == (CommandOutcome.DONE, "took 2 s")
    assert answered.state(bench.clock.now()) is CommandState.ANSWERED


def answer(
    connection: Connection,
    bench: RegistryBench,
    terminal: Terminal,
    command: Command,
    *,
    outcome: CommandOutcome,
    detail: str = "",
) -> None:
    bench.registry.command_answered(
        connection,
        terminal_id=terminal.terminal_id,
        command_id=command.command_id,
        outcome=outcome,
        detail=detail,
    )


def test_a_repeated_answer_changes_nothing(connection: Connection, bench: RegistryBench, terminal: Terminal) -> None:
    command = queued(connection, bench, terminal)
    answer(connection, bench, terminal, command, outcome=CommandOutcome.FAILED, detail="no room")

    answer(connection, bench, terminal, command, outcome=CommandOutcome.DONE)

    (kept,) = bench.registry.commands(connection, terminal.terminal_id)
    assert (kept.outcome, kept.detail) == (CommandOutcome.FAILED, "no room")
    entries = connection.execute(select(audit_log).where(audit_log.c.action == "command.answered")).all()
    assert len(entries) == 1


def test_an_endless_detail_is_cut(connection: Connection, bench: RegistryBench, terminal: Terminal) -> None:
    command = queued(connection, bench, terminal)

    answer(connection, bench, terminal, command, outcome=CommandOutcome.FAILED, detail="x" * 5000)

    assert len(bench.registry.commands(connection, terminal.terminal_id)[0].detail) == 1000


def test_a_command_is_void_after_its_time_and_a_late_answer_is_still_written_down(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)
    bench.clock.set(command.expires_at)
    assert not bench.registry.pending_commands(connection, terminal.terminal_id)
    (expired,) = bench.registry.commands(connection, terminal.terminal_id)
    assert expired.state(bench.clock.now()) is CommandState.EXPIRED

    answer(connection, bench, terminal, command, outcome=CommandOutcome.DONE)

    (late,) = bench.registry.commands(connection, terminal.terminal_id)
    assert late.state(bench.clock.now()) is CommandState.ANSWERED


def test_i01_a_terminal_answers_only_its_own_commands(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)
    other = a_terminal(connection, bench.registry)

    with pytest.raises(CommandUnknownError):
        answer(connection, bench, other, command, outcome=CommandOutcome.DONE)
    with pytest.raises(CommandUnknownError):
        bench.registry.command_sent(connection, "0195a000-0000-7000-8000-00000000dead")

    assert bench.registry.pending_commands(connection, terminal.terminal_id) == [command]


def test_commands_are_delivered_in_the_order_they_were_given(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    given = []
    for _ in range(3):
        given.append(queued(connection, bench, terminal).command_id)
        bench.clock.advance(timedelta(seconds=1))

    pending = [it.command_id for it in bench.registry.pending_commands(connection, terminal.terminal_id)]
    latest = [it.command_id for it in bench.registry.commands(connection, terminal.terminal_id, limit=2)]

    assert pending == given
    assert latest == [given[2], given[1]]


def test_the_number_of_open_commands_is_bounded(
    connection: Connection, tmp_path: Path, shared_authority: Authority
) -> None:
    bench = a_registry(tmp_path, authority=shared_authority, policy=replace(DEFAULT_POLICY, commands_open_max=2))
    terminal = a_terminal(connection, bench.registry)
    queued(connection, bench, terminal)
    queued(connection, bench, terminal)

    with pytest.raises(TooManyCommandsError) as refused:
        queued(connection, bench, terminal)

    assert refused.value.commands_open_max == 2


@pytest.mark.parametrize(
    ("action", "parameters"),
    [
        (RENEW, {"heartbeat_interval_ms": 5000}),
        (CommandAction.COLLECT_DIAGNOSTICS, {"verbose": 1}),
        (CommandAction.SET_CONFIGURATION, {}),
        (CommandAction.SET_CONFIGURATION, {"heartbeat_interval_ms": 999}),
        (CommandAction.SET_CONFIGURATION, {"heartbeat_interval_ms": 3_600_001}),
        (CommandAction.SET_CONFIGURATION, {"heartbeat_interval_ms": "often"}),
        (CommandAction.SET_CONFIGURATION, {"heartbeat_interval_ms": 5000, "more": 1}),
    ],
)
def test_parameters_that_do_not_fit_the_action_are_refused(
    connection: Connection,
    bench: RegistryBench,
    terminal: Terminal,
    action: CommandAction,
    parameters: dict[str, str | int],
) -> None:
    with pytest.raises(CommandInvalidError):
        bench.registry.queue_command(
            connection, terminal_id=terminal.terminal_id, action=action, parameters=parameters, actor=OPERATOR
        )


@pytest.mark.parametrize(
    ("state", "refusal"),
    [(TerminalState.REVOKED, TerminalRevokedError), (TerminalState.RETIRED, TerminalRetiredError)],
)
def test_a_terminal_out_of_service_gets_no_commands(
    connection: Connection, bench: RegistryBench, state: TerminalState, refusal: type[Exception]
) -> None:
    gone = a_terminal(connection, bench.registry, state=state)

    with pytest.raises(refusal):
        queued(connection, bench, gone)
