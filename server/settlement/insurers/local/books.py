"""What must the books of the embedded insurer say, given its settlements? For the auditor's comparison."""

from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Select, and_, case, func, literal, or_, select

from server.settlement.insurers.local.rules import INPATIENT, OUTPATIENT, PREPAYMENT_TYPES
from server.settlement.ledger import NAMES_PER_FINDING_MAX, OUTSIDE, AccountKind
from server.settlement.model import SettlementState
from server.store.tables.benefits import benefit_pots, inpatient_stays
from server.store.tables.settlement import benefit_years, settlements

_settlement, _stay = settlements.c, inpatient_stays.c
_IS_SETTLED = _settlement.state == SettlementState.SETTLED.value
_IS_PREPAYMENT = _settlement.business_type.in_(PREPAYMENT_TYPES)
_STAY_NUMBER = func.coalesce(_settlement.stay_number, "")
_DISEASE = func.coalesce(_settlement.chronic_disease, "")
_IS_ITS_STAY = and_(_stay.site_id == _settlement.site_id, _stay.stay_number == _STAY_NUMBER)
_POT = case((_STAY_NUMBER != "", INPATIENT), (_DISEASE != "", literal("CHRONIC:") + _DISEASE), else_=OUTPATIENT)
_COVERED = _settlement.deductible_fen + _settlement.eligible_fen
_CATASTROPHIC = func.coalesce(_settlement.catastrophic_fen, 0)

_Query = Select[Any] | CompoundSelect[Any]


def stay_entries(prefix: str, which: ColumnElement[bool], sign: int) -> list[Select[Any]]:
    """Return the entries on stays' accounts that those settlements must have, one query for each account."""
    used = func.coalesce(_settlement.prepaid_fen, 0) + func.coalesce(_settlement.prepaid_back_fen, 0)
    paid_in = case((_IS_PREPAYMENT, _settlement.total_fen), else_=-used)
    accounts = (
        (literal(f"{AccountKind.STAY.value}:") + _stay.stay_id, paid_in * sign),
        (literal(OUTSIDE.account_id), -paid_in * sign),
    )
    return [
        select(
            (literal(prefix) + _settlement.transaction_id).label("posting_id"),
            account_id.label("account_id"),
            amount.label("amount_fen"),
        )
        .join_from(settlements, inpatient_stays, _IS_ITS_STAY)
        .where(which, amount != 0)
        for account_id, amount in accounts
    ]


def miscounted(connection: Connection) -> tuple[str, ...]:
    """Return the years (person/year), pots (person/year/pot) and stays that are not what the settlements make them."""
    findings: set[str] = set()
    for length, prefix, counted, demanded in (
        (2, "", _years_counted(), _years_demanded()),
        (3, "", _pots_counted(), _pots_demanded()),
        (1, "stay:", _stays_closed(), _stays_to_be_closed()),
    ):
        for these, but_not in ((counted, demanded), (demanded, counted)):
            keys = _keys(connection, these, but_not, length)
            findings |= {prefix + "/".join(str(part) for part in key) for key in keys}
    return tuple(sorted(findings))


def _years_counted() -> Select[Any]:
    columns = benefit_years.c
    counts = (
        columns.deductible_used_fen,
        columns.eligible_used_fen,
        columns.fund_used_fen,
        columns.covered_apart_fen,
        columns.catastrophic_used_fen,
    )
    return select(columns.person_id, columns.benefit_year, *counts).where(or_(*(count != 0 for count in counts)))


def _years_demanded() -> Select[Any]:
    is_plain = _POT == OUTPATIENT
    sums = _sums(
        case((is_plain, _settlement.deductible_fen), else_=0),
        case((is_plain, _settlement.eligible_fen), else_=0),
        _settlement.pooled_fund_fen,
        case((is_plain, 0), else_=_COVERED),
        _CATASTROPHIC,
    )
    key = (_settlement.person_id, _settlement.benefit_year)
    return select(*key, *sums).where(_IS_SETTLED).group_by(*key).having(or_(*(total != 0 for total in sums)))


def _pots_counted() -> Select[Any]:
    columns = benefit_pots.c
    counts = (columns.deductible_used_fen, columns.eligible_used_fen, columns.fund_used_fen)
    key = (columns.person_id, columns.benefit_year, columns.pot)
    return select(*key, *counts).where(or_(*(count != 0 for count in counts)))


def _pots_demanded() -> Select[Any]:
    apart = (
        select(
            _settlement.person_id,
            _settlement.benefit_year,
            _POT.label("pot"),
            _settlement.deductible_fen,
            _settlement.eligible_fen,
            (_settlement.pooled_fund_fen - _CATASTROPHIC).label("fund_fen"),
        )
        .where(_IS_SETTLED, _POT != OUTPATIENT)
        .subquery()
    )
    key = (apart.c.person_id, apart.c.benefit_year, apart.c.pot)
    sums = _sums(apart.c.deductible_fen, apart.c.eligible_fen, apart.c.fund_fen)
    return select(*key, *sums).group_by(*key).having(or_(*(total != 0 for total in sums)))


def _stays_closed() -> Select[Any]:
    return select(_stay.stay_id, _stay.settled_by.label("transaction_id")).where(_stay.settled_by.is_not(None))


def _stays_to_be_closed() -> Select[Any]:
    return (
        select(_stay.stay_id, _settlement.transaction_id)
        .join_from(settlements, inpatient_stays, _IS_ITS_STAY)
        .where(_IS_SETTLED, ~_IS_PREPAYMENT)
    )


def _sums(*columns: Any) -> list[ColumnElement[Any]]:  # noqa: ANN401 - columns and cases of whole numbers
    return [func.coalesce(func.sum(column), 0) for column in columns]


def _keys(connection: Connection, these: _Query, but_not: _Query, length: int) -> list[tuple[Any, ...]]:
    """Return the keys, so many columns, of rows that are in the first query and not, or otherwise, in the second."""
    rows = connection.execute(_alone(these).except_(_alone(but_not)).limit(NAMES_PER_FINDING_MAX))
    return [tuple(row)[:length] for row in rows]


def _alone(query: _Query) -> Select[Any]:
    """Return the query as one plain SELECT, which SQLite can put on either side of EXCEPT."""
    return select(query.subquery())
