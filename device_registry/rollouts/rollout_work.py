"""How does a rollout get on? In small steps, each a transaction of its own that reads, does the next thing and leaves.

Nothing is kept in memory: several replicas may work on one rollout, and after a crash any of them goes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from sqlalchemy import Connection

from device_registry.changes import Changes
from device_registry.commands import outbox
from device_registry.commands.command_parameters import FIRMWARE_ID
from device_registry.commands.command_records import Because, CommandAction
from device_registry.commands.commands import Commands
from device_registry.errors import FirmwareUnfitError, RegistryError, RolloutStateError, RolloutUnknownError
from device_registry.rollouts import rollout_rows
from device_registry.rollouts.rollout_records import Member, MemberState, Rollout, RolloutState
from device_registry.rollouts.rollout_steps import (
    PORTION,
    STEP_MAX,
    Close,
    Fill,
    NoteWell,
    OpenGroup,
    Queue,
    Skip,
    Step,
    Stop,
    Wait,
    Withdraw,
    next_step,
    settled_as,
)

PLATFORM = "platform:rollouts"
"""Who stops a rollout when too much fails, and ends one that is done."""
SETTLE_MAX = 10 * STEP_MAX
"""Members that are settled at once: one row each, nothing is audited or announced."""
_STEPS_AT_ONCE = 4
"""Steps of one transaction: a soak may end, and the next group's turn begin, without another round."""
_MOMENT = timedelta(microseconds=1)
_NOTHING: Mapping[str, object] = MappingProxyType({})


class RolloutWork:
    """Works on rollouts."""

    def __init__(self, *, now: Callable[[], datetime], changes: Changes, commands: Commands) -> None:
        self._now = now
        self._changes = changes
        self._commands = commands

    def due(self, connection: Connection) -> list[str]:
        """Return the rollouts for which there is something to do now; a look that needs no write."""
        return [
            rollout.rollout_id
            for rollout in rollout_rows.not_closed(connection)
            if rollout_rows.ended(connection, rollout.rollout_id, limit=1)
            or not isinstance(self._next(connection, rollout), Wait)
        ]

    def advance(self, connection: Connection, rollout_id: str) -> Rollout:
        """Do the next small thing for a rollout: take outcomes over, then queue, stop, open a group, or end it."""
        self._take_over(connection, self._find(connection, rollout_id))
        for _ in range(_STEPS_AT_ONCE):
            rollout = self._find(connection, rollout_id)
            step = self._next(connection, rollout)
            self._do(connection, rollout, step)
            if isinstance(step, Wait | Fill | Queue | Withdraw | Skip):
                break
        return self._find(connection, rollout_id)

    def move(
        self,
        connection: Connection,
        rollout: Rollout,
        target: RolloutState,
        *,
        reason: str,
        actor: str,
        request_id: str = "",
        values: Mapping[str, object] = _NOTHING,
    ) -> None:
        """Change a rollout's state, if it still is the one that was read, and write down who did it and why."""
        changed = rollout_rows.change(
            connection, rollout, state=target, state_reason=reason, state_since=self._now(), **values
        )
        if not changed:
            raise RolloutStateError(rollout_id=rollout.rollout_id, state=rollout.state, wanted=target)
        self._changes.note(
            connection,
            actor=actor,
            action=f"rollout.{target.lower()}",
            subject=rollout.rollout_id,
            reason=reason,
            request_id=request_id,
            details={"from": rollout.state},
        )

    # Steps -----------------------------------------------------------------------------------------

    def _find(self, connection: Connection, rollout_id: str) -> Rollout:
        rollout = rollout_rows.find(connection, rollout_id)
        if rollout is None:
            raise RolloutUnknownError(rollout_id=rollout_id)
        return rollout

    def _next(self, connection: Connection, rollout: Rollout) -> Step:
        now = self._now()
        return next_step(rollout, rollout_rows.progress(connection, rollout, now=now), now=now)

    def _do(self, connection: Connection, rollout: Rollout, step: Step) -> None:
        now = self._now()
        match step:
            case Fill(begin):
                self._fill(connection, rollout, begin)
            case Stop(reason):
                self.move(connection, rollout, RolloutState.STOPPED, reason=reason, actor=PLATFORM)
            case Queue(limit):
                self._queue(connection, rollout, limit)
            case NoteWell():
                rollout_rows.change(connection, rollout, group_well_at=now)
            case OpenGroup(group):
                rollout_rows.change(connection, rollout, group_now=group, group_well_at=None)
            case Withdraw():
                self._withdraw(connection, rollout)
            case Skip():
                skipped = rollout_rows.any_pending(connection, rollout, limit=SETTLE_MAX)
                settled = {member.terminal_id: (MemberState.SKIPPED, "CANCELLED") for member in skipped}
                rollout_rows.settle_members(connection, rollout.rollout_id, settled, at=now)
            case Close():
                self._close(connection, rollout)
            case Wait():
                pass

    def _fill(self, connection: Connection, rollout: Rollout, begin: int) -> None:
        """Write the next portion of members down; with the last one the rollout begins."""
        portion = rollout_rows.chosen(connection, rollout.rollout_id, begin=begin, limit=PORTION)
        rollout_rows.add_members(connection, rollout, portion, begin=begin)
        if begin + len(portion) >= rollout.members:
            rollout_rows.forget_choice(connection, rollout.rollout_id)
            self.move(connection, rollout, RolloutState.RUNNING, reason=rollout.reason, actor=PLATFORM)

    def _close(self, connection: Connection, rollout: Rollout) -> None:
        closed = {"closed_at": self._now()}
        if rollout.state is RolloutState.RUNNING:
            self.move(connection, rollout, RolloutState.DONE, reason="all settled", actor=PLATFORM, values=closed)
        else:
            rollout_rows.change(connection, rollout, **closed)

    def _take_over(self, connection: Connection, rollout: Rollout) -> None:
        """Write with the members how their commands ended."""
        settled = {
            row["terminal_id"]: settled_as(row["outcome"], told=row["told"], times_sent=row["times_sent"])
            for row in rollout_rows.ended(connection, rollout.rollout_id, limit=SETTLE_MAX)
        }
        # Behind what was forgiven: a clock that was set back must not hide a failure from the error stop.
        at = max(self._now(), rollout.watched_since + _MOMENT)
        rollout_rows.settle_members(connection, rollout.rollout_id, settled, at=at)

    def _queue(self, connection: Connection, rollout: Rollout, limit: int) -> None:
        if rollout.plan.action is CommandAction.OFFER_FIRMWARE:
            try:
                self._commands.offerable(connection, str(rollout.plan.parameters[FIRMWARE_ID]))
            except FirmwareUnfitError as error:
                reason = f"{error.reason}: {error.state}"
                self.move(connection, rollout, RolloutState.STOPPED, reason=reason, actor=PLATFORM)
                return
        pending = rollout_rows.pending(connection, rollout, limit=limit)
        rollout_rows.change_members(connection, [self._begun(connection, rollout, member) for member in pending])

    def _begun(self, connection: Connection, rollout: Rollout, member: Member) -> Member:
        """Give a member its command, unless it needs none or may have none; return it as it is then."""
        now, plan = self._now(), rollout.plan
        reached = self._reached_by_itself(connection, rollout, member.terminal_id)
        if reached is not None:
            return replace(member, state=MemberState.DONE, detail=reached, settled_at=now)
        try:
            command = self._commands.queue(
                connection,
                terminal_id=member.terminal_id,
                action=plan.action,
                parameters=plan.parameters,
                actor=f"rollout:{rollout.rollout_id}",
                lifetime=plan.command_lifetime,
            )
        except RegistryError as error:  # it checks before it writes: nothing is left behind
            return replace(member, state=MemberState.SKIPPED, detail=error.reason, settled_at=now)
        return replace(member, state=MemberState.QUEUED, command_id=command.command_id, queued_at=now)

    def _reached_by_itself(self, connection: Connection, rollout: Rollout, terminal_id: str) -> Because | None:
        """Return why a member needs no command any more."""
        if rollout.plan.action is CommandAction.RENEW_CERTIFICATE:
            issued_at = outbox.newest_certificate_issued_at(connection, terminal_id)
            return Because.CERTIFICATE_RENEWED if issued_at and issued_at > rollout.started_at else None
        if rollout.plan.action is CommandAction.OFFER_FIRMWARE:
            offered = self._commands.offerable(connection, str(rollout.plan.parameters[FIRMWARE_ID]))
            _, runs = outbox.reported(connection, terminal_id)
            return Because.RUNS_ALREADY if runs == offered.version else None
        return None

    def _withdraw(self, connection: Connection, rollout: Rollout) -> None:
        """Take back commands that were not sent; their members' turn comes again when the rollout goes on."""
        withdrawn = rollout_rows.withdrawable(connection, rollout.rollout_id, limit=STEP_MAX)
        for row in withdrawn:
            self._commands.cancel(
                connection,
                command_id=row["command_id"],
                reason=f"rollout {rollout.state.lower()}",
                actor=f"rollout:{rollout.rollout_id}",
            )
        rollout_rows.put_back(connection, rollout.rollout_id, [row["terminal_id"] for row in withdrawn])
