"""Do the settlements and the books tell the same story? Asked by an auditor, answered from both at once.

The ledger alone can be sound and still be wrong: a settlement without its posting balances to zero too. Here every
settlement says which postings there must be, and every posting which settlement it is for. It holds for an insurer in
house; a remote one keeps its books elsewhere.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, func, literal, or_, select, union_all

from server.settlement.ledger import NAMES_PER_FINDING_MAX, AccountKind
from server.settlement.model import SettlementState
from server.store.tables.settlement import benefit_years, ledger_entries, settlements

_settlement = settlements.c
_IS_SETTLED = _settlement.state == SettlementState.SETTLED.value
_MONEY_CAME_BACK = _settlement.state.in_(
    [SettlementState.REVERSED.value, SettlementState.CANCELLED.value]
) & _settlement.money_moved_back.is_(other=True)

_Query = Select[Any] | CompoundSelect[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementsReport:
    """What a comparison of all settlements with the books found; the first hundred of each finding are named."""

    settlements: int
    """Settlements that moved money, or moved it back."""
    unposted: tuple[str, ...]
    """Postings that a settlement demands and that are missing, or have other amounts."""
    unexplained: tuple[str, ...]
    """Postings that no settlement demands, or not with these amounts."""
    miscounted: tuple[str, ...]
    """Years of benefits (person/year) that are not the sum of what is settled."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.unposted or self.unexplained or self.miscounted)


def verify_settlements(connection: Connection) -> SettlementsReport:
    """Compare every settlement of an insurer in house with the postings, and with the years of benefits."""
    demanded = union_all(
        *_entries("settle:", _IS_SETTLED | _MONEY_CAME_BACK, 1), *_entries("undo:", _MONEY_CAME_BACK, -1)
    )
    booked = select(ledger_entries.c.posting_id, ledger_entries.c.account_id, ledger_entries.c.amount_fen).where(
        ledger_entries.c.posting_id.not_like("fund:%")
    )
    counted = select(
        benefit_years.c.person_id,
        benefit_years.c.benefit_year,
        benefit_years.c.deductible_used_fen,
        benefit_years.c.eligible_used_fen,
        benefit_years.c.fund_used_fen,
    ).where(
        or_(
            benefit_years.c.deductible_used_fen != 0,
            benefit_years.c.eligible_used_fen != 0,
            benefit_years.c.fund_used_fen != 0,
        )
    )
    return SettlementsReport(
        settlements=connection.scalar(
            select(func.count()).select_from(settlements).where(_IS_SETTLED | _MONEY_CAME_BACK)
        )
        or 0,
        unposted=_first_of(connection, demanded, booked),
        unexplained=_first_of(connection, booked, demanded),
        miscounted=tuple(
            sorted({*_years(connection, counted, _years_used()), *_years(connection, _years_used(), counted)})
        ),
    )


def _entries(prefix: str, which: ColumnElement[bool], sign: int) -> list[Select[Any]]:
    """Return the entries that those settlements must have, one query for each account."""
    fund, account = _settlement.pooled_fund_fen, _settlement.personal_account_fen
    parts = (
        (AccountKind.POOLED_FUND, _settlement.person_region, -fund),
        (AccountKind.PERSON, _settlement.person_id, -account),
        (AccountKind.SITE, _settlement.site_id, fund + account),
    )
    return [
        select(
            (literal(prefix) + _settlement.transaction_id).label("posting_id"),
            (literal(f"{kind.value}:") + owner).label("account_id"),
            (amount * sign).label("amount_fen"),
        ).where(which, amount != 0)
        for kind, owner, amount in parts
    ]


def _first_of(connection: Connection, these: _Query, but_not: _Query) -> tuple[str, ...]:
    """Return the postings whose entries are in the first query and not in the second."""
    left = select(_alone(these).except_(_alone(but_not)).subquery().c.posting_id)
    return tuple(connection.scalars(left.distinct().limit(NAMES_PER_FINDING_MAX)))


def _years_used() -> Select[Any]:
    sums = [
        func.coalesce(func.sum(column), 0)
        for column in (_settlement.deductible_fen, _settlement.eligible_fen, _settlement.pooled_fund_fen)
    ]
    return (
        select(_settlement.person_id, _settlement.benefit_year, *sums)
        .where(_IS_SETTLED)
        .group_by(_settlement.person_id, _settlement.benefit_year)
        .having(or_(*(total != 0 for total in sums)))
    )


def _years(connection: Connection, these: _Query, but_not: _Query) -> list[str]:
    """Return the years that are in the first query and not, or with other sums, in the second."""
    rows = connection.execute(_alone(these).except_(_alone(but_not)).limit(NAMES_PER_FINDING_MAX))
    return [f"{row[0]}/{row[1]}" for row in rows]


def _alone(query: _Query) -> Select[Any]:
    """Return the query as one plain SELECT, which SQLite can put on either side of EXCEPT."""
    return select(query.subquery())
