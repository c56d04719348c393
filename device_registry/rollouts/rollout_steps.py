"""What is to be done next for a rollout? Pure: from where it stands and its numbers to one step.

Nothing is remembered between steps but what the database says, so whoever asks, on whichever replica and after
whatever crash, gets the same answer.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from device_registry.commands.command_records import GOAL_REACHED, CommandOutcome
from device_registry.rollouts.rollout_records import MemberState, Progress, Rollout, RolloutState

STEP_MAX = 20
"""Members that one step gives a command: each holds the one writer for 1 to 2 ms, and payments wait behind it."""
PORTION = 500
"""Members that are written down in one transaction when a rollout starts."""
NEVER_SENT = "NEVER_SENT"
DETAIL_LENGTH_MAX = 128
_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Fill:
    """Write the next portion of members down."""

    begin: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The error stop: no command more."""

    reason: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Give so many more members their command."""

    limit: int


@dataclass(frozen=True, slots=True)
class NoteWell:
    """The group is well done: the soak begins."""


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """It is this group's turn."""

    group: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back commands that were not sent yet."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Leave out those whose turn had not come."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done now."""


Step = Fill | Stop | Queue | NoteWell | OpenGroup | Withdraw | Skip | Close | Wait


def next_step(rollout: Rollout, progress: Progress, *, now: datetime) -> Step:
    """Return what to do next."""
    match rollout.state:
        case RolloutState.PREPARING:
            return Fill(progress.count(*MemberState))
        case RolloutState.RUNNING:
            return _running(rollout, progress, now)
        case RolloutState.PAUSED | RolloutState.STOPPED:
            return Withdraw() if progress.withdrawable else Wait()
        case RolloutState.CANCELLED:
            return _cancelled(progress)
        case RolloutState.DONE:
            return Wait() if rollout.closed_at else Close()


def _cancelled(progress: Progress) -> Step:
    if progress.withdrawable:
        return Withdraw()
    if progress.count(MemberState.PENDING):
        return Skip()
    return Wait() if progress.count(MemberState.QUEUED) else Close()


def _running(rollout: Rollout, progress: Progress, now: datetime) -> Step:
    too_many = _too_many_failures(rollout, progress)
    if too_many:
        return Stop(too_many)
    if not progress.count(MemberState.PENDING, MemberState.QUEUED):
        return Close()
    if any(progress.count(MemberState.PENDING, group=group) for group in range(1, rollout.group_now + 1)):
        limit = min(STEP_MAX, rollout.plan.pace_per_minute - progress.queued_last_minute)
        return Queue(limit) if limit > 0 else Wait()
    if rollout.group_now == len(rollout.group_ends):
        return Wait()
    return _between_groups(rollout, progress, now)


def _between_groups(rollout: Rollout, progress: Progress, now: datetime) -> Step:
    group = rollout.group_now
    if rollout.group_well_at is not None:
        return OpenGroup(group + 1) if now >= rollout.group_well_at + rollout.plan.soak else Wait()
    done = progress.count(MemberState.DONE, group=group)
    wanted = progress.count(*MemberState, group=group) - progress.count(MemberState.SKIPPED, group=group)
    reached = wanted - progress.unreached.get(group, 0)
    if not wanted or (done and done * _PERCENT >= reached * rollout.plan.group_done_percent):
        return NoteWell()
    if not _open(progress, group):
        return Stop(f"group {group}: {done} of {wanted} done, {rollout.plan.group_done_percent} % wanted")
    return Wait()


def _open(progress: Progress, group: int) -> int:
    return progress.count(MemberState.PENDING, MemberState.QUEUED, group=group)


def _too_many_failures(rollout: Rollout, progress: Progress) -> str:
    """Return what is wrong, nothing when all is well."""
    plan, failed = rollout.plan, progress.failed_watched
    answered = failed + progress.done_watched
    if plan.failures_max is not None and failed > plan.failures_max:
        return f"{failed} failed, at most {plan.failures_max} may"
    if answered >= plan.failures_answered_min and failed * _PERCENT > plan.failures_percent_max * answered:
        return f"{failed} of {answered} failed, at most {plan.failures_percent_max} % may"
    return ""


def group_ends(groups: Sequence[str], members: int) -> tuple[int, ...]:
    """Return how many members have had their turn by the end of each group; empty groups fall away, all is added."""
    ends: list[int] = []
    for group in (*groups, "100%"):
        percent = group.endswith("%")
        wanted = math.ceil(members * int(group[:-1]) / _PERCENT) if percent else int(group)
        end = min(wanted, members)
        if end > (ends[-1] if ends else 0):
            ends.append(end)
    return tuple(ends)


def in_order(rollout_id: str, terminal_ids: Sequence[str]) -> list[str]:
    """Return the terminals in the order of their turns: as good as shuffled, and for one rollout always the same."""
    return sorted(terminal_ids, key=lambda it: hashlib.sha256(f"{rollout_id}:{it}".encode()).digest())


def settled_as(outcome: CommandOutcome, *, told: str, times_sent: int) -> tuple[MemberState, str]:
    """Return how a member stands when its command is over, and what there is to say about it."""
    match outcome:
        case CommandOutcome.DONE:
            return MemberState.DONE, ""
        case CommandOutcome.FAILED | CommandOutcome.UNSUPPORTED:
            return MemberState.FAILED, f"{outcome}: {told}"[:DETAIL_LENGTH_MAX]
        case CommandOutcome.SUPERSEDED:
            because = told.partition(";")[0]  # what was answered late stands behind it
            return (MemberState.DONE if because in GOAL_REACHED else MemberState.SKIPPED), because[:DETAIL_LENGTH_MAX]
        case CommandOutcome.EXPIRED:
            return MemberState.EXPIRED, "UNANSWERED" if times_sent else NEVER_SENT
        case CommandOutcome.CANCELLED:
            return MemberState.SKIPPED, "CANCELLED"
