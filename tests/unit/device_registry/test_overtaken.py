"""Of what waited for a terminal, only what still applies is left."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_registry.commands.command_records import Because, Command, CommandAction, CommandOutcome
from device_registry.commands.overtaken import Situation, overtaken

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
A = CommandAction


def a_command(action: CommandAction, *, age: timedelta = DAY, left: timedelta = DAY, **parameters: str) -> Command:
    if action is A.OFFER_FIRMWARE:
        parameters = {"firmware_id": "F-1", "version": "2.0", **parameters}
    queued_at = NOW - age
    return Command(
        command_id=f"{(queued_at - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds():012.0f}-{action}",
        terminal_id="T-1",
        action=action,
        parameters=parameters,
        queued_by="operator:lin",
        queued_at=queued_at,
        expires_at=NOW + left,
        sent_at=None,
        times_sent=0,
        answered_at=None,
        outcome=None,
        detail="",
        idempotency_key=None,
        closed_at=None,
        late_outcome=None,
    )


def why(*commands: Command, **situation: object) -> list[Because | None]:
    """Return for each command why it is over, None when it still applies."""
    closings = overtaken(commands, Situation(now=NOW, **situation))  # type: ignore[arg-type]  # fields of Situation
    because = {closing.command.command_id: closing.because for closing in closings}
    return [because.get(command.command_id) for command in commands]


def test_nothing_is_over_when_nothing_has_happened() -> None:
    assert (
        why(*(a_command(action) for action in (A.RENEW_CERTIFICATE, A.RESTART, A.LOCK, A.OFFER_FIRMWARE))) == [None] * 4
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (A.SET_CONFIGURATION, A.SET_CONFIGURATION),
        (A.LOCK, A.UNLOCK),
        (A.UNLOCK, A.LOCK),
        (A.LOCK, A.LOCK),
        (A.OFFER_FIRMWARE, A.OFFER_FIRMWARE),
    ],
)
def test_the_newest_of_a_kind_is_the_one_that_counts(older: CommandAction, newer: CommandAction) -> None:
    first, second = a_command(older, age=2 * DAY), a_command(newer)

    assert why(first, second) == [Because.NEWER_COMMAND, None]
    assert why(second, first) == [None, Because.NEWER_COMMAND]


def test_an_unlock_whose_time_is_over_still_keeps_an_older_lock_from_being_done() -> None:
    lock, unlock = a_command(A.LOCK, age=2 * DAY), a_command(A.UNLOCK, left=timedelta(0))

    assert why(lock, unlock) == [Because.NEWER_COMMAND, Because.TIME_IS_OVER]


def test_kinds_leave_each_other_alone() -> None:
    assert why(a_command(A.LOCK, age=2 * DAY), a_command(A.SET_CONFIGURATION), a_command(A.RESTART)) == [None] * 3


def test_a_renewal_falls_away_when_a_certificate_was_issued_after_it_was_asked_for() -> None:
    renew = a_command(A.RENEW_CERTIFICATE)

    assert why(renew, certificate_issued_at=renew.queued_at) == [None]
    assert why(renew, certificate_issued_at=NOW) == [Because.CERTIFICATE_RENEWED]


def test_that_the_aim_is_reached_counts_before_that_the_time_is_over() -> None:
    renew = a_command(A.RENEW_CERTIFICATE, left=-DAY)
    offer = a_command(A.OFFER_FIRMWARE, left=-DAY)

    assert why(renew, offer, certificate_issued_at=NOW, firmware_version="2.0") == [
        Because.CERTIFICATE_RENEWED,
        Because.RUNS_ALREADY,
    ]


def test_a_restart_falls_away_when_the_terminal_has_come_back_since() -> None:
    restart = a_command(A.RESTART)

    assert why(restart, connected_at=restart.queued_at - DAY) == [None]
    assert why(restart, connected_at=NOW) == [Because.CONNECTED_SINCE]


def test_firmware_that_was_flagged_since_is_not_offered_any_more() -> None:
    assert why(a_command(A.OFFER_FIRMWARE), unfit_firmware=frozenset({"F-1"})) == [Because.FIRMWARE_UNFIT]
    assert why(a_command(A.OFFER_FIRMWARE), unfit_firmware=frozenset({"F-2"})) == [None]


def test_a_month_away_leaves_only_what_still_applies() -> None:
    waiting = [
        a_command(A.RESTART, age=30 * DAY, left=-29 * DAY),
        a_command(A.SET_CONFIGURATION, age=29 * DAY, left=60 * DAY),
        a_command(A.LOCK, age=28 * DAY, left=10 * DAY),
        a_command(A.RENEW_CERTIFICATE, age=20 * DAY, left=-13 * DAY),
        a_command(A.OFFER_FIRMWARE, age=15 * DAY, left=15 * DAY, firmware_id="F-1", version="1.9"),
        a_command(A.UNLOCK, age=10 * DAY, left=20 * DAY),
        a_command(A.SET_CONFIGURATION, age=5 * DAY, left=85 * DAY),
        a_command(A.OFFER_FIRMWARE, age=3 * DAY, left=27 * DAY, firmware_id="F-2", version="2.0"),
    ]

    left = [command.action for command, because in zip(waiting, why(*waiting), strict=True) if because is None]

    assert left == [A.UNLOCK, A.SET_CONFIGURATION, A.OFFER_FIRMWARE]


a_moment = st.integers(min_value=-50, max_value=-1).map(lambda days: NOW + days * DAY)
commands_of_any_kind = st.lists(
    st.builds(
        lambda action, age, left: a_command(action, age=age * DAY + timedelta(seconds=age), left=left * DAY),
        st.sampled_from(CommandAction),
        st.integers(min_value=1, max_value=60),
        st.integers(min_value=-30, max_value=30),
    ),
    max_size=12,
    unique_by=lambda command: command.queued_at,
)


@given(
    commands=commands_of_any_kind,
    certificate_issued_at=st.none() | a_moment,
    connected_at=st.none() | a_moment,
    firmware_version=st.sampled_from([None, "1.0", "2.0"]),
    unfit=st.sampled_from([frozenset[str](), frozenset({"F-1"})]),
)
def test_whatever_waits_at_most_one_of_a_kind_is_left_and_looking_twice_changes_nothing(
    commands: list[Command],
    certificate_issued_at: datetime | None,
    connected_at: datetime | None,
    firmware_version: str | None,
    unfit: frozenset[str],
) -> None:
    situation = Situation(
        now=NOW,
        certificate_issued_at=certificate_issued_at,
        connected_at=connected_at,
        firmware_version=firmware_version,
        unfit_firmware=unfit,
    )

    closings = overtaken(commands, situation)
    gone = {closing.command.command_id for closing in closings}
    left = [command for command in commands if command.command_id not in gone]

    assert overtaken(left, situation) == []
    assert all(command.expires_at > NOW for command in left)
    for kind in ({A.SET_CONFIGURATION}, {A.LOCK, A.UNLOCK}, {A.OFFER_FIRMWARE}):
        remaining = [command for command in left if command.action in kind]
        assert len(remaining) <= 1
        if remaining:
            assert remaining[0] == max((c for c in commands if c.action in kind), key=lambda c: c.queued_at)
    assert {closing.outcome for closing in closings} <= {CommandOutcome.SUPERSEDED, CommandOutcome.EXPIRED}
