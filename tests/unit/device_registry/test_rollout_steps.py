"""A rollout's next step follows from where it stands and its numbers alone."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_registry.commands.command_records import CommandAction, CommandOutcome
from device_registry.errors import FieldInvalidError
from device_registry.model import TerminalClass
from device_registry.rollouts.plan_text import plan_from_text, text_from_plan
from device_registry.rollouts.rollout_records import (
    MemberState,
    Progress,
    Rollout,
    RolloutPlan,
    RolloutState,
    RosterFilter,
)
from device_registry.rollouts.rollout_steps import (
    STEP_MAX,
    Close,
    NoteWell,
    OpenGroup,
    Queue,
    Skip,
    Step,
    Stop,
    Wait,
    Withdraw,
    group_ends,
    in_order,
    next_step,
    settled_as,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
M = MemberState
PLAN = RolloutPlan(action=CommandAction.RENEW_CERTIFICATE, pace_per_minute=600)
RUNNING = Rollout(
    rollout_id="R-1",
    plan=PLAN,
    reason="yearly",
    started_by="operator:lin",
    started_at=NOW,
    members=100,
    group_ends=(1, 10, 100),
    state=RolloutState.RUNNING,
    state_reason="yearly",
    state_since=NOW,
    group_now=1,
    group_well_at=None,
    watched_since=NOW,
    closed_at=None,
)


def step(counts: dict[tuple[int, MemberState], int], rollout: Rollout = RUNNING, **numbers: Any) -> Step:  # noqa: ANN401  # fields of Progress
    return next_step(rollout, Progress(counts=counts, **numbers), now=NOW)


def test_the_first_group_has_its_turn_first() -> None:
    assert step({(1, M.PENDING): 1, (2, M.PENDING): 9}) == Queue(STEP_MAX)


def test_the_pace_is_what_the_last_minute_left() -> None:
    assert step({(1, M.PENDING): 9}, queued_last_minute=590) == Queue(10)
    assert step({(1, M.PENDING): 9}, queued_last_minute=600) == Wait()


def test_the_next_group_waits_until_the_one_before_is_well_done() -> None:
    assert step({(1, M.QUEUED): 1, (2, M.PENDING): 9}) == Wait()
    assert step({(1, M.DONE): 8, (1, M.QUEUED): 2, (2, M.PENDING): 9}) == Wait()
    assert step({(1, M.DONE): 9, (1, M.QUEUED): 1, (2, M.PENDING): 9}) == NoteWell()


def test_terminals_that_are_off_do_not_hold_the_others_up_and_say_nothing_good_either() -> None:
    assert step({(1, M.DONE): 8, (1, M.QUEUED): 2, (2, M.PENDING): 9}, unreached={1: 2}) == NoteWell()
    assert step({(1, M.QUEUED): 2, (2, M.PENDING): 9}, unreached={1: 2}) == Wait()


def test_a_group_that_ended_badly_stops_the_rollout() -> None:
    assert step({(1, M.DONE): 1, (1, M.EXPIRED): 1, (2, M.PENDING): 9}) == Stop("group 1: 1 of 2 done, 90 % wanted")
    assert step({(1, M.EXPIRED): 2, (2, M.PENDING): 9}, unreached={1: 2}) == Stop("group 1: 0 of 2 done, 90 % wanted")


def test_a_group_of_which_nobody_is_left_is_passed() -> None:
    assert step({(1, M.SKIPPED): 2, (2, M.PENDING): 9}) == NoteWell()


def test_the_soak_comes_between_two_groups() -> None:
    soaked = replace(RUNNING, plan=replace(PLAN, soak=timedelta(hours=1)), group_well_at=NOW - timedelta(minutes=59))
    counts = {(1, M.DONE): 1, (2, M.PENDING): 9}

    assert step(counts, soaked) == Wait()
    assert step(counts, replace(soaked, group_well_at=NOW - timedelta(hours=1))) == OpenGroup(2)


def test_the_last_group_is_followed_by_nothing() -> None:
    last = replace(RUNNING, group_now=3)

    assert step({(3, M.DONE): 89, (3, M.QUEUED): 1}, last) == Wait()
    assert step({(3, M.DONE): 89, (3, M.EXPIRED): 1}, last) == Close()


@pytest.mark.parametrize(
    ("done", "failed", "stops"),
    [(9, 0, False), (0, 9, False), (9, 1, False), (8, 2, True), (0, 10, True), (900, 100, False), (900, 101, True)],
)
def test_the_error_stop_is_a_share_of_those_that_answered_once_enough_did(
    done: int, failed: int, *, stops: bool
) -> None:
    assert isinstance(step({(1, M.PENDING): 9}, done_watched=done, failed_watched=failed), Stop) == stops


def test_the_error_stop_may_be_a_number() -> None:
    strict = replace(RUNNING, plan=replace(PLAN, failures_max=0))

    assert step({(1, M.PENDING): 9}, strict, failed_watched=1) == Stop("1 failed, at most 0 may")


@pytest.mark.parametrize("state", [RolloutState.PAUSED, RolloutState.STOPPED])
def test_what_was_not_sent_is_taken_back_while_a_rollout_rests(state: RolloutState) -> None:
    resting = replace(RUNNING, state=state)

    assert step({(1, M.QUEUED): 2}, resting, withdrawable=1) == Withdraw()
    assert step({(1, M.QUEUED): 2, (2, M.PENDING): 9}, resting) == Wait()


def test_a_cancelled_rollout_is_closed_when_the_last_answer_is_in() -> None:
    cancelled = replace(RUNNING, state=RolloutState.CANCELLED)

    assert step({(1, M.QUEUED): 2}, cancelled, withdrawable=1) == Withdraw()
    assert step({(1, M.QUEUED): 2, (2, M.PENDING): 9}, cancelled) == Skip()
    assert step({(1, M.QUEUED): 2, (2, M.SKIPPED): 9}, cancelled) == Wait()
    assert step({(1, M.DONE): 2, (2, M.SKIPPED): 9}, cancelled) == Close()


@given(
    members=st.integers(1, 60_000),
    groups=st.lists(st.sampled_from(["1%", "7%", "50%", "5", "300", "100%"]), max_size=6),
)
def test_groups_grow_none_is_empty_and_everybody_is_in_one(members: int, groups: list[str]) -> None:
    ends = group_ends(groups, members)

    assert ends[-1] == members
    assert all(before < after for before, after in zip((0, *ends), ends, strict=False))


def test_one_percent_of_a_few_is_one() -> None:
    assert group_ends(("1%", "10%", "100%"), 50) == (1, 5, 50)
    assert group_ends(("1%", "10%"), 3) == (1, 3)


@given(st.lists(st.uuids().map(str), unique=True, max_size=50), st.randoms())
def test_the_order_of_turns_does_not_depend_on_the_order_of_asking(terminal_ids: list[str], shuffler: Any) -> None:  # noqa: ANN401  # random.Random
    shuffled = list(terminal_ids)
    shuffler.shuffle(shuffled)

    assert in_order("R-1", shuffled) == in_order("R-1", terminal_ids)
    assert Counter(in_order("R-2", terminal_ids)) == Counter(terminal_ids)


@pytest.mark.parametrize(
    ("outcome", "told", "times_sent", "settled"),
    [
        (CommandOutcome.DONE, "all fine", 1, (M.DONE, "")),
        (CommandOutcome.FAILED, "no room", 1, (M.FAILED, "FAILED: no room")),
        (CommandOutcome.UNSUPPORTED, "", 1, (M.FAILED, "UNSUPPORTED: ")),
        (CommandOutcome.SUPERSEDED, "CERTIFICATE_RENEWED", 0, (M.DONE, "CERTIFICATE_RENEWED")),
        (CommandOutcome.SUPERSEDED, "RUNS_ALREADY; answered late: x", 1, (M.DONE, "RUNS_ALREADY")),
        (CommandOutcome.SUPERSEDED, "NEWER_COMMAND", 1, (M.SKIPPED, "NEWER_COMMAND")),
        (CommandOutcome.EXPIRED, "TIME_IS_OVER", 0, (M.EXPIRED, "NEVER_SENT")),
        (CommandOutcome.EXPIRED, "TIME_IS_OVER", 2, (M.EXPIRED, "UNANSWERED")),
        (CommandOutcome.CANCELLED, "by mistake", 1, (M.SKIPPED, "CANCELLED")),
    ],
)
def test_a_command_settles_its_member(
    outcome: CommandOutcome, told: str, times_sent: int, settled: tuple[MemberState, str]
) -> None:
    assert settled_as(outcome, told=told, times_sent=times_sent) == settled


@pytest.mark.parametrize(
    "wrong",
    [
        {"pace_per_minute": 0},
        {"pace_per_minute": 3_001},
        {"failures_percent_max": 101},
        {"failures_answered_min": 0},
        {"failures_max": -1},
        {"group_done_percent": 0},
        {"soak": timedelta(days=31)},
        {"soak": timedelta(seconds=-1)},
        {"groups": ("0%",)},
        {"groups": ("101%",)},
        {"groups": ("half",)},
        {"groups": ("1%",) * 11},
        {"command_lifetime": timedelta(days=31)},
    ],
)
def test_a_plan_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FieldInvalidError):
        replace(PLAN, **wrong).check()


def test_a_plan_is_read_back_as_it_was_written() -> None:
    plan = replace(
        PLAN,
        where=RosterFilter(region="330100", terminal_class=TerminalClass.FACE, issuer_id="a1", expiring_before=NOW),
        soak=timedelta(hours=2),
        failures_max=5,
        groups=("5", "50%"),
    )

    assert plan_from_text(text_from_plan(plan)) == plan
