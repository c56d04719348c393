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
    CommandOverError,
    CommandUnknownError,
    FieldInvalidError,
    IdempotencyKeyReusedError,
    TerminalRetiredError,
    TerminalRevokedError,
    TooManyCommandsError,
)
from device_registry.tables import audit_log
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_terminal

RENEW = CommandAction.RENEW_CERTIFICATE
UNKNOWN_ID = "0195a000-0000-7000-8000-00000000dead"


@pytest.fixture
def terminal(connection: Connection, bench: RegistryBench) -> Terminal:
    return a_terminal(connection, bench.registry)


def queued(
    connection: Connection, bench: RegistryBench, terminal: Terminal, action: CommandAction = RENEW, **parameters: int
) -> Command:
    return bench.commands.queue(
        connection, terminal_id=terminal.terminal_id, action=action, parameters=parameters, actor=OPERATOR
    )


def test_a_queued_command_waits_and_is_announced(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal, CommandAction.SET_CONFIGURATION, heartbeat_interval_ms=5000)

    assert bench.commands.pending(connection, terminal.terminal_id) == [command]
    assert command.state(bench.clock.now()) is CommandState.WAITING
    assert command.parameters == {"heartbeat_interval_ms": 5000}
    assert command.expires_at == bench.clock.now() + timedelta(days=90)
    assert bench.announcements.heard[-1] == ("command", terminal.terminal_id)


def test_a_command_is_delivered_again_until_it_is_answered(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)
    for _ in range(2):  # the stream broke after the first time
        bench.commands.sent(connection, command.command_id)

    (pending,) = bench.commands.pending(connection, terminal.terminal_id)
    assert (pending.times_sent, pending.sent_at) == (2, bench.clock.now())
    assert pending.state(bench.clock.now()) is CommandState.SENT

    answer(connection, bench, terminal, command, outcome=CommandOutcome.DONE, detail="took 2 s")

    assert not bench.commands.pending(connection, terminal.terminal_id)
    (answered,) = bench.commands.history(connection, terminal.terminal_id)
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
    bench.commands.answered(
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

    (kept,) = bench.commands.history(connection, terminal.terminal_id)
    assert (kept.outcome, kept.detail) == (CommandOutcome.FAILED, "no room")
    entries = connection.execute(select(audit_log).where(audit_log.c.action == "command.answered")).all()
    assert len(entries) == 1


def test_an_endless_detail_is_cut(connection: Connection, bench: RegistryBench, terminal: Terminal) -> None:
    command = queued(connection, bench, terminal)

    answer(connection, bench, terminal, command, outcome=CommandOutcome.FAILED, detail="x" * 5000)

    assert len(bench.commands.history(connection, terminal.terminal_id)[0].detail) == 1000


def test_a_command_is_void_after_its_time_and_a_late_answer_is_kept_as_information(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)
    bench.clock.set(command.expires_at)
    assert not bench.commands.pending(connection, terminal.terminal_id)
    (expired,) = bench.commands.history(connection, terminal.terminal_id)
    assert expired.state(bench.clock.now()) is CommandState.EXPIRED

    answer(connection, bench, terminal, command, outcome=CommandOutcome.DONE, detail="took a month")
    answer(connection, bench, terminal, command, outcome=CommandOutcome.FAILED)

    (late,) = bench.commands.history(connection, terminal.terminal_id)
    assert late.state(bench.clock.now()) is CommandState.EXPIRED
    assert (late.outcome, late.late_outcome) == (CommandOutcome.EXPIRED, CommandOutcome.DONE)
    assert late.detail == "TIME_IS_OVER; answered late: took a month"
    assert late.answered_at == bench.clock.now()


def test_i01_a_terminal_answers_only_its_own_commands(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)
    other = a_terminal(connection, bench.registry)

    with pytest.raises(CommandUnknownError):
        answer(connection, bench, other, command, outcome=CommandOutcome.DONE)
    assert not bench.commands.sent(connection, UNKNOWN_ID)

    assert bench.commands.pending(connection, terminal.terminal_id) == [command]


def test_commands_are_delivered_in_the_order_they_were_given(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    given = []
    for _ in range(3):
        given.append(queued(connection, bench, terminal).command_id)
        bench.clock.advance(timedelta(seconds=1))

    pending = [it.command_id for it in bench.commands.pending(connection, terminal.terminal_id)]
    latest = [it.command_id for it in bench.commands.history(connection, terminal.terminal_id, limit=2)]

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
        (CommandAction.RESTART, {"now": 1}),
        (CommandAction.OFFER_FIRMWARE, {"firmware_id": UNKNOWN_ID}),
        (CommandAction.OFFER_FIRMWARE, {"firmware_id": "newest", "url": "https://mirror.example/f"}),
        (CommandAction.OFFER_FIRMWARE, {"firmware_id": UNKNOWN_ID, "url": "file:///etc/passwd"}),
        (CommandAction.OFFER_FIRMWARE, {"firmware_id": UNKNOWN_ID, "url": "https://mirror.example/" + "f" * 500}),
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
        bench.commands.queue(
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


def states(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> list[tuple[CommandAction, CommandState, str]]:
    """Return what became of a terminal's commands, oldest first."""
    history = bench.commands.history(connection, terminal.terminal_id)
    return [(it.action, it.state(bench.clock.now()), it.detail) for it in reversed(history)]


def test_a_newer_word_closes_the_older_one_at_once(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    queued(connection, bench, terminal, CommandAction.LOCK)
    bench.clock.advance(timedelta(minutes=1))
    unlock = queued(connection, bench, terminal, CommandAction.UNLOCK)

    assert bench.commands.pending(connection, terminal.terminal_id) == [unlock]
    assert states(connection, bench, terminal) == [
        (CommandAction.LOCK, CommandState.SUPERSEDED, "NEWER_COMMAND"),
        (CommandAction.UNLOCK, CommandState.WAITING, ""),
    ]
    entries = connection.execute(select(audit_log.c.actor).where(audit_log.c.action == "command.closed")).scalars()
    assert list(entries) == ["platform:commands"]


def test_a_terminal_that_was_off_for_a_month_gets_only_what_still_applies(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    queued(connection, bench, terminal, CommandAction.RESTART)
    queued(connection, bench, terminal, CommandAction.COLLECT_DIAGNOSTICS)
    queued(connection, bench, terminal)
    queued(connection, bench, terminal, CommandAction.SET_CONFIGURATION, heartbeat_interval_ms=5000)
    bench.clock.advance(timedelta(days=20))
    newest = queued(connection, bench, terminal, CommandAction.SET_CONFIGURATION, heartbeat_interval_ms=9000)
    bench.clock.advance(timedelta(days=10))
    bench.registry.connected(
        connection, terminal_id=terminal.terminal_id, firmware_version="1.0", clock_skew=timedelta(0)
    )

    stock = bench.commands.stock(connection, terminal.terminal_id)
    closed = bench.commands.close_overtaken(connection, terminal.terminal_id)

    assert [delivery.command for delivery in stock.deliveries] == [newest]
    assert not stock.overtaken  # the newest word has closed what was over when it was given
    assert closed == []
    assert [state for _, state, _ in states(connection, bench, terminal)] == [
        CommandState.EXPIRED,
        CommandState.EXPIRED,
        CommandState.EXPIRED,
        CommandState.SUPERSEDED,
        CommandState.WAITING,
    ]


def test_a_restart_is_not_asked_for_again_when_the_terminal_comes_back_from_it(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    restart = queued(connection, bench, terminal, CommandAction.RESTART)
    assert bench.commands.sent(connection, restart.command_id)
    bench.clock.advance(timedelta(minutes=1))
    bench.registry.connected(
        connection, terminal_id=terminal.terminal_id, firmware_version="1.0", clock_skew=timedelta(0)
    )

    assert bench.commands.pending(connection, terminal.terminal_id) == []
    (closed,) = bench.commands.close_overtaken(connection, terminal.terminal_id)
    assert (closed.outcome, closed.detail) == (CommandOutcome.SUPERSEDED, "CONNECTED_SINCE")


def test_what_is_over_is_found_without_anybody_asking(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)
    assert bench.commands.to_look_at(connection, limit=10) == []

    bench.clock.set(command.expires_at)

    assert bench.commands.to_look_at(connection, limit=10) == [terminal.terminal_id]
    bench.commands.close_overtaken(connection, terminal.terminal_id)
    assert bench.commands.to_look_at(connection, limit=10) == []


def test_a_command_that_was_taken_back_is_not_sent(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    command = queued(connection, bench, terminal)

    bench.commands.cancel(connection, command_id=command.command_id, reason="by mistake", actor=OPERATOR)

    assert not bench.commands.sent(connection, command.command_id)
    assert bench.commands.pending(connection, terminal.terminal_id) == []
    with pytest.raises(CommandOverError):
        bench.commands.cancel(connection, command_id=command.command_id, reason="again", actor=OPERATOR)
    with pytest.raises(CommandUnknownError):
        bench.commands.cancel(connection, command_id=UNKNOWN_ID, reason="x", actor=OPERATOR)


def test_the_same_key_queues_once_whatever_became_of_the_command(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    def asked(action: CommandAction = CommandAction.RESTART, key: str = "night-1") -> Command:
        return bench.commands.queue(
            connection, terminal_id=terminal.terminal_id, action=action, actor=OPERATOR, idempotency_key=key
        )

    first = asked()
    bench.commands.cancel(connection, command_id=first.command_id, reason="no", actor=OPERATOR)

    assert asked().command_id == first.command_id
    assert asked(key="night-2").command_id != first.command_id
    with pytest.raises(IdempotencyKeyReusedError):
        asked(CommandAction.LOCK)
    with pytest.raises(FieldInvalidError):
        asked(key="no spaces")


def test_a_lifetime_is_the_actions_own_or_one_within_its_bounds(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    def waits(lifetime: timedelta | None) -> timedelta:
        command = bench.commands.queue(
            connection,
            terminal_id=terminal.terminal_id,
            action=CommandAction.RESTART,
            actor=OPERATOR,
            lifetime=lifetime,
        )
        return command.expires_at - command.queued_at

    assert waits(None) == timedelta(minutes=15)
    assert waits(timedelta(hours=2)) == timedelta(hours=2)
    for wrong in (timedelta(seconds=59), timedelta(days=2)):
        with pytest.raises(FieldInvalidError):
            waits(wrong)


def test_the_newest_word_counts_also_after_the_clock_was_set_back(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    unlock = queued(connection, bench, terminal, CommandAction.UNLOCK)
    bench.clock.advance(timedelta(seconds=-3))
    lock = queued(connection, bench, terminal, CommandAction.LOCK)

    assert bench.commands.pending(connection, terminal.terminal_id) == [lock]
    overruled = bench.commands.find(connection, unlock.command_id)
    assert overruled.outcome is CommandOutcome.SUPERSEDED
    assert lock.queued_at > unlock.queued_at


def test_commands_are_delivered_in_the_order_they_were_given_also_after_the_clock_was_set_back(
    connection: Connection, bench: RegistryBench, terminal: Terminal
) -> None:
    given = []
    for action in (CommandAction.LOCK, CommandAction.COLLECT_DIAGNOSTICS, CommandAction.RESTART):
        given.append(queued(connection, bench, terminal, action))
        bench.clock.advance(timedelta(minutes=-1))

    assert bench.commands.pending(connection, terminal.terminal_id) == given
