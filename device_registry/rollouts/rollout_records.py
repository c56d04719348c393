"""What is a rollout? One command for many terminals, in groups, at a pace, until it is done or too much goes wrong."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from device_registry.commands.command_parameters import Parameters, lifetime_of
from device_registry.commands.command_records import CommandAction
from device_registry.errors import FieldInvalidError
from device_registry.rollouts.rollout_states import MemberState, RolloutState
from device_registry.roster import RosterFilter

PACE_MAX = 3_000
"""Commands a minute; more would keep payments waiting for the database."""
GROUPS_MAX = 10
SOAK_MAX = timedelta(days=30)
_GROUP = re.compile(r"[1-9]\d{0,5}|(100|[1-9]\d?)%")
_PERCENT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """What an operator decides when a rollout starts; it stays as it is."""

    action: CommandAction
    parameters: Parameters = field(default_factory=dict)
    where: RosterFilter = field(default_factory=RosterFilter)
    """For which terminals it is, ACTIVE ones unless it says otherwise; who fits is fixed when it starts."""
    groups: tuple[str, ...] = ("1%", "10%", "100%")
    """How many terminals have had their turn by the end of each group: a share of all, or a number. All is added."""
    pace_per_minute: int = 60
    """Commands queued within any minute."""
    failures_percent_max: int = 10
    """Stop when more than this share of those that answered has failed ..."""
    failures_answered_min: int = 10
    """... once so many have answered; one failure of one says little."""
    failures_max: int | None = None
    """Stop when more than this number has failed, however many answered."""
    group_done_percent: int = 90
    """The next group's turn comes when this share of the reached terminals of the group before is done."""
    soak: timedelta = timedelta(0)
    """How long to wait then: some faults show only after a while."""
    command_lifetime: timedelta | None = None
    """For how long each command is worth doing, by default the action's own."""

    def check(self) -> None:
        """Raise when something is out of bounds."""
        _refuse_number("pace_per_minute", self.pace_per_minute, 1, PACE_MAX)
        _refuse_number("failures_percent_max", self.failures_percent_max, 0, _PERCENT)
        _refuse_number("failures_answered_min", self.failures_answered_min, 1, 1_000_000)
        _refuse_number("group_done_percent", self.group_done_percent, 1, _PERCENT)
        if self.failures_max is not None:
            _refuse_number("failures_max", self.failures_max, 0, 1_000_000)
        if not timedelta(0) <= self.soak <= SOAK_MAX:
            raise FieldInvalidError(field="soak", detail=f"0 to {SOAK_MAX}")
        if len(self.groups) > GROUPS_MAX or not all(_GROUP.fullmatch(group) for group in self.groups):
            raise FieldInvalidError(field="groups", detail=f"up to {GROUPS_MAX} of 1% to 100%, or numbers")
        lifetime_of(self.action, self.command_lifetime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A rollout and where it stands."""

    rollout_id: str
    plan: RolloutPlan
    reason: str
    started_by: str
    started_at: datetime
    members: int
    group_ends: tuple[int, ...]
    """How many members have had their turn by the end of each group; the last one is all of them."""
    state: RolloutState
    state_reason: str
    state_since: datetime
    group_now: int
    """The group whose turn it is, from 1."""
    group_well_at: datetime | None
    """Since when it is well done; the next one's turn comes after the soak."""
    watched_since: datetime
    """Failures before that were forgiven: by whoever resumed it after an error stop."""
    closed_at: datetime | None
    """When the last of its commands was settled; until then it is worked on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One terminal of a rollout."""

    rollout_id: str
    terminal_id: str
    group_number: int
    place: int
    """Its turn among all members, from 0."""
    state: MemberState
    detail: str
    command_id: str | None
    queued_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A rollout in numbers."""

    counts: Mapping[tuple[int, MemberState], int]
    """Members by group and state."""
    unreached: Mapping[int, int] = field(default_factory=dict)
    """By group: members that were never sent their command, although there was time enough."""
    withdrawable: int = 0
    """Members whose command was not sent yet."""
    done_watched: int = 0
    failed_watched: int = 0
    queued_last_minute: int = 0

    def count(self, *states: MemberState, group: int | None = None) -> int:
        """Return how many members are in one of these states, in one group or in all."""
        return sum(n for (g, state), n in self.counts.items() if state in states and group in {None, g})


def _refuse_number(field_name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise FieldInvalidError(field=field_name, detail=f"{low} to {high}")


__all__ = ["Member", "MemberState", "Progress", "Rollout", "RolloutPlan", "RolloutState", "RosterFilter"]
