"""The questions rollouts ask their tables."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import (
    Connection,
    LargeBinary,
    Row,
    RowMapping,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from device_registry.rollouts.plan_text import plan_from_text, text_from_plan
from device_registry.rollouts.rollout_records import Member, MemberState, Progress, Rollout, RolloutState
from device_registry.tables import commands, rollout_choices, rollout_members, rollouts, time_from_microseconds

K = TypeVar("K")

REACH_WITHIN = timedelta(minutes=2)
"""A terminal that is connected gets its command within seconds; one that has not by then is off."""
_MINUTE = timedelta(minutes=1)
_PLAIN_COLUMNS = frozenset(column.name for column in rollouts.columns) - {
    "action",
    "plan",
    "group_ends",
    "idempotency_key",
}
"""Those that a record has under the same name."""

_ALL = select(rollouts).order_by(rollouts.c.rollout_id.desc()).limit(bindparam("limit"))
_ONE = select(rollouts).where(rollouts.c.rollout_id == bindparam("rollout_id"))
_BY_KEY = select(rollouts).where(rollouts.c.idempotency_key == bindparam("idempotency_key"))
_NOT_CLOSED = select(rollouts).where(rollouts.c.closed_at.is_(None)).order_by(rollouts.c.rollout_id)
_MOVE = update(rollouts).where(rollouts.c.rollout_id == bindparam("which"), rollouts.c.state == bindparam("origin"))

_ID_LENGTH = 16
_CHOSEN = select(
    func.substr(rollout_choices.c.terminal_ids, bindparam("begin"), bindparam("length"), type_=LargeBinary)
).where(rollout_choices.c.rollout_id == bindparam("rollout_id"))
_FORGET_CHOICE = delete(rollout_choices).where(rollout_choices.c.rollout_id == bindparam("rollout_id"))

_OF_ROLLOUT = rollout_members.c.rollout_id == bindparam("rollout_id")
_MEMBERS = select(rollout_members).where(_OF_ROLLOUT)
_WITH_COMMAND = rollout_members.join(commands, commands.c.command_id == rollout_members.c.command_id)
_QUEUED = and_(_OF_ROLLOUT, rollout_members.c.state == MemberState.QUEUED)
_TALLY = (
    select(rollout_members.c.group_number, rollout_members.c.state, func.count())
    .where(_OF_ROLLOUT)
    .group_by(rollout_members.c.group_number, rollout_members.c.state)
)
_UNREACHED = (
    select(rollout_members.c.group_number, func.count())
    .select_from(_WITH_COMMAND)
    .where(
        _OF_ROLLOUT,
        commands.c.times_sent == 0,
        or_(
            and_(rollout_members.c.state == MemberState.QUEUED, rollout_members.c.queued_at <= bindparam("since")),
            rollout_members.c.state == MemberState.EXPIRED,
        ),
    )
    .group_by(rollout_members.c.group_number)
)
_ENDED = (
    select(
        rollout_members.c.terminal_id,
        commands.c.outcome,
        commands.c.detail.label("told"),
        commands.c.times_sent,
    )
    .select_from(_WITH_COMMAND)
    .where(_QUEUED, commands.c.outcome.is_not(None))
    .limit(bindparam("limit"))
)
_UNSENT = and_(_QUEUED, commands.c.outcome.is_(None), commands.c.times_sent == 0)
_WITHDRAWABLE = (
    select(rollout_members.c.terminal_id, rollout_members.c.command_id)
    .select_from(_WITH_COMMAND)
    .where(_UNSENT)
    .limit(bindparam("limit"))
)
_WITHDRAWABLE_COUNT = select(func.count()).select_from(_WITH_COMMAND).where(_UNSENT)
_WATCHED = (
    select(rollout_members.c.state, func.count())
    .where(
        _OF_ROLLOUT,
        rollout_members.c.state.in_((MemberState.DONE, MemberState.FAILED)),
        rollout_members.c.settled_at > bindparam("since"),
    )
    .group_by(rollout_members.c.state)
)
_QUEUED_NEAR = select(func.count()).where(
    _OF_ROLLOUT, rollout_members.c.queued_at > bindparam("since"), rollout_members.c.queued_at < bindparam("until")
)
_LAST_SETTLED = select(func.max(rollout_members.c.settled_at)).where(_OF_ROLLOUT)
_PENDING = (
    _MEMBERS.where(
        rollout_members.c.state == MemberState.PENDING, rollout_members.c.group_number <= bindparam("group_now")
    )
    .order_by(rollout_members.c.group_number, rollout_members.c.place)
    .limit(bindparam("limit"))
)
_CHANGE_MEMBER = (
    update(rollout_members)
    .where(rollout_members.c.rollout_id == bindparam("whose"), rollout_members.c.terminal_id == bindparam("which"))
    .values(
        state=bindparam("now_is"),
        detail=bindparam("because"),
        command_id=bindparam("given"),
        queued_at=bindparam("given_at"),
        settled_at=bindparam("ended_at"),
    )
)
_SETTLE_MEMBER = (
    update(rollout_members)
    .where(rollout_members.c.rollout_id == bindparam("whose"), rollout_members.c.terminal_id == bindparam("which"))
    .values(state=bindparam("now_is"), detail=bindparam("because"), settled_at=bindparam("ended_at"))
)
_PUT_BACK = (
    update(rollout_members)
    .where(rollout_members.c.rollout_id == bindparam("whose"), rollout_members.c.terminal_id == bindparam("which"))
    .values(state=MemberState.PENDING, command_id=None, queued_at=None)
)
_OPEN_BY_STATE = (
    select(rollout_members.c.state, func.count())
    .join(rollouts, rollouts.c.rollout_id == rollout_members.c.rollout_id)
    .where(rollouts.c.closed_at.is_(None))
    .group_by(rollout_members.c.state)
)
_BY_STATE = select(rollouts.c.state, func.count()).group_by(rollouts.c.state)


# Rollouts ------------------------------------------------------------------------------------------


def add(connection: Connection, rollout: Rollout, *, idempotency_key: str | None) -> None:
    """Write a new rollout."""
    connection.execute(
        insert(rollouts),
        {
            **{name: getattr(rollout, name) for name in _PLAIN_COLUMNS},
            "action": rollout.plan.action,
            "plan": text_from_plan(rollout.plan),
            "group_ends": json.dumps(rollout.group_ends),
            "idempotency_key": idempotency_key,
        },
    )


def packed_ids(terminal_ids: Iterable[str]) -> bytes:
    """Return ids as `add_choice` keeps them; for many of them that takes a moment, better spent beside the writer."""
    return b"".join(UUID(terminal_id).bytes for terminal_id in terminal_ids)


def add_choice(connection: Connection, rollout: Rollout, packed: bytes) -> None:
    """Keep who was chosen, in the order of their turns, until all of them are members."""
    connection.execute(insert(rollout_choices), {"rollout_id": rollout.rollout_id, "terminal_ids": packed})


def chosen(connection: Connection, rollout_id: str, *, begin: int, limit: int) -> list[str]:
    """Return some of those who were chosen, in the order of their turns."""
    values = {"rollout_id": rollout_id, "begin": begin * _ID_LENGTH + 1, "length": limit * _ID_LENGTH}
    packed = bytes(connection.execute(_CHOSEN, values).scalar_one())
    places = range(0, len(packed), _ID_LENGTH)
    return [str(UUID(bytes=packed[place : place + _ID_LENGTH])) for place in places]


def forget_choice(connection: Connection, rollout_id: str) -> None:
    """Forget who was chosen, if that is still kept."""
    connection.execute(_FORGET_CHOICE, {"rollout_id": rollout_id})


def add_members(connection: Connection, rollout: Rollout, in_order: Sequence[str], *, begin: int = 0) -> None:
    """Write members of a new rollout, each with its group and turn; `begin` is the turn of the first of these."""
    rows = [
        {
            "rollout_id": rollout.rollout_id,
            "terminal_id": terminal_id,
            "group_number": bisect_right(rollout.group_ends, place) + 1,
            "place": place,
            "state": MemberState.PENDING,
            "detail": "",
        }
        for place, terminal_id in enumerate(in_order, start=begin)
    ]
    connection.execute(insert(rollout_members), rows)


def find(connection: Connection, rollout_id: str) -> Rollout | None:
    """Return a rollout, None when there is none."""
    return _rollout(connection.execute(_ONE, {"rollout_id": rollout_id}).mappings().first())


def find_by_key(connection: Connection, idempotency_key: str) -> Rollout | None:
    """Return the rollout that was started under a key."""
    return _rollout(connection.execute(_BY_KEY, {"idempotency_key": idempotency_key}).mappings().first())


def newest(connection: Connection, *, limit: int) -> list[Rollout]:
    """Return the newest rollouts, newest first."""
    return _rollouts(connection.execute(_ALL, {"limit": limit}).mappings().all())


def not_closed(connection: Connection) -> list[Rollout]:
    """Return the rollouts that are worked on, oldest first."""
    return _rollouts(connection.execute(_NOT_CLOSED).mappings().all())


def change(connection: Connection, rollout: Rollout, **values: object) -> bool:
    """Change a rollout if its state is still the one that was read; return whether it was."""
    guarded = _MOVE.values(**values)
    return connection.execute(guarded, {"which": rollout.rollout_id, "origin": rollout.state}).rowcount == 1


# Members -------------------------------------------------------------------------------------------


def members(
    connection: Connection, rollout_id: str, *, state: MemberState | None, after: int, limit: int
) -> list[Member]:
    """Return members in the order of their turns, those behind a place."""
    query = _MEMBERS.where(rollout_members.c.place > after).order_by(rollout_members.c.place).limit(limit)
    if state is not None:
        query = query.where(rollout_members.c.state == state)
    return [Member(**row) for row in connection.execute(query, {"rollout_id": rollout_id}).mappings()]


def pending(connection: Connection, rollout: Rollout, *, limit: int) -> list[Member]:
    """Return the members whose turn is next, of the groups that are open."""
    values = {"rollout_id": rollout.rollout_id, "group_now": rollout.group_now, "limit": limit}
    return [Member(**row) for row in connection.execute(_PENDING, values).mappings()]


def any_pending(connection: Connection, rollout: Rollout, *, limit: int) -> list[Member]:
    """Return members whose turn has not come, of all groups."""
    values = {"rollout_id": rollout.rollout_id, "group_now": len(rollout.group_ends), "limit": limit}
    return [Member(**row) for row in connection.execute(_PENDING, values).mappings()]


def ended(connection: Connection, rollout_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Return the members whose command is over and was not taken over yet: terminal_id, outcome, told, times_sent."""
    return connection.execute(_ENDED, {"rollout_id": rollout_id, "limit": limit}).mappings().all()


def withdrawable(connection: Connection, rollout_id: str, *, limit: int) -> Sequence[RowMapping]:
    """Return members whose command was not sent yet: terminal_id and command_id."""
    return connection.execute(_WITHDRAWABLE, {"rollout_id": rollout_id, "limit": limit}).mappings().all()


def change_members(connection: Connection, changed: Iterable[Member]) -> None:
    """Write members as they are now."""
    rows = [
        {
            "whose": member.rollout_id,
            "which": member.terminal_id,
            "now_is": member.state,
            "because": member.detail,
            "given": member.command_id,
            "given_at": member.queued_at,
            "ended_at": member.settled_at,
        }
        for member in changed
    ]
    if rows:
        connection.execute(_CHANGE_MEMBER, rows)


def settle_members(
    connection: Connection, rollout_id: str, settled: Mapping[str, tuple[MemberState, str]], *, at: datetime
) -> None:
    """Write how it went with members, by terminal."""
    if settled:
        connection.execute(
            _SETTLE_MEMBER,
            [
                {"whose": rollout_id, "which": terminal_id, "now_is": state, "because": detail, "ended_at": at}
                for terminal_id, (state, detail) in settled.items()
            ],
        )


def put_back(connection: Connection, rollout_id: str, terminal_ids: Sequence[str]) -> None:
    """Have the turn of these members come again."""
    if terminal_ids:
        connection.execute(_PUT_BACK, [{"whose": rollout_id, "which": terminal_id} for terminal_id in terminal_ids])


# Numbers -------------------------------------------------------------------------------------------


def progress(connection: Connection, rollout: Rollout, *, now: datetime) -> Progress:
    """Return a rollout in numbers; what its state does not ask for is not counted."""
    whose = {"rollout_id": rollout.rollout_id}
    counts = {(group, state): number for group, state, number in connection.execute(_TALLY, whose)}
    if rollout.state is RolloutState.PREPARING:
        return Progress(counts=counts)
    if rollout.state is not RolloutState.RUNNING:
        return Progress(counts=counts, withdrawable=connection.execute(_WITHDRAWABLE_COUNT, whose).scalar_one())
    # What lies further ahead is of a clock that was set back since.
    minute = {**whose, "since": now - _MINUTE, "until": now + _MINUTE}
    unreached = connection.execute(_UNREACHED, {**whose, "since": now - REACH_WITHIN})
    watched: dict[MemberState, int] = _counts(connection.execute(_WATCHED, {**whose, "since": rollout.watched_since}))
    return Progress(
        counts=counts,
        unreached=_counts(unreached),
        done_watched=watched.get(MemberState.DONE, 0),
        failed_watched=watched.get(MemberState.FAILED, 0),
        queued_last_minute=connection.execute(_QUEUED_NEAR, minute).scalar_one(),
    )


def last_settled_at(connection: Connection, rollout_id: str) -> datetime:
    """Return when the last member was settled, a long time ago when none was."""
    last: datetime | None = connection.execute(_LAST_SETTLED, {"rollout_id": rollout_id}).scalar_one()
    return last or time_from_microseconds(0)


def count_by_state(connection: Connection) -> dict[RolloutState, int]:
    """Return how many rollouts there are in each state."""
    return _counts(connection.execute(_BY_STATE))


def count_open_members(connection: Connection) -> dict[MemberState, int]:
    """Return how many members the rollouts that are worked on have in each state."""
    return _counts(connection.execute(_OPEN_BY_STATE))


def _counts(rows: Iterable[Row[K, int]]) -> dict[K, int]:
    return {key: number for key, number in rows}  # noqa: C416 - a row is no tuple for dict()


def _rollouts(rows: Sequence[RowMapping]) -> list[Rollout]:
    return [rollout for row in rows if (rollout := _rollout(row)) is not None]


def _rollout(row: RowMapping | None) -> Rollout | None:
    if row is None:
        return None
    values = {name: row[name] for name in _PLAIN_COLUMNS}
    ends = tuple(json.loads(row["group_ends"]))
    return Rollout(**values, plan=plan_from_text(row["plan"]), group_ends=ends)
