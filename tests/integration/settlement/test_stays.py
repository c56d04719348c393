"""Stays with the embedded insurer: prepayments, bedside settlement, whose they are, and what the auditor finds."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from server.settlement.books import verify_settlements
from server.settlement.errors import BillInvalidError, QuoteOutdatedError
from server.settlement.insurers.local.errors import StayForeignError, StaySettledError
from server.settlement.model import Bill
from tests.support.database import Database
from tests.support.local_scheme import Scheme, a_prepayment, a_scheme, a_stay, rules_by, steps
from tests.support.money import a_bill


def test_a_stay_uses_its_prepayments_up_and_gives_the_rest_back(scheme: Scheme) -> None:
    person = scheme.a_person()
    for _ in range(2):
        scheme.pay(person, a_prepayment(total_fen=200_000))
    assert scheme.stay_balance() == 400_000

    quotation = scheme.quote(person, a_stay(total_fen=1_000_000, not_covered_fen=20_000))
    row = scheme.pay(person, a_stay(total_fen=1_000_000, not_covered_fen=20_000))

    # 980,000 covered, 80,000 deductible of the stay, 80 % of 900,000.
    assert steps(quotation) == [
        ("NOT_COVERED", 20_000),
        ("DEDUCTIBLE", 80_000),
        ("TIER", 720_000),
        ("PREPAID", 280_000),
        ("SELF_PAY", 0),
        ("PREPAID_BACK", 120_000),
    ]
    assert (row.prepaid_fen, row.prepaid_back_fen, scheme.stay_balance()) == (280_000, 120_000, 0)


def test_prepayments_that_are_not_enough_leave_something_to_pay(scheme: Scheme) -> None:
    person = scheme.a_person()
    scheme.pay(person, a_prepayment(total_fen=100_000))

    row = scheme.pay(person, a_stay())

    assert row.booked.shares.self_pay_fen - row.booked.shares.prepaid_fen == 164_000 == 1_000_000 - 736_000 - 100_000
    assert scheme.stay_balance() == 0


def test_a_prepayment_moves_nothing_of_fund_and_account(scheme: Scheme) -> None:
    person = scheme.a_person(balance_fen=500_000)

    row = scheme.pay(person, a_prepayment())

    assert (row.pooled_fund_fen, row.personal_account_fen, row.personal_account_balance_fen) == (0, 0, 500_000)
    assert (row.deductible_fen, row.eligible_fen, scheme.standing()["years"]) == (0, 0, [])


def test_undoing_a_stay_restores_everything_exactly_in_any_order_that_is_allowed(scheme: Scheme) -> None:
    person = scheme.a_person(balance_fen=30_000)
    nothing = scheme.standing()
    prepaid = scheme.pay(person, a_prepayment())
    before = scheme.standing()
    settled = scheme.pay(person, a_stay(total_fen=300_000))
    assert scheme.standing() != before

    with pytest.raises(StaySettledError):
        scheme.undo(prepaid)
    scheme.undo(settled)
    assert scheme.standing() == before
    again = scheme.pay(person, a_stay(total_fen=300_000))
    scheme.undo(again)
    scheme.undo(prepaid)

    assert scheme.standing() == nothing


def test_a_settled_stay_takes_nothing_more(scheme: Scheme) -> None:
    person = scheme.a_person()
    scheme.pay(person, a_stay())

    for bill in (a_prepayment(), a_stay()):
        with pytest.raises(StaySettledError):
            scheme.quote(person, bill)


def test_a_stay_belongs_to_one_person_as_long_as_their_money_is_in_it(scheme: Scheme) -> None:
    first, second = scheme.a_person(), scheme.a_person()
    mistaken = scheme.pay(first, a_prepayment())
    for bill in (a_prepayment(), a_stay()):
        with pytest.raises(StayForeignError):
            scheme.quote(second, bill)

    scheme.undo(mistaken)
    scheme.pay(second, a_prepayment())

    with pytest.raises(StayForeignError):
        scheme.quote(first, a_stay())
    assert scheme.pay(second, a_stay()).prepaid_fen == 200_000


def test_two_who_were_quoted_one_stay_do_not_both_get_it(scheme: Scheme) -> None:
    first, second = scheme.a_person(), scheme.a_person()
    claims = [scheme.a_claim(person, a_prepayment()) for person in (first, second)]
    quotations = [scheme.insurer.quote(scheme.connection, claim) for claim in claims]
    scheme.book(claims[0], quotations[0])

    with pytest.raises(StayForeignError):
        scheme.book(claims[1], quotations[1])


def test_a_prepayment_after_the_quote_makes_it_outdated(scheme: Scheme) -> None:
    person = scheme.a_person()
    claim = scheme.a_claim(person, a_stay())
    quotation = scheme.insurer.quote(scheme.connection, claim)
    scheme.pay(person, a_prepayment())

    with pytest.raises(QuoteOutdatedError):
        scheme.book(claim, quotation)


def test_the_deductible_of_a_stay_begins_anew_or_counts_over_the_year_as_the_rules_say(scheme: Scheme) -> None:
    person = scheme.a_person()
    each = [scheme.pay(person, a_stay(number, total_fen=100_000)).deductible_fen for number in ("Z-1", "Z-2")]
    hospital = scheme.rules.sets[0].sites["HOSPITAL"]
    assert hospital.inpatient is not None
    per_year = replace(hospital, inpatient=replace(hospital.inpatient, deductible_per_stay=False))
    scheme.rules = rules_by(scheme.rules, sites={"HOSPITAL": per_year})
    other = scheme.a_person()
    over_year = [scheme.pay(other, a_stay(number, total_fen=50_000)).deductible_fen for number in ("Z-3", "Z-4")]

    assert each == [80_000, 80_000]
    assert over_year == [50_000, 30_000]


def test_what_was_looked_up_for_one_bill_lets_no_other_through(scheme: Scheme) -> None:
    person, insurer = scheme.a_person(), scheme.insurer
    insurer.quote(scheme.connection, scheme.a_claim(person, a_stay()))

    for changes in ({"chronic_disease": "DIABETES"}, {"business_type": 1302}):
        with pytest.raises(BillInvalidError):
            insurer.quote(scheme.connection, scheme.a_claim(person, a_stay(**changes)))


def test_a_prepayment_names_its_stay(scheme: Scheme) -> None:
    with pytest.raises(BillInvalidError):
        scheme.quote(scheme.a_person(), a_prepayment(""))


@st.composite
def some_visits(draw: st.DrawFn) -> list[tuple[Bill, bool]]:
    """Return bills of every kind, and whether each is cancelled at once."""
    amounts = st.integers(1, 9_000_000)
    kinds = ("plain", "sick", "prepayment", "stay")
    visits = []
    for number, (kind, fen, part) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(kinds), amounts, st.integers(0, 100)), min_size=1, max_size=8))
    ):
        bill = {
            "plain": a_bill(total_fen=fen, not_covered_fen=fen * part // 100),
            "sick": a_bill(total_fen=fen, chronic_disease="HYPERTENSION"),
            "prepayment": a_prepayment(f"Z-{number % 2}", total_fen=fen),
            "stay": a_stay(f"Z-{number % 2}", total_fen=fen),
        }[kind]
        visits.append((bill, draw(st.booleans())))
    return visits


@pytest.mark.parametrize("shared_database", ["sqlite"], indirect=True)  # what differs between engines is above
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=some_visits(), balance_fen=st.integers(0, 200_000))
def test_i06_whatever_is_paid_the_books_are_sound_and_undoing_all_of_it_restores_every_fen(
    shared_database: Database, visits: list[tuple[Bill, bool]], balance_fen: int
) -> None:
    with a_scheme(shared_database.engine) as scheme:
        person = scheme.a_person(balance_fen=balance_fen)
        scheme.registrations.register_chronic(
            scheme.connection,
            person_id=person,
            disease="HYPERTENSION",
            from_day=scheme.today,
            until_day=None,
            actor="test",
        )
        untouched, standing = scheme.standing(), []
        for bill, is_cancelled in visits:
            before = scheme.standing()
            try:
                row = scheme.pay(person, bill)
            except StaySettledError:
                continue
            if is_cancelled:
                scheme.undo(row)
                assert scheme.standing() == before
            else:
                standing.append(row)
        report = verify_settlements(scheme.connection)
        assert report.is_sound, report
        for row in reversed(standing):
            scheme.undo(row)

        assert scheme.standing() == untouched
        assert scheme.ledger.verify(scheme.connection).is_sound


HARMS = (
    "DELETE FROM ledger_entries WHERE account_id LIKE 'stay:%' AND amount_fen < 0",
    "UPDATE settlements SET prepaid_back_fen = prepaid_back_fen + 1 WHERE prepaid_fen > 0",
    "UPDATE settlements SET catastrophic_fen = 1 WHERE prepaid_fen > 0",
    "UPDATE inpatient_stays SET settled_by = NULL",
    "UPDATE benefit_pots SET eligible_used_fen = eligible_used_fen + 1",
    "DELETE FROM benefit_pots",
    "UPDATE benefit_years SET covered_apart_fen = covered_apart_fen - 1",
    "UPDATE benefit_years SET catastrophic_used_fen = 1",
)


def test_i06_what_was_changed_of_a_stay_behind_our_back_is_found(scheme: Scheme) -> None:
    person = scheme.a_person()
    scheme.pay(person, a_prepayment(total_fen=500_000))
    scheme.pay(person, a_stay())
    assert verify_settlements(scheme.connection).is_sound

    unnoticed = []
    for harm in HARMS:
        with scheme.connection.begin_nested() as harmed:
            scheme.connection.execute(text(harm))
            if verify_settlements(scheme.connection).is_sound:
                unnoticed.append(harm)
            harmed.rollback()

    assert not unnoticed
