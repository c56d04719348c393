"""Where does somebody stand in their year, and what does their account hold? Read before a split, counted after it.

The row of the year counts outpatient bills in full, and of everything else (a stay, a chronic disease) only what the
year's cap and the catastrophic tier need; what such bills use up of their own deductible, tiers and cap is in a row of
their own, their pot. So the plain path reads one row and writes one row.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from device_registry.tables.prepared import Prepared
from server.settlement.errors import QuoteOutdatedError
from server.settlement.insurers import Claim
from server.settlement.insurers.local.rules import OUTPATIENT, pot_of
from server.settlement.insurers.local.split import BenefitYear
from server.store.tables.benefits import benefit_pots
from server.store.tables.settlement import accounts, benefit_years

_year, _pot = benefit_years.c, benefit_pots.c
_IS_YEAR: Final = and_(_year.person_id == bindparam("person_id"), _year.benefit_year == bindparam("benefit_year"))
_IS_POT: Final = and_(
    _pot.person_id == bindparam("person_id"),
    _pot.benefit_year == bindparam("benefit_year"),
    _pot.pot == bindparam("in_pot"),
)
_STANDING: Final = Prepared(
    select(
        accounts.c.balance_fen,
        _year.deductible_used_fen,
        _year.eligible_used_fen,
        _year.fund_used_fen,
        _year.covered_apart_fen,
        _year.catastrophic_used_fen,
    )
    .select_from(accounts)
    .join(benefit_years, _IS_YEAR)
    .where(accounts.c.account_id == bindparam("account"))
)
_OF_POT: Final = Prepared(select(_pot.deductible_used_fen, _pot.eligible_used_fen, _pot.fund_used_fen).where(_IS_POT))
_USE_UP: Final = Prepared(
    update(benefit_years)
    .where(_IS_YEAR)
    .values(
        deductible_used_fen=_year.deductible_used_fen + bindparam("deductible"),
        eligible_used_fen=_year.eligible_used_fen + bindparam("eligible"),
        fund_used_fen=_year.fund_used_fen + bindparam("fund"),
        covered_apart_fen=_year.covered_apart_fen + bindparam("apart"),
        catastrophic_used_fen=_year.catastrophic_used_fen + bindparam("catastrophic"),
    )
)
_USE_UP_POT: Final = Prepared(
    update(benefit_pots)
    .where(_IS_POT)
    .values(
        deductible_used_fen=_pot.deductible_used_fen + bindparam("deductible"),
        eligible_used_fen=_pot.eligible_used_fen + bindparam("eligible"),
        fund_used_fen=_pot.fund_used_fen + bindparam("fund"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a split starts from."""

    balance_fen: int
    """Of the personal account that pays."""
    used: BenefitYear


def open_standing(connection: Connection, claim: Claim) -> None:
    """Begin the year, and the pot, that a claim counts in, where they have not begun yet."""
    year = {"person_id": claim.person_id, "benefit_year": claim.benefit_year}
    nothing = {"deductible_used_fen": 0, "eligible_used_fen": 0, "fund_used_fen": 0}
    if connection.scalar(select(_year.person_id).filter_by(**year)) is None:
        connection.execute(
            insert(benefit_years).values(**year, **nothing, covered_apart_fen=0, catastrophic_used_fen=0)
        )
    pot = {**year, "pot": pot_of(claim.bill)}
    if pot["pot"] != OUTPATIENT and connection.scalar(select(_pot.person_id).filter_by(**pot)) is None:
        connection.execute(insert(benefit_pots).values(**pot, **nothing))


def standing_of(connection: Connection, claim: Claim) -> Standing:
    """Return where the person stands before this claim.

    Raises:
        QuoteOutdatedError: they were never quoted by us: there would be an account and a year.
    """
    found = _STANDING.row(
        connection,
        person_id=claim.person_id,
        benefit_year=claim.benefit_year,
        account=f"person:{claim.payer_id}",
    )
    if found is None:
        raise QuoteOutdatedError
    balance, deductible, eligible, paid, apart, catastrophic = found
    fund = paid - catastrophic
    burden = deductible + eligible + apart - fund
    own = (deductible, eligible, fund)
    pot = pot_of(claim.bill)
    if pot != OUTPATIENT:
        in_pot = _OF_POT.row(connection, person_id=claim.person_id, benefit_year=claim.benefit_year, in_pot=pot)
        if in_pot is None:
            raise QuoteOutdatedError
        own = (in_pot[0], in_pot[1], in_pot[2])
    used = BenefitYear(
        deductible_used_fen=own[0],
        eligible_used_fen=own[1],
        own_fund_used_fen=own[2],
        fund_used_fen=fund,
        burden_used_fen=burden,
        catastrophic_used_fen=catastrophic,
    )
    return Standing(balance_fen=balance, used=used)


def use_up(
    connection: Connection,
    claim: Claim,
    *,
    deductible_fen: int,
    eligible_fen: int,
    fund_fen: int,
    catastrophic_fen: int,
) -> None:
    """Count what a claim uses up; with all signs turned, give it back.

    Args:
        connection: the transaction to write in.
        claim: whose, when, and in which pot.
        deductible_fen: of the deductible.
        eligible_fen: expense that climbs the tiers.
        fund_fen: what the pooled fund pays in all.
        catastrophic_fen: of that, what the catastrophic tier pays.
    """
    pot = pot_of(claim.bill)
    is_plain = pot == OUTPATIENT
    _USE_UP.run(
        connection,
        person_id=claim.person_id,
        benefit_year=claim.benefit_year,
        deductible=deductible_fen if is_plain else 0,
        eligible=eligible_fen if is_plain else 0,
        fund=fund_fen,
        apart=0 if is_plain else deductible_fen + eligible_fen,
        catastrophic=catastrophic_fen,
    )
    if not is_plain:
        _USE_UP_POT.run(
            connection,
            person_id=claim.person_id,
            benefit_year=claim.benefit_year,
            in_pot=pot,
            deductible=deductible_fen,
            eligible=eligible_fen,
            fund=fund_fen - catastrophic_fen,
        )
