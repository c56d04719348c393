"""Do the settlements and the books tell the same story? Asked by an auditor, answered from both at once.

The ledger alone can be sound and still be wrong: a settlement without its posting balances to zero too. Here every
settlement says which postings there must be, and every posting which settlement it is for. A remote insurer keeps its
books elsewhere; then what is ours is compared: electronic accounts, credit, and payments without a PIN.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, func, literal, not_, select, union_all

from server.settlement.insurers.local.books import miscounted, stay_entries
from server.settlement.ledger import NAMES_PER_FINDING_MAX, AccountKind
from server.settlement.model import SettlementState
from server.settlement.pin_free import miscounted_days
from server.settlement.self_pay.books import (
    OF_OPERATORS,
    OF_SETTLEMENTS,
    begins_with,
    demanded_entries,
    misstated_credit,
    unexplained_debts,
)
from server.store.tables.settlement import ledger_entries, settlements

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
    """Years of benefits (person/year, and a pot that counts apart) that are not the sum of what is settled, and stays
    that are open or closed wrongly."""
    credit_misstated: tuple[str, ...] = ()
    """People whose credit limit is not what they owe and what they may still take, or who have a debt that its
    settlement does not know."""
    pin_free_miscounted: tuple[str, ...] = ()
    """Days (person/day) on which more or less is counted as paid without a PIN than the settlements say."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (
            self.unposted or self.unexplained or self.miscounted or self.credit_misstated or self.pin_free_miscounted
        )


def verify_settlements(
    connection: Connection, *, is_in_house: bool = True, pin_free_since: date | None = None
) -> SettlementsReport:
    """Compare every settlement with what must follow from it.

    Args:
        connection: one view of the books.
        is_in_house: whether the postings and years of benefits of an insurer in house are compared, too.
        pin_free_since: the first day whose count of payments without a PIN is not dropped with age; None: none is.
    """
    if not is_in_house:
        return _beside_remote(connection, pin_free_since)
    demanded = union_all(
        *_entries("settle:", _IS_SETTLED | _MONEY_CAME_BACK, 1),
        *_entries("undo:", _MONEY_CAME_BACK, -1),
        *stay_entries("settle:", _IS_SETTLED | _MONEY_CAME_BACK, 1),
        *stay_entries("undo:", _MONEY_CAME_BACK, -1),
        *demanded_entries(),
    )
    booked = select(ledger_entries.c.posting_id, ledger_entries.c.account_id, ledger_entries.c.amount_fen).where(
        not_(begins_with(("fund:", *OF_OPERATORS)))
    )
    return SettlementsReport(
        settlements=connection.scalar(
            select(func.count()).select_from(settlements).where(_IS_SETTLED | _MONEY_CAME_BACK)
        )
        or 0,
        unposted=_first_of(connection, demanded, booked),
        unexplained=_first_of(connection, booked, demanded),
        miscounted=miscounted(connection),
        credit_misstated=_misstated(connection),
        pin_free_miscounted=miscounted_days(connection, kept_since=pin_free_since),
    )


def _beside_remote(connection: Connection, pin_free_since: date | None) -> SettlementsReport:
    """Compare what is ours where the insurer's books are elsewhere."""
    demanded = union_all(*demanded_entries())
    booked = select(ledger_entries.c.posting_id, ledger_entries.c.account_id, ledger_entries.c.amount_fen).where(
        begins_with(OF_SETTLEMENTS)
    )
    return SettlementsReport(
        settlements=connection.scalar(
            select(func.count()).select_from(settlements).where(_IS_SETTLED | _MONEY_CAME_BACK)
        )
        or 0,
        unposted=_first_of(connection, demanded, booked),
        unexplained=_first_of(connection, booked, demanded),
        miscounted=(),
        credit_misstated=_misstated(connection),
        pin_free_miscounted=miscounted_days(connection, kept_since=pin_free_since),
    )


def _misstated(connection: Connection) -> tuple[str, ...]:
    return tuple(sorted({*misstated_credit(connection), *unexplained_debts(connection)}))


def _entries(prefix: str, which: ColumnElement[bool], sign: int) -> list[Select[Any]]:
    """Return the entries that those settlements must have, one query for each account."""
    fund, account = _settlement.pooled_fund_fen, _settlement.personal_account_fen
    parts = (
        (AccountKind.POOLED_FUND, _settlement.person_region, -fund),
        (AccountKind.PERSON, func.coalesce(_settlement.payer_id, _settlement.person_id), -account),
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


def _alone(query: _Query) -> Select[Any]:
    """Return the query as one plain SELECT, which SQLite can put on either side of EXCEPT."""
    return select(query.subquery())
