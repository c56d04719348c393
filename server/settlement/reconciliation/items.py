"""What is open between our books and the insurer's? The queries over days, items and runs.

An item is about one transaction of one day. It is seen again and again until it vanishes, is repaired, or somebody
closes it with a reason; one that comes back is open again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import uuid_utils
from sqlalchemy import Connection, func, insert, or_, select, update

from server.settlement.doubts import CLOCK_SLACK
from server.settlement.reconciliation.judging import Judged, Proposal
from server.settlement.reconciliation.statements import DifferenceClass
from server.store.tables.doubt import NOT_CLOSED, reconciliation_days, reconciliation_items, reconciliation_runs

ITEMS_PER_DAY_MAX: Final = 1_000
"""Differences of one day that become items; the day's row counts all of them."""
_RUN: Final = "BOOKS"
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

_item, _day, _run = reconciliation_items.c, reconciliation_days.c, reconciliation_runs.c


class ItemState(StrEnum):
    """How far an item has come."""

    OPEN = "OPEN"
    """A person has to look."""
    PROPOSED = "PROPOSED"
    """There is a repair, to be confirmed."""
    CLOSED = "CLOSED"


class ItemOutcome(StrEnum):
    """How an item was closed."""

    NONE = ""
    VANISHED = "VANISHED"
    """Both books agree by now."""
    REPAIRED = "REPAIRED"
    """What was proposed was done."""
    DECIDED = "DECIDED"
    """Somebody closed it, with a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One difference between the books."""

    item_id: str
    day: date
    difference_class: DifferenceClass
    transaction_id: str | None
    reference: str
    ours_fen: int | None
    theirs_fen: int | None
    state: ItemState
    proposal: Proposal
    owner: str
    first_seen_at: datetime
    last_seen_at: datetime
    times_seen: int
    closed_at: datetime | None
    closed_by: str
    outcome: ItemOutcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What came of comparing one day."""

    day: date
    compared_at: datetime
    agreed_at: datetime | None
    differences: int


_COLUMNS = tuple(column for column in reconciliation_items.columns if column.name != "about")


def _item_of(row: Any) -> Item:  # noqa: ANN401 - a row of SQLAlchemy's
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return Item(
        **{
            **values,
            "difference_class": DifferenceClass(values["difference_class"]),
            "state": ItemState(values["state"]),
            "proposal": Proposal(values["proposal"]),
            "outcome": ItemOutcome(values["outcome"]),
        }
    )


def open_items(connection: Connection, *, limit: int) -> list[Item]:
    """Return what is not closed, oldest first."""
    statement = select(*_COLUMNS).where(NOT_CLOSED).order_by(_item.first_seen_at).limit(limit)
    return [_item_of(row) for row in connection.execute(statement)]


def items_of_day(connection: Connection, day: date) -> list[Item]:
    """Return all items of a day, closed ones too."""
    statement = select(*_COLUMNS).where(_item.day == day).order_by(_item.first_seen_at, _item.item_id)
    return [_item_of(row) for row in connection.execute(statement)]


def find_item(connection: Connection, item_id: str) -> Item | None:
    """Return one item."""
    row = connection.execute(select(*_COLUMNS).where(_item.item_id == item_id)).one_or_none()
    return None if row is None else _item_of(row)


def change_item(connection: Connection, item: Item, **changes: object) -> bool:
    """Change an item if it still is as it was read; return whether it was."""
    statement = update(reconciliation_items).where(
        _item.item_id == item.item_id, _item.state == item.state.value, _item.last_seen_at == item.last_seen_at
    )
    values = {name: getattr(value, "value", value) for name, value in changes.items()}
    return connection.execute(statement.values(values)).rowcount == 1


def see(connection: Connection, day: date, found: Sequence[Judged], *, now: datetime) -> list[str]:
    """Write down what differs on a day and close what does not any more; return the ids of items that are new.

    All that differs is handed over; the first thousand are kept as items.
    """
    new: list[str] = []
    abouts = {_about(each): each for each in found}
    kept = {row.about: row for row in connection.execute(_items_by_about(day))}
    for about, row in kept.items():
        if about in abouts:
            connection.execute(
                update(reconciliation_items)
                .where(_item.item_id == row.item_id)
                .values(**_as_seen(abouts[about], now), times_seen=row.times_seen + 1, **_reopened(row, now))
            )
            if row.state == ItemState.CLOSED.value:
                new.append(row.item_id)
        elif row.state != ItemState.CLOSED.value:
            connection.execute(
                update(reconciliation_items)
                .where(_item.item_id == row.item_id)
                .values(state=ItemState.CLOSED.value, outcome=ItemOutcome.VANISHED.value, closed_at=now)
            )
    room = max(ITEMS_PER_DAY_MAX - sum(row.state != ItemState.CLOSED.value for row in kept.values()), 0)
    for about in [about for about in abouts if about not in kept][:room]:
        item_id = str(uuid_utils.uuid7())
        connection.execute(
            insert(reconciliation_items).values(
                item_id=item_id,
                day=day,
                about=about,
                **_as_seen(abouts[about], now),
                owner="",
                first_seen_at=now,
                times_seen=1,
                closed_by="",
                outcome=ItemOutcome.NONE.value,
                reason="",
            )
        )
        new.append(item_id)
    return new


def _items_by_about(day: date) -> Any:  # noqa: ANN401 - a Select of five columns
    return select(_item.item_id, _item.about, _item.state, _item.times_seen, _item.first_seen_at).where(
        _item.day == day
    )


def _about(each: Judged) -> str:
    return each.difference.transaction_id or f"ref:{each.difference.reference}"


def _as_seen(each: Judged, now: datetime) -> dict[str, object]:
    difference = each.difference
    is_proposed = each.proposal is not Proposal.PERSON
    return {
        "difference_class": difference.difference_class.value,
        "transaction_id": difference.transaction_id,
        "reference": difference.reference,
        "ours_fen": difference.ours_fen,
        "theirs_fen": difference.theirs_fen,
        "state": (ItemState.PROPOSED if is_proposed else ItemState.OPEN).value,
        "proposal": each.proposal.value,
        "last_seen_at": now,
    }


def _reopened(row: Any, now: datetime) -> dict[str, object]:  # noqa: ANN401 - a row of SQLAlchemy's
    """Return what changes beside when a closed item is seen again: it is young once more."""
    if row.state != ItemState.CLOSED.value:
        return {}
    return {"first_seen_at": now, "closed_at": None, "closed_by": "", "outcome": ItemOutcome.NONE.value, "reason": ""}


def note_day(connection: Connection, day: date, *, began: datetime, agrees: bool, differences: int) -> None:
    """Write down how the comparison of a day ended; what came after it had begun it may not have seen."""
    values = {"compared_at": began, "agreed_at": began if agrees else None, "differences": differences}
    changed = connection.execute(update(reconciliation_days).where(_day.day == day).values(values))
    if changed.rowcount == 0:
        connection.execute(insert(reconciliation_days).values(day=day, **values))


def compared_days(connection: Connection, *, since: date) -> dict[date, Day]:
    """Return the days from `since` on, and every earlier one that does not agree."""
    rows = connection.execute(
        select(_day.day, _day.compared_at, _day.agreed_at, _day.differences).where(
            or_(_day.day >= since, _day.agreed_at.is_(None))
        )
    )
    return {
        row.day: Day(day=row.day, compared_at=row.compared_at, agreed_at=row.agreed_at, differences=row.differences)
        for row in rows
    }


def has_open_items(connection: Connection, day: date) -> bool:
    """Return whether a day has any: they would vanish unseen, were its totals believed when two of them cancel out."""
    return connection.scalar(select(_item.item_id).where(_item.day == day, NOT_CLOSED).limit(1)) is not None


def has_agreed_since(connection: Connection, day: date, *, since: datetime) -> bool:
    """Return whether a day agreed in a comparison that began at a moment or later."""
    agreed_at: datetime | None = connection.scalar(select(_day.agreed_at).where(_day.day == day))
    return agreed_at is not None and agreed_at >= since


def last_compared(connection: Connection, *, until: date) -> date | None:
    """Return the newest day that was ever compared, of those up to a day: somebody may have named a day to come."""
    newest: date | None = connection.scalar(select(func.max(_day.day)).where(_day.day <= until))
    return newest


def begin_run(
    connection: Connection, *, now: datetime, lease: timedelta, not_again_before: timedelta, is_of_all: bool
) -> datetime | None:
    """Take the turn among all replicas and return until when; None when it is not due, or somebody has it.

    Args:
        connection: the transaction to write in.
        now: the time.
        lease: for how long the turn is taken at most.
        not_again_before: how long after the last beginning it is due; zero: at once.
        is_of_all: whether every open day is compared; a run of one day puts off no run of all.
    """
    row = connection.execute(select(_run.begun_at, _run.leased_until).where(_run.name == _RUN)).one_or_none()
    turn = now + lease
    values = {"begun_at": now, "leased_until": turn}
    if row is None:
        if not is_of_all:
            values["begun_at"] = _NEVER
        connection.execute(insert(reconciliation_runs).values(name=_RUN, **values))
        return turn
    until = row.leased_until
    is_taken = until is not None and now < until <= turn + CLOCK_SLACK
    # A beginning that lies ahead was written by a clock that has since been set back.
    is_early = abs(now - row.begun_at) < not_again_before
    if is_taken or is_early:
        return None
    if not is_of_all:
        del values["begun_at"]
    connection.execute(update(reconciliation_runs).where(_run.name == _RUN).values(values))
    return turn


def has_turn(connection: Connection, turn: datetime) -> bool:
    """Return whether nobody has taken the turn from whoever got it until then; late is no harm as long as so."""
    until: datetime | None = connection.scalar(select(_run.leased_until).where(_run.name == _RUN))
    return until == turn


def end_run(connection: Connection, turn: datetime, *, now: datetime, succeeded: bool) -> None:
    """Give the turn back, if it is not somebody else's by now."""
    values: dict[str, object] = {"leased_until": None}
    if succeeded:
        values["succeeded_at"] = now
    connection.execute(update(reconciliation_runs).where(_run.name == _RUN, _run.leased_until == turn).values(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Openness:
    """What is open, in a few numbers."""

    items: dict[DifferenceClass, int]
    oldest: datetime | None
    """When the oldest open item was first seen."""
    succeeded_at: datetime | None
    """When a run last went through."""


def openness(connection: Connection) -> Openness:
    """Count what is open."""
    rows = connection.execute(
        select(_item.difference_class, func.count(), func.min(_item.first_seen_at))
        .where(NOT_CLOSED)
        .group_by(_item.difference_class)
    ).all()
    return Openness(
        items={DifferenceClass(name): count for name, count, _ in rows},
        oldest=min((oldest for _, _, oldest in rows), default=None),
        succeeded_at=connection.scalar(select(_run.succeeded_at).where(_run.name == _RUN)),
    )
