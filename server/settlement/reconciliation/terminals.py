"""Is a terminal's day ours? Totals first; where they differ every settlement of that day, page by page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import partial
from typing import Final

from sqlalchemy import Connection, func, select, tuple_

from server.settlement.model import SettlementState
from server.settlement.reconciliation.days import bounds_of
from server.store.tables.settlement import ARE_IN_DOUBT, settlements
from server.store.unit_of_work import UnitOfWork

PAGE: Final = 200
"""Settlements read at once: what one comparison holds in memory, and how long it keeps others from reading."""
IN_DOUBT_MAX: Final = 1_000
"""Settlements in doubt that one comparison tells, oldest first: far more than a terminal can have open."""

_row = settlements.c


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotals:
    """What stands of a day, in two numbers."""

    settlements: int
    total_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DayItem:
    """One settlement as the platform has it."""

    transaction_id: str
    state: SettlementState
    total_fen: int
    """The whole bill; 0 where nothing but the id is known."""
    settled_at: datetime | None
    """None when it never was settled."""


class TerminalDays:
    """Compares the day of one terminal with the books."""

    def __init__(self, *, unit_of_work: UnitOfWork, zone: tzinfo) -> None:
        """Take the books, and the zone whose calendar counts."""
        self._unit_of_work: Final = unit_of_work
        self._zone: Final = zone

    async def totals(self, terminal_id: str, day: date) -> DayTotals:
        """Return what is settled of a day and was not undone since."""
        return await self._unit_of_work.read(partial(_totals, terminal_id=terminal_id, bounds=self._bounds(day)))

    async def items(self, terminal_id: str, day: date) -> AsyncIterator[DayItem]:
        """Yield each settlement of a day, in whatever state it is by now, and then each that is in doubt.

        Every page is a view of its own: what is settled meanwhile may be told, and nothing is told twice.
        """
        told: set[str] = set()
        for item in await self._unit_of_work.read(partial(_in_doubt, terminal_id=terminal_id)):
            told.add(item.transaction_id)
            yield item
        last: tuple[datetime, str] | None = None
        while page := await self._unit_of_work.read(
            partial(_page, terminal_id=terminal_id, bounds=self._bounds(day), after=last)
        ):
            for item in page:
                if item.transaction_id not in told:
                    yield item
            if len(page) < PAGE or page[-1].settled_at is None:
                return
            last = (page[-1].settled_at, page[-1].transaction_id)

    def _bounds(self, day: date) -> tuple[datetime, datetime]:
        return bounds_of(day, self._zone)


def _totals(connection: Connection, *, terminal_id: str, bounds: tuple[datetime, datetime]) -> DayTotals:
    count, total = connection.execute(
        select(func.count(), func.coalesce(func.sum(_row.total_fen), 0)).where(
            _row.terminal_id == terminal_id,
            _row.settled_at >= bounds[0],
            _row.settled_at < bounds[1],
            _row.state == SettlementState.SETTLED.value,
        )
    ).one()
    return DayTotals(settlements=count, total_fen=int(total))


_ITEM = (_row.transaction_id, _row.state, _row.total_fen, _row.settled_at)


def _page(
    connection: Connection, *, terminal_id: str, bounds: tuple[datetime, datetime], after: tuple[datetime, str] | None
) -> list[DayItem]:
    statement = (
        select(*_ITEM)
        .where(_row.terminal_id == terminal_id, _row.settled_at >= bounds[0], _row.settled_at < bounds[1])
        .order_by(_row.settled_at, _row.transaction_id)
        .limit(PAGE)
    )
    if after is not None:
        statement = statement.where(tuple_(_row.settled_at, _row.transaction_id) > after)
    return [_item(*row) for row in connection.execute(statement)]


def _in_doubt(connection: Connection, *, terminal_id: str) -> list[DayItem]:
    statement = (
        select(*_ITEM).where(ARE_IN_DOUBT, _row.terminal_id == terminal_id).order_by(_row.began_at).limit(IN_DOUBT_MAX)
    )
    return [_item(*row) for row in connection.execute(statement)]


def _item(transaction_id: str, state: str, total_fen: int | None, settled_at: datetime | None) -> DayItem:
    return DayItem(
        transaction_id=transaction_id, state=SettlementState(state), total_fen=total_fen or 0, settled_at=settled_at
    )
