"""What postings must there be for what settlements took of electronic accounts and of credit, and what is owed?"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, literal, or_, select

from server.settlement.ledger import NAMES_PER_FINDING_MAX, AccountKind
from server.settlement.model import SettlementState
from server.settlement.self_pay import credit, electronic_account
from server.store.tables.self_pay import IS_OWED, credit_debts, credit_lines
from server.store.tables.settlement import accounts, ledger_entries, settlements

OF_SETTLEMENTS = (
    electronic_account.TAKEN,
    electronic_account.GIVEN_BACK,
    credit.TAKEN,
    credit.GIVEN_BACK,
    credit.OVERPAID,
)
"""Postings that a settlement must explain, whoever the insurer is."""
OF_OPERATORS = (credit.LIMIT, credit.REPAID)
"""Postings that somebody approved or received; `misstated_credit` says whether they add up."""

_settlement = settlements.c
_GAVE_BACK = _settlement.state.in_(
    [SettlementState.FAILED.value, SettlementState.REVERSED.value, SettlementState.CANCELLED.value]
)
_WAS_OVERPAID = credit_debts.c.given_back_at.is_not(None) & (credit_debts.c.repaid_fen > 0)


def demanded_entries() -> list[Select[Any]]:
    """Return the entries that settlements must have for what they took beside the insurance, one query for each."""
    electronic = (AccountKind.ELECTRONIC, _settlement.electronic_account_fen)
    on_credit = (AccountKind.CREDIT, _settlement.credit_fen)
    return [
        *_moved(electronic_account.TAKEN, *electronic, sign=1),
        *_moved(electronic_account.GIVEN_BACK, *electronic, _GAVE_BACK, sign=-1),
        *_moved(credit.TAKEN, *on_credit, sign=1),
        *_moved(credit.GIVEN_BACK, *on_credit, _GAVE_BACK, sign=-1),
        _overpaid(AccountKind.CREDIT, -credit_debts.c.repaid_fen),
        _overpaid(AccountKind.ELECTRONIC, credit_debts.c.repaid_fen),
    ]


def begins_with(prefixes: tuple[str, ...]) -> ColumnElement[bool]:
    """Return whether an entry belongs to a posting of one of these kinds."""
    return or_(*(ledger_entries.c.posting_id.like(f"{prefix}%") for prefix in prefixes))


def misstated_credit(connection: Connection) -> tuple[str, ...]:
    """Return the people whose limit is not what they owe and what they may still take together."""
    owed = (
        select(credit_debts.c.person_id, func.sum(credit_debts.c.taken_fen - credit_debts.c.repaid_fen).label("fen"))
        .where(IS_OWED)
        .group_by(credit_debts.c.person_id)
        .subquery()
    )
    line = literal(f"{AccountKind.CREDIT.value}:") + credit_lines.c.person_id
    query = (
        select(credit_lines.c.person_id)
        .outerjoin(owed, owed.c.person_id == credit_lines.c.person_id)
        .outerjoin(accounts, accounts.c.account_id == line)
        .where(credit_lines.c.limit_fen != func.coalesce(accounts.c.balance_fen, 0) + func.coalesce(owed.c.fen, 0))
        .limit(NAMES_PER_FINDING_MAX)
    )
    unapproved = (
        select(credit_debts.c.person_id)
        .distinct()
        .where(IS_OWED, credit_debts.c.person_id.not_in(select(credit_lines.c.person_id)))
        .limit(NAMES_PER_FINDING_MAX)
    )
    return tuple(sorted({*connection.scalars(query), *connection.scalars(unapproved)}))


def unexplained_debts(connection: Connection) -> tuple[str, ...]:
    """Return who has a debt that its settlement does not know: of another person, another amount, or not undone."""
    payer = func.coalesce(_settlement.payer_id, _settlement.person_id)
    is_its_own = and_(
        _settlement.transaction_id == credit_debts.c.transaction_id,
        payer == credit_debts.c.person_id,
        _settlement.credit_fen == credit_debts.c.taken_fen,
        credit_debts.c.given_back_at.is_not(None) == _GAVE_BACK,
    )
    query = (
        select(credit_debts.c.person_id)
        .distinct()
        .outerjoin(settlements, is_its_own)
        .where(_settlement.transaction_id.is_(None))
        .limit(NAMES_PER_FINDING_MAX)
    )
    return tuple(connection.scalars(query))


def _moved(
    prefix: str, kind: AccountKind, amount: ColumnElement[Any], *which: ColumnElement[bool], sign: int
) -> list[Select[Any]]:
    """Return the two entries of a taking, or of its giving back: whose money, and to which site."""
    payer = func.coalesce(_settlement.payer_id, _settlement.person_id)
    parts = ((kind, payer, -sign), (AccountKind.SITE, _settlement.site_id, sign))
    return [
        select(
            (literal(prefix) + _settlement.transaction_id).label("posting_id"),
            (literal(f"{part.value}:") + owner).label("account_id"),
            (amount * direction).label("amount_fen"),
        ).where(amount != 0, *which)
        for part, owner, direction in parts
    ]


def _overpaid(kind: AccountKind, amount: ColumnElement[Any]) -> Select[Any]:
    return select(
        (literal(credit.OVERPAID) + credit_debts.c.transaction_id).label("posting_id"),
        (literal(f"{kind.value}:") + credit_debts.c.person_id).label("account_id"),
        amount.label("amount_fen"),
    ).where(_WAS_OVERPAID)
