"""Which settlements are in doubt, who works on which, and what was tried? The queries of the resolver and of operators.

Whoever works on a doubt holds a lease on it, written in the transaction that picked it: two replicas, or a terminal's
own reversal and the resolver, never work on one settlement at once. A lease that nobody gave back runs out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from server.settlement.model import Intent, SettlementState
from server.store.tables.doubt import settlement_tries
from server.store.tables.settlement import ARE_IN_DOUBT, settlements

TRIES_KEPT: Final = 32
"""Tries of one settlement that are kept, the newest."""
CLOCK_SLACK: Final = timedelta(minutes=5)
"""A time further ahead than any wait of ours plus this was written by a clock that has since been set back."""
WHY_LENGTH_MAX: Final = 64

_row, _tried = settlements.c, settlement_tries.c
_IS_UNKNOWN = _row.state == SettlementState.UNKNOWN.value
IS_DEAD = and_(_IS_UNKNOWN, _row.next_try_at.is_(None))
"""A dead letter: it is not tried any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt to end a doubt."""

    number: int
    tried_at: datetime
    intent: Intent
    """What was wanted then."""
    outcome: str
    """The state it ended in, or NO_ANSWER."""
    why: str
    """Reason or class of what went wrong; empty when it went well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A settlement whose outcome nobody knows."""

    transaction_id: str
    intent: Intent
    total_fen: int | None
    since: datetime
    tries: int
    next_try_at: datetime | None
    is_dead_letter: bool
    why: str
    """What went wrong last."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one doubt."""

    transaction_id: str
    until: datetime


def claim_due(
    connection: Connection, *, now: datetime, lease: timedelta, wait_max: timedelta, limit: int
) -> list[Lease]:
    """Take up to `limit` doubts that are due and that nobody works on, longest overdue first.

    Args:
        connection: the transaction to write in.
        now: the time.
        lease: how long nobody else takes them.
        wait_max: the longest wait between two tries; a next try further off is due, for it is a wrong clock's.
        limit: at most so many.
    """
    is_due = or_(_row.next_try_at <= now, _row.next_try_at > now + wait_max + CLOCK_SLACK)
    due = list(
        connection.scalars(
            select(_row.transaction_id)
            .where(ARE_IN_DOUBT, _IS_UNKNOWN, is_due, _is_free(now, lease))
            .order_by(_row.next_try_at)
            .limit(limit)
        )
    )
    if due:
        connection.execute(update(settlements).where(_row.transaction_id.in_(due)).values(leased_until=now + lease))
    return [Lease(transaction_id, now + lease) for transaction_id in due]


def claim(connection: Connection, transaction_id: str, *, now: datetime, lease: timedelta) -> Lease | None:
    """Take one doubt, due or not; return None when somebody else works on it, or it is none any more."""
    taken = connection.execute(
        update(settlements)
        .where(_row.transaction_id == transaction_id, _IS_UNKNOWN, _is_free(now, lease))
        .values(leased_until=now + lease)
    )
    return Lease(transaction_id, now + lease) if taken.rowcount == 1 else None


def _is_free(now: datetime, lease: timedelta) -> ColumnElement[bool]:
    until = _row.leased_until
    return or_(until.is_(None), until <= now, until > now + lease + CLOCK_SLACK)


def put_off(connection: Connection, lease: Lease, *, next_try_at: datetime | None, tries: int | None) -> bool:
    """Give a doubt back after a try in vain; return False when it is over, or somebody else has taken it.

    Args:
        connection: the transaction to write in.
        lease: under which it was tried.
        next_try_at: when to try again; None: never by itself.
        tries: how many there were; None leaves number and next try as they are.
    """
    changes: dict[str, object] = {"leased_until": None}
    if tries is not None:
        changes |= {"tries": tries, "next_try_at": next_try_at}
    given_back = connection.execute(
        update(settlements)
        .where(_row.transaction_id == lease.transaction_id, _IS_UNKNOWN, _row.leased_until == lease.until)
        .values(changes)
    )
    return given_back.rowcount == 1


@dataclass(frozen=True, slots=True)
class Life:
    """How long and how often a doubt was worked on, since it began or since an operator asked for more."""

    intent: Intent
    tries: int
    since: datetime


def life_of(connection: Connection, transaction_id: str) -> Life | None:
    """Return what a doubt has behind it; None when it is none any more."""
    found = connection.execute(
        select(_row.intent, _row.tries, _row.doubt_since, _row.retried_at, _row.began_at).where(
            _row.transaction_id == transaction_id, _IS_UNKNOWN
        )
    ).one_or_none()
    if found is None:
        return None
    since = found.doubt_since or found.began_at
    return Life(Intent(found.intent), found.tries, max(since, found.retried_at or since))


def note_try(
    connection: Connection, transaction_id: str, *, intent: Intent, outcome: str, why: str, now: datetime
) -> None:
    """Write down one attempt; the oldest of many make room."""
    number = 1 + (
        connection.scalar(select(func.max(_tried.number)).where(_tried.transaction_id == transaction_id)) or 0
    )
    connection.execute(
        insert(settlement_tries).values(
            transaction_id=transaction_id,
            number=number,
            tried_at=now,
            intent=intent.value,
            outcome=outcome,
            why=why[:WHY_LENGTH_MAX],
        )
    )
    if number > TRIES_KEPT:
        connection.execute(
            delete(settlement_tries).where(
                _tried.transaction_id == transaction_id, _tried.number <= number - TRIES_KEPT
            )
        )


def why_of(error: BaseException) -> str:
    """Return what an error is called: its reason, with the insurer's own code, or its class; never its text."""
    reason = getattr(error, "reason", None)
    name = reason if isinstance(reason, str) else type(error).__name__
    code = getattr(error, "code", None)
    return f"{name} {code}" if isinstance(code, str) and code else name


def tries_of(connection: Connection, transaction_id: str) -> list[Try]:
    """Return what was tried, oldest first, as far as it is kept."""
    rows = connection.execute(
        select(_tried.number, _tried.tried_at, _tried.intent, _tried.outcome, _tried.why)
        .where(_tried.transaction_id == transaction_id)
        .order_by(_tried.number)
    )
    return [
        Try(number=row.number, tried_at=row.tried_at, intent=Intent(row.intent), outcome=row.outcome, why=row.why)
        for row in rows
    ]


def doubts(connection: Connection, *, dead_only: bool = False, limit: int) -> Sequence[Doubt]:
    """Return what is in doubt, oldest first."""
    last = (
        select(_tried.why)
        .where(_tried.transaction_id == _row.transaction_id)
        .order_by(_tried.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    since = func.coalesce(_row.doubt_since, _row.began_at, type_=_row.began_at.type)
    statement = (
        select(_row.transaction_id, _row.intent, _row.total_fen, since, _row.tries, _row.next_try_at, last)
        .where(ARE_IN_DOUBT, IS_DEAD if dead_only else _IS_UNKNOWN)
        .order_by(since)
        .limit(limit)
    )
    return [
        Doubt(
            transaction_id=transaction_id,
            intent=Intent(intent),
            total_fen=total_fen,
            since=begun,
            tries=tries,
            next_try_at=next_try_at,
            is_dead_letter=next_try_at is None,
            why=why or "",
        )
        for transaction_id, intent, total_fen, begun, tries, next_try_at, why in connection.execute(statement)
    ]


def retry_dead(connection: Connection, *, transaction_id: str | None, now: datetime) -> list[str]:
    """Give one dead letter, or all of them, a new life with as many tries as before; return their ids."""
    which = IS_DEAD if transaction_id is None else and_(IS_DEAD, _row.transaction_id == transaction_id)
    dead = list(connection.scalars(select(_row.transaction_id).where(ARE_IN_DOUBT, which)))
    if dead:
        # A lease stays: somebody may be closing it at this moment.
        connection.execute(
            update(settlements).where(ARE_IN_DOUBT, which).values(tries=0, next_try_at=now, retried_at=now)
        )
    return dead
