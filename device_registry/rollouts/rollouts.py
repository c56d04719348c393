"""Everything one can ask about rollouts: start one, pause, resume and cancel it, look at it, and work on it.

Work comes in small steps, each a transaction of its own that reads where the rollout stands, does the next thing and
leaves. Nothing is kept in memory: several replicas may work on one rollout, and after a crash any of them goes on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

import uuid_utils
from sqlalchemy import Connection

from device_registry.changes import Changes
from device_registry.commands.command_parameters import FIRMWARE_ID, refuse_key, refuse_parameters
from device_registry.commands.command_records import CommandAction
from device_registry.commands.commands import Commands
from device_registry.errors import (
    IdempotencyKeyReusedError,
    RolloutEmptyError,
    RolloutStateError,
    RolloutTooLargeError,
    RolloutUnknownError,
    TooManyRolloutsError,
)
from device_registry.model import TerminalState
from device_registry.rollouts import rollout_rows
from device_registry.rollouts.rollout_records import Member, MemberState, Progress, Rollout, RolloutPlan, RolloutState
from device_registry.rollouts.rollout_steps import PORTION, group_ends, in_order
from device_registry.rollouts.rollout_work import RolloutWork
from device_registry.roster import Roster
from device_registry.wording import refuse_reason

MEMBERS_MAX = 50_000
OPEN_MAX = 20
_NOTHING: Mapping[str, object] = MappingProxyType({})
_FROM: Mapping[RolloutState, frozenset[RolloutState]] = MappingProxyType(
    {
        RolloutState.PAUSED: frozenset({RolloutState.RUNNING}),
        RolloutState.RUNNING: frozenset({RolloutState.PAUSED, RolloutState.STOPPED}),
        RolloutState.CANCELLED: frozenset(
            {RolloutState.PREPARING, RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.STOPPED}
        ),
    }
)
"""From where an operator may move a rollout to a state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who a rollout is for, in the order of their turns."""

    rollout_id: str
    """The rollout to be: the order is made of it."""
    terminal_ids: Sequence[str]
    packed: bytes = field(repr=False)
    """The same, as they are kept until all of them are members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutCensus:
    """All rollouts in numbers."""

    rollouts: Mapping[RolloutState, int]
    members: Mapping[MemberState, int]
    """Of those that are still worked on."""


class Rollouts:
    """Commands for many terminals."""

    def __init__(self, *, now: Callable[[], datetime], changes: Changes, commands: Commands, roster: Roster) -> None:
        self._now = now
        self._commands = commands
        self._roster = roster
        self._changes = changes
        self._work = RolloutWork(now=now, changes=changes, commands=commands)

    # Operators' decisions --------------------------------------------------------------------------

    def choose(self, connection: Connection, plan: RolloutPlan, *, idempotency_key: str = "") -> Choice | None:
        """Choose the members, which takes a second for a large fleet and only reads; None when the key was used."""
        _refuse_plan(plan)
        if idempotency_key and self._started_before(connection, idempotency_key, plan):
            return None
        return self._choice(connection, plan)

    def start(
        self,
        connection: Connection,
        plan: RolloutPlan,
        *,
        reason: str,
        actor: str,
        choice: Choice | None = None,
        idempotency_key: str = "",
        request_id: str = "",
    ) -> Rollout:
        """Begin with the first group, or write the members of a large rollout down first, a portion at a time.

        Args:
            connection: the caller's transaction.
            plan: what to do, and how.
            reason: why.
            actor: who wants it.
            choice: who was chosen a moment ago, on a reader; chosen here otherwise.
            idempotency_key: the same key starts once and returns the first rollout.
            request_id: of the call that asked.
        """
        _refuse_plan(plan)
        refuse_reason(reason)
        if idempotency_key and (earlier := self._started_before(connection, idempotency_key, plan)):
            return earlier
        if len(rollout_rows.not_closed(connection)) >= OPEN_MAX:
            raise TooManyRolloutsError(rollouts_open_max=OPEN_MAX)
        choice = choice or self._choice(connection, plan)
        now, chosen = self._now(), choice.terminal_ids
        rollout = Rollout(
            rollout_id=choice.rollout_id,
            plan=plan,
            reason=reason,
            started_by=actor,
            started_at=now,
            members=len(chosen),
            group_ends=group_ends(plan.groups, len(chosen)),
            state=RolloutState.RUNNING if len(chosen) <= PORTION else RolloutState.PREPARING,
            state_reason=reason,
            state_since=now,
            group_now=1,
            group_well_at=None,
            watched_since=now,
            closed_at=None,
        )
        rollout_rows.add(connection, rollout, idempotency_key=idempotency_key or None)
        rollout_rows.add_members(connection, rollout, chosen[:PORTION])
        if rollout.state is RolloutState.PREPARING:
            rollout_rows.add_choice(connection, rollout, choice.packed)
        self._changes.note(
            connection,
            actor=actor,
            action="rollout.started",
            subject=rollout.rollout_id,
            reason=reason,
            request_id=request_id,
            details={"command": plan.action, "members": len(chosen)},
        )
        return rollout

    def pause(
        self, connection: Connection, *, rollout_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Rollout:
        """Give nobody a command any more, and take back those that were not sent, until it is resumed."""
        return self._decide(
            connection, rollout_id, RolloutState.PAUSED, reason=reason, actor=actor, request_id=request_id
        )

    def resume(
        self, connection: Connection, *, rollout_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Rollout:
        """Go on. After an error stop, what had failed until now is forgiven and a group that was not well is passed."""
        rollout = self.find(connection, rollout_id)
        values: dict[str, object] = {"group_well_at": None}
        if rollout.state is RolloutState.STOPPED:
            progress = rollout_rows.progress(connection, rollout, now=self._now())
            is_over = not progress.count(MemberState.PENDING, MemberState.QUEUED, group=rollout.group_now)
            # All that was settled is forgiven, also what a clock that was set back since has put in the future.
            values["watched_since"] = max(self._now(), rollout_rows.last_settled_at(connection, rollout_id))
            if is_over and rollout.group_now < len(rollout.group_ends):
                values["group_now"] = rollout.group_now + 1
        return self._decide(
            connection,
            rollout_id,
            RolloutState.RUNNING,
            reason=reason,
            actor=actor,
            request_id=request_id,
            values=values,
        )

    def cancel(
        self, connection: Connection, *, rollout_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Rollout:
        """End it for good: commands that were not sent are taken back, those that were may still be answered."""
        decided = self._decide(
            connection, rollout_id, RolloutState.CANCELLED, reason=reason, actor=actor, request_id=request_id
        )
        rollout_rows.forget_choice(connection, rollout_id)
        return decided

    # Looking ---------------------------------------------------------------------------------------

    def find(self, connection: Connection, rollout_id: str) -> Rollout:
        """Return a rollout."""
        rollout = rollout_rows.find(connection, rollout_id)
        if rollout is None:
            raise RolloutUnknownError(rollout_id=rollout_id)
        return rollout

    def newest(self, connection: Connection, *, limit: int = 100) -> list[Rollout]:
        """Return the newest rollouts, newest first."""
        return rollout_rows.newest(connection, limit=limit)

    def progress(self, connection: Connection, rollout: Rollout) -> Progress:
        """Return a rollout in numbers."""
        return rollout_rows.progress(connection, rollout, now=self._now())

    def members(
        self,
        connection: Connection,
        rollout_id: str,
        *,
        state: MemberState | None = None,
        after: int = -1,
        limit: int = 1000,
    ) -> list[Member]:
        """Return members in the order of their turns, those behind a place."""
        self.find(connection, rollout_id)
        return rollout_rows.members(connection, rollout_id, state=state, after=after, limit=limit)

    def census(self, connection: Connection) -> RolloutCensus:
        """Return all rollouts in numbers."""
        return RolloutCensus(
            rollouts=rollout_rows.count_by_state(connection), members=rollout_rows.count_open_members(connection)
        )

    # Work ------------------------------------------------------------------------------------------

    def due(self, connection: Connection) -> list[str]:
        """Return the rollouts for which there is something to do now; a look that needs no write."""
        return self._work.due(connection)

    def advance(self, connection: Connection, rollout_id: str) -> Rollout:
        """Do the next small thing for a rollout: take outcomes over, then queue, stop, open a group, or end it."""
        return self._work.advance(connection, rollout_id)

    # Steps -----------------------------------------------------------------------------------------

    def _decide(
        self,
        connection: Connection,
        rollout_id: str,
        target: RolloutState,
        *,
        reason: str,
        actor: str,
        request_id: str,
        values: Mapping[str, object] = _NOTHING,
    ) -> Rollout:
        """Move a rollout on somebody's word and return it as it is then."""
        refuse_reason(reason)
        rollout = self.find(connection, rollout_id)
        if rollout.state not in _FROM[target]:
            raise RolloutStateError(rollout_id=rollout_id, state=rollout.state, wanted=target)
        self._work.move(connection, rollout, target, reason=reason, actor=actor, request_id=request_id, values=values)
        return self.find(connection, rollout_id)

    def _choice(self, connection: Connection, plan: RolloutPlan) -> Choice:
        rollout_id = str(uuid_utils.uuid7())
        chosen = in_order(rollout_id, self._chosen(connection, plan))
        return Choice(rollout_id=rollout_id, terminal_ids=chosen, packed=rollout_rows.packed_ids(chosen))

    def _chosen(self, connection: Connection, plan: RolloutPlan) -> list[str]:
        """Return the terminals that fit the selection: those in service, if it does not ask for another state."""
        where = replace(plan.where, state=plan.where.state or TerminalState.ACTIVE, after=None, limit=MEMBERS_MAX + 1)
        if plan.action is CommandAction.OFFER_FIRMWARE:
            firmware = self._commands.offerable(connection, str(plan.parameters[FIRMWARE_ID]))
            where = replace(where, manufacturer=firmware.manufacturer, model=firmware.model)
        chosen = [view.terminal.terminal_id for view in self._roster.page(connection, where)]
        if not chosen:
            raise RolloutEmptyError
        if len(chosen) > MEMBERS_MAX:
            raise RolloutTooLargeError(members_max=MEMBERS_MAX)
        return chosen

    def _started_before(self, connection: Connection, idempotency_key: str, plan: RolloutPlan) -> Rollout | None:
        refuse_key(idempotency_key)
        earlier = rollout_rows.find_by_key(connection, idempotency_key)
        if earlier is not None and earlier.plan != plan:
            raise IdempotencyKeyReusedError(idempotency_key=idempotency_key)
        return earlier


def _refuse_plan(plan: RolloutPlan) -> None:
    plan.check()
    refuse_parameters(plan.action, plan.parameters)
