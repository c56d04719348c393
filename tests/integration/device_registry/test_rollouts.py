"""One command for many: in groups, at a pace, until it is done or too much goes wrong."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from device_registry import (
    CommandAction,
    CommandOutcome,
    CommandState,
    Site,
    Terminal,
    TerminalState,
)
from device_registry.errors import (
    FieldInvalidError,
    IdempotencyKeyReusedError,
    RolloutEmptyError,
    RolloutStateError,
    RolloutUnknownError,
)
from device_registry.rollouts.rollout_records import MemberState, Rollout, RolloutPlan, RolloutState, RosterFilter
from device_registry.tables import audit_log, certificates
from tests.support.builders import OPERATOR, RegistryBench, a_site, a_terminal

M = MemberState
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
PLAN = RolloutPlan(action=CommandAction.COLLECT_DIAGNOSTICS, groups=("1", "50%"), pace_per_minute=600)


class Fleet:
    """Ten terminals that answer when they are told to."""

    def __init__(self, connection: Connection, bench: RegistryBench) -> None:
        self.connection = connection
        self.bench = bench
        self.site: Site = a_site(connection, bench.registry)
        self.terminals: list[Terminal] = [a_terminal(connection, bench.registry, site=self.site) for _ in range(10)]

    def start(self, plan: RolloutPlan = PLAN, **more: Any) -> Rollout:  # noqa: ANN401 - what `start` takes
        """Begin, a second before now."""
        started = self.bench.rollouts.start(self.connection, plan, reason="a test", actor=OPERATOR, **more)
        self.bench.clock.advance(SECOND)
        return started

    def advance(self, rollout: Rollout, by: timedelta = SECOND) -> Rollout:
        """Let some time pass, then take one step."""
        self.bench.clock.advance(by)
        return self.bench.rollouts.advance(self.connection, rollout.rollout_id)

    def answer(self, outcome: CommandOutcome = CommandOutcome.DONE, *, only: Sequence[str] | None = None) -> int:
        """Let terminals take and answer what waits for them; return how many commands that were."""
        answered = 0
        for terminal in self.terminals:
            if only is not None and terminal.terminal_id not in only:
                continue
            for command in self.bench.commands.pending(self.connection, terminal.terminal_id):
                self.bench.commands.sent(self.connection, command.command_id)
                self.bench.commands.answered(
                    self.connection,
                    terminal_id=terminal.terminal_id,
                    command_id=command.command_id,
                    outcome=outcome,
                    detail="",
                )
                answered += 1
        return answered

    def states(self, rollout: Rollout) -> Counter[MemberState]:
        """Count the members by state."""
        members = self.bench.rollouts.members(self.connection, rollout.rollout_id)
        return Counter(member.state for member in members)

    def details(self, rollout: Rollout, state: MemberState) -> set[str]:
        """Return what is said of members in one state."""
        members = self.bench.rollouts.members(self.connection, rollout.rollout_id, state=state)
        return {member.detail for member in members}


@pytest.fixture
def fleet(connection: Connection, bench: RegistryBench) -> Fleet:
    return Fleet(connection, bench)


def test_a_rollout_goes_from_group_to_group_until_everybody_is_done(fleet: Fleet) -> None:
    rollout = fleet.start()
    assert (rollout.members, rollout.group_ends) == (10, (1, 5, 10))

    sizes = []
    for _ in rollout.group_ends:
        rollout = fleet.advance(rollout)
        sizes.append(fleet.states(rollout)[M.QUEUED])
        assert fleet.answer() == sizes[-1]
    rollout = fleet.advance(rollout)

    assert sizes == [1, 4, 5]
    assert rollout.state is RolloutState.DONE
    assert rollout.closed_at == fleet.bench.clock.now()
    assert fleet.states(rollout) == {M.DONE: 10}
    assert fleet.bench.rollouts.due(fleet.connection) == []


def test_nothing_is_due_while_a_group_works(fleet: Fleet) -> None:
    rollout = fleet.start()
    assert fleet.bench.rollouts.due(fleet.connection) == [rollout.rollout_id]

    fleet.advance(rollout)
    assert fleet.bench.rollouts.due(fleet.connection) == []

    fleet.answer()
    assert fleet.bench.rollouts.due(fleet.connection) == [rollout.rollout_id]


def test_the_pace_counts_any_minute(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, groups=("100%",), pace_per_minute=3))

    queued = []
    for _ in range(4):
        rollout = fleet.advance(rollout)
        queued.append(fleet.states(rollout)[M.QUEUED])
    rollout = fleet.advance(rollout, MINUTE)
    queued.append(fleet.states(rollout)[M.QUEUED])

    assert queued == [3, 3, 3, 3, 6]


def test_advancing_again_changes_nothing(fleet: Fleet) -> None:
    rollout = fleet.start()
    fleet.advance(rollout)
    before = fleet.bench.rollouts.members(fleet.connection, rollout.rollout_id)

    for _ in range(3):
        fleet.advance(rollout)

    assert fleet.bench.rollouts.members(fleet.connection, rollout.rollout_id) == before


def test_a_rollout_that_fails_is_stopped_and_takes_back_what_was_not_sent(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, groups=("100%",), failures_answered_min=2, failures_percent_max=50))
    rollout = fleet.advance(rollout)
    some = [terminal.terminal_id for terminal in fleet.terminals[:3]]
    fleet.answer(CommandOutcome.FAILED, only=some)

    rollout = fleet.advance(rollout)
    assert rollout.state is RolloutState.STOPPED
    assert rollout.state_reason == "3 of 3 failed, at most 50 % may"
    rollout = fleet.advance(rollout)

    assert fleet.states(rollout) == {M.FAILED: 3, M.PENDING: 7}
    for terminal in fleet.terminals[3:]:
        assert fleet.bench.commands.pending(fleet.connection, terminal.terminal_id) == []
        (taken_back,) = fleet.bench.commands.history(fleet.connection, terminal.terminal_id)
        assert taken_back.state(fleet.bench.clock.now()) is CommandState.CANCELLED


def test_after_an_error_stop_somebody_decides_that_it_goes_on(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, groups=("100%",), failures_max=0))
    fleet.advance(rollout)
    fleet.answer(CommandOutcome.FAILED, only=[fleet.terminals[0].terminal_id])
    rollout = fleet.advance(fleet.advance(rollout))
    assert rollout.state is RolloutState.STOPPED

    rollout = fleet.bench.rollouts.resume(
        fleet.connection, rollout_id=rollout.rollout_id, reason="it was the disk", actor=OPERATOR
    )
    rollout = fleet.advance(rollout)
    assert rollout.state is RolloutState.RUNNING
    fleet.answer()
    rollout = fleet.advance(rollout)

    assert rollout.state is RolloutState.DONE
    assert fleet.states(rollout) == {M.FAILED: 1, M.DONE: 9}


def test_a_group_that_nobody_of_answered_stops_it_and_resuming_passes_that_group(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, command_lifetime=MINUTE))
    fleet.advance(rollout)
    fleet.bench.clock.advance(MINUTE)
    closed = [
        command
        for terminal_id in fleet.bench.commands.to_look_at(fleet.connection, limit=50)
        for command in fleet.bench.commands.close_overtaken(fleet.connection, terminal_id)
    ]
    assert [command.outcome for command in closed] == [CommandOutcome.EXPIRED]

    rollout = fleet.advance(rollout)
    assert rollout.state_reason == "group 1: 0 of 1 done, 90 % wanted"
    assert fleet.details(rollout, M.EXPIRED) == {"NEVER_SENT"}
    rollout = fleet.bench.rollouts.resume(
        fleet.connection, rollout_id=rollout.rollout_id, reason="was in repair", actor=OPERATOR
    )

    assert rollout.group_now == 2


def test_pausing_takes_back_what_was_not_sent_and_resuming_gives_it_again(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, groups=("100%",)))
    fleet.advance(rollout)
    first = fleet.terminals[0].terminal_id
    (sent,) = fleet.bench.commands.pending(fleet.connection, first)
    fleet.bench.commands.sent(fleet.connection, sent.command_id)
    decide = {"rollout_id": rollout.rollout_id, "reason": "rush hour", "actor": OPERATOR}

    fleet.bench.rollouts.pause(fleet.connection, **decide)
    rollout = fleet.advance(rollout)
    assert fleet.states(rollout) == {M.QUEUED: 1, M.PENDING: 9}
    assert not fleet.bench.commands.pending(fleet.connection, fleet.terminals[1].terminal_id)
    fleet.bench.rollouts.resume(fleet.connection, **decide)
    rollout = fleet.advance(rollout)

    assert fleet.states(rollout) == {M.QUEUED: 10}
    assert [it.command_id for it in fleet.bench.commands.pending(fleet.connection, first)] == [sent.command_id]


def test_a_cancelled_rollout_gives_nothing_more_and_hears_the_answers_that_are_on_their_way(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, groups=("5", "100%")))
    fleet.advance(rollout)
    first = fleet.bench.rollouts.members(fleet.connection, rollout.rollout_id)[0].terminal_id
    (sent,) = fleet.bench.commands.pending(fleet.connection, first)
    fleet.bench.commands.sent(fleet.connection, sent.command_id)
    fleet.bench.rollouts.cancel(fleet.connection, rollout_id=rollout.rollout_id, reason="wrong region", actor=OPERATOR)

    rollout = fleet.advance(fleet.advance(rollout))
    assert fleet.states(rollout) == {M.QUEUED: 1, M.SKIPPED: 9}
    assert rollout.closed_at is None
    fleet.answer()
    rollout = fleet.advance(rollout)

    assert rollout.state is RolloutState.CANCELLED
    assert rollout.closed_at is not None
    assert fleet.states(rollout) == {M.DONE: 1, M.SKIPPED: 9}


def test_what_ended_cannot_be_decided_on_again(fleet: Fleet) -> None:
    rollout = fleet.start()
    decide = {"rollout_id": rollout.rollout_id, "reason": "x", "actor": OPERATOR}
    with pytest.raises(RolloutStateError):
        fleet.bench.rollouts.resume(fleet.connection, **decide)
    fleet.bench.rollouts.cancel(fleet.connection, **decide)

    for refused in (fleet.bench.rollouts.cancel, fleet.bench.rollouts.pause, fleet.bench.rollouts.resume):
        with pytest.raises(RolloutStateError):
            refused(fleet.connection, **decide)
    with pytest.raises(RolloutUnknownError):
        fleet.bench.rollouts.find(fleet.connection, "0195a000-0000-7000-8000-00000000dead")
    with pytest.raises(FieldInvalidError):
        fleet.bench.rollouts.pause(fleet.connection, rollout_id=rollout.rollout_id, reason=" ", actor=OPERATOR)


def test_every_decision_stands_in_the_audit_log(fleet: Fleet) -> None:
    rollout = fleet.start()
    for decide in (fleet.bench.rollouts.pause, fleet.bench.rollouts.resume, fleet.bench.rollouts.cancel):
        decide(fleet.connection, rollout_id=rollout.rollout_id, reason="a word", actor=OPERATOR, request_id="Q-1")

    entries = fleet.connection.execute(
        select(audit_log.c.action, audit_log.c.actor, audit_log.c.reason).where(
            audit_log.c.subject == rollout.rollout_id
        )
    ).all()
    assert [tuple(entry) for entry in entries] == [
        ("rollout.started", OPERATOR, "a test"),
        ("rollout.paused", OPERATOR, "a word"),
        ("rollout.running", OPERATOR, "a word"),
        ("rollout.cancelled", OPERATOR, "a word"),
    ]
    assert fleet.bench.audit.verify(fleet.connection).broken_at is None


def test_who_left_service_meanwhile_is_left_out(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, groups=("100%",)))
    fleet.bench.registry.revoke(
        fleet.connection, terminal_id=fleet.terminals[0].terminal_id, reason="stolen", actor=OPERATOR
    )

    rollout = fleet.advance(rollout)

    assert fleet.states(rollout) == {M.QUEUED: 9, M.SKIPPED: 1}
    assert fleet.details(rollout, M.SKIPPED) == {"TERMINAL_REVOKED"}


def test_who_renewed_by_itself_is_done(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, action=CommandAction.RENEW_CERTIFICATE, groups=("5", "100%")))
    rollout = fleet.advance(rollout)
    in_order = [it.terminal_id for it in fleet.bench.rollouts.members(fleet.connection, rollout.rollout_id)]
    renewed_early, renewed_later = in_order[0], in_order[9]  # one has its command, one has not
    fleet.connection.execute(
        update(certificates)
        .where(certificates.c.terminal_id.in_((renewed_early, renewed_later)))
        .values(issued_at=fleet.bench.clock.advance(SECOND))
    )

    fleet.bench.clock.advance(2 * MINUTE)
    assert fleet.bench.commands.to_look_at(fleet.connection, limit=50) == [renewed_early]
    fleet.bench.commands.close_overtaken(fleet.connection, renewed_early)
    fleet.answer()
    rollout = fleet.advance(rollout)
    fleet.answer()
    rollout = fleet.advance(rollout)

    assert rollout.state is RolloutState.DONE
    by_itself = [
        member.terminal_id
        for member in fleet.bench.rollouts.members(fleet.connection, rollout.rollout_id)
        if member.detail == "CERTIFICATE_RENEWED"
    ]
    assert by_itself == [renewed_early, renewed_later]


def test_only_those_selected_are_members(fleet: Fleet) -> None:
    elsewhere = a_site(fleet.connection, fleet.bench.registry, region="440100")
    there = a_terminal(fleet.connection, fleet.bench.registry, site=elsewhere)
    a_terminal(fleet.connection, fleet.bench.registry, site=elsewhere, state=TerminalState.SUSPENDED)
    soon = fleet.terminals[3].terminal_id
    end = fleet.bench.clock.now() + timedelta(days=3)
    fleet.connection.execute(update(certificates).where(certificates.c.terminal_id == soon).values(not_after=end))

    def members(where: RosterFilter) -> list[str]:
        rollout = fleet.start(replace(PLAN, where=where))
        return [it.terminal_id for it in fleet.bench.rollouts.members(fleet.connection, rollout.rollout_id)]

    assert members(RosterFilter(region="440100")) == [there.terminal_id]
    assert members(RosterFilter(expiring_before=end + SECOND)) == [soon]
    assert len(members(RosterFilter())) == 11
    with pytest.raises(RolloutEmptyError):
        members(RosterFilter(expiring_before=end))
    with pytest.raises(RolloutEmptyError):
        members(RosterFilter(issuer_id="nobody"))


def test_the_same_key_starts_once(fleet: Fleet) -> None:
    first = fleet.start(idempotency_key="spring-2026")

    again = fleet.start(idempotency_key="spring-2026")

    assert again.rollout_id == first.rollout_id
    with pytest.raises(IdempotencyKeyReusedError):
        fleet.start(replace(PLAN, pace_per_minute=1), idempotency_key="spring-2026")


def test_the_census_counts_rollouts_and_the_members_of_open_ones(fleet: Fleet) -> None:
    done = fleet.start(replace(PLAN, groups=("100%",)))
    fleet.advance(done)
    fleet.answer()
    fleet.advance(done)
    fleet.advance(fleet.start())

    census = fleet.bench.rollouts.census(fleet.connection)

    assert census.rollouts == {RolloutState.DONE: 1, RolloutState.RUNNING: 1}
    assert census.members == {M.QUEUED: 1, M.PENDING: 9}


def stopped_by_one_failure(fleet: Fleet) -> Rollout:
    rollout = fleet.start(replace(PLAN, groups=("100%",), failures_max=0))
    fleet.advance(rollout)
    fleet.answer(CommandOutcome.FAILED, only=[fleet.terminals[0].terminal_id])
    rollout = fleet.advance(fleet.advance(rollout))
    assert rollout.state is RolloutState.STOPPED
    return rollout


def test_a_clock_that_was_set_back_hides_no_failure_from_the_error_stop(fleet: Fleet) -> None:
    rollout = stopped_by_one_failure(fleet)
    fleet.bench.rollouts.resume(fleet.connection, rollout_id=rollout.rollout_id, reason="mended", actor=OPERATOR)
    fleet.advance(rollout, -HOUR)
    fleet.answer(CommandOutcome.FAILED, only=[fleet.terminals[1].terminal_id])

    rollout = fleet.advance(rollout)

    assert (rollout.state, rollout.state_reason) == (RolloutState.STOPPED, "1 failed, at most 0 may")


def test_what_was_forgiven_stays_forgiven_when_the_clock_is_set_back(fleet: Fleet) -> None:
    rollout = stopped_by_one_failure(fleet)
    fleet.bench.clock.advance(-HOUR)
    fleet.bench.rollouts.resume(fleet.connection, rollout_id=rollout.rollout_id, reason="mended", actor=OPERATOR)

    assert fleet.advance(rollout).state is RolloutState.RUNNING


def test_the_pace_goes_on_when_the_clock_is_set_back(fleet: Fleet) -> None:
    rollout = fleet.start(replace(PLAN, groups=("100%",), pace_per_minute=3))
    fleet.advance(rollout)

    fleet.advance(rollout, -HOUR)

    assert fleet.states(rollout)[M.QUEUED] == 6
