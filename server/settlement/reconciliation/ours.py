"""What do our books have of a day? Totals by site and business type, each settlement, and where one stands now."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Final

from sqlalchemy import Connection, func, select

from server.settlement.errors import ReconciliationTooLargeError
from server.settlement.model import SettlementState
from server.settlement.reconciliation.days import bounds_of, day_of
from server.settlement.reconciliation.statements import StatementLine, StatementTotal
from server.store.tables.settlement import ARE_IN_DOUBT, settlements

LINES_MAX: Final = 200_000
"""Settlements of one day that are compared one by one: about 100 MiB of memory, for as long as it takes."""
_CHUNK: Final = 500

_row = settlements.c
_STANDS = SettlementState.SETTLED
IN_DOUBT: Final = frozenset({SettlementState.PENDING, SettlementState.UNKNOWN})
NOT_PAID: Final = frozenset({SettlementState.FAILED, SettlementState.CANCELLED, SettlementState.REVERSED})
"""What ended here without being paid, or was undone; none of these is ever paid again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where one settlement stands at this moment."""

    state: SettlementState
    day: date | None
    """When it was settled; None when it never was."""
    insured_fen: int


def totals_of(connection: Connection, day: date, zone: tzinfo) -> list[StatementTotal]:
    """Return what stands of a day."""
    begins, ends = bounds_of(day, zone)
    sums = (_row.total_fen, _row.pooled_fund_fen, _row.personal_account_fen)
    rows = connection.execute(
        select(_row.site_id, _row.business_type, func.count(), *(func.coalesce(func.sum(column), 0) for column in sums))
        .where(_row.settled_at >= begins, _row.settled_at < ends, _row.state == _STANDS.value)
        .group_by(_row.site_id, _row.business_type)
        .order_by(_row.site_id, _row.business_type)
    )
    return [
        StatementTotal(
            site_id=site_id,
            business_type=business_type,
            settlements=count,
            total_fen=int(total),
            pooled_fund_fen=int(fund),
            personal_account_fen=int(account),
        )
        for site_id, business_type, count, total, fund, account in rows
    ]


def lines_of(connection: Connection, day: date, zone: tzinfo, *, lines_max: int = LINES_MAX) -> list[StatementLine]:
    """Return every settlement of a day that is not in doubt, also what was undone since.

    Raises:
        ReconciliationTooLargeError: there are more than `lines_max`.
    """
    begins, ends = bounds_of(day, zone)
    rows = connection.execute(
        select(
            _row.transaction_id,
            _row.site_id,
            _row.business_type,
            _row.state,
            _row.settled_at,
            _row.total_fen,
            _row.pooled_fund_fen,
            _row.personal_account_fen,
        )
        .where(
            _row.settled_at >= begins, _row.settled_at < ends, _row.state.not_in([state.value for state in IN_DOUBT])
        )
        .order_by(_row.settled_at)
        .limit(lines_max + 1)
    ).all()
    if len(rows) > lines_max:
        raise ReconciliationTooLargeError(settlements=len(rows))
    return [
        StatementLine(
            transaction_id=row.transaction_id,
            site_id=row.site_id,
            business_type=row.business_type,
            stands=row.state == _STANDS.value,
            settled_at=row.settled_at,
            total_fen=row.total_fen,
            pooled_fund_fen=row.pooled_fund_fen,
            personal_account_fen=row.personal_account_fen,
        )
        for row in rows
    ]


def standings_of(connection: Connection, ids: Collection[str], zone: tzinfo) -> Mapping[str, Standing]:
    """Return where settlements stand now; ids that we never saw are left out."""
    found: dict[str, Standing] = {}
    wanted: Sequence[str] = sorted(ids)
    for begin in range(0, len(wanted), _CHUNK):
        rows = connection.execute(
            select(
                _row.transaction_id,
                _row.state,
                _row.settled_at,
                _row.pooled_fund_fen,
                _row.personal_account_fen,
            ).where(_row.transaction_id.in_(wanted[begin : begin + _CHUNK]))
        )
        for row in rows:
            found[row.transaction_id] = Standing(
                state=SettlementState(row.state),
                day=None if row.settled_at is None else day_of(row.settled_at, zone),
                insured_fen=(row.pooled_fund_fen or 0) + (row.personal_account_fen or 0),
            )
    return found


def first_day(connection: Connection, zone: tzinfo) -> date | None:
    """Return the day of the very first settlement."""
    first: datetime | None = connection.scalar(select(func.min(_row.settled_at)))
    return None if first is None else day_of(first, zone)


def is_anything_in_doubt(connection: Connection) -> bool:
    """Return whether any settlement is in doubt: then no day can be said to be over."""
    return connection.scalar(select(_row.transaction_id).where(ARE_IN_DOUBT).limit(1)) is not None
