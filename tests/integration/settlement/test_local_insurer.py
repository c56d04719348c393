"""The embedded insurer beyond a plain bill: diseases, filings, families, a threshold, and rules that change."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import update

from server.settlement.errors import QuoteOutdatedError
from server.settlement.insurers.local.errors import (
    ChronicDiseaseNotRegisteredError,
    PeriodInvalidError,
    RulesNotInForceError,
)
from server.settlement.insurers.local.registrations import diseases_of, filings_of
from server.settlement.insurers.local.rules import RuleBook
from server.store.tables.settlement import settlements
from tests.support.local_scheme import Scheme, a_prepayment, a_stay, rules_by, steps
from tests.support.money import a_bill


def test_a_chronic_disease_has_its_own_deductible_and_cap_for_those_who_are_registered(scheme: Scheme) -> None:
    person = scheme.a_person()
    bill = a_bill(total_fen=900_000, chronic_disease="DIABETES")
    with pytest.raises(ChronicDiseaseNotRegisteredError):
        scheme.quote(person, bill)
    scheme.registrations.register_chronic(
        scheme.connection, person_id=person, disease="DIABETES", from_day=scheme.today, until_day=None, actor="test"
    )

    row = scheme.pay(person, bill)
    again = scheme.pay(person, a_bill(total_fen=100_000, chronic_disease="DIABETES"))
    plain = scheme.pay(person, a_bill(total_fen=100_000))

    assert (row.deductible_fen, row.pooled_fund_fen, again.pooled_fund_fen) == (30_000, 500_000, 0)
    assert (plain.deductible_fen, plain.pooled_fund_fen) == (60_000, 28_000)  # as if there were no disease
    scheme.undo(row)
    last = scheme.pay(person, a_bill(total_fen=100_000, chronic_disease="DIABETES"))
    assert (last.deductible_fen, last.pooled_fund_fen) == (30_000, 52_500)


def test_a_registration_holds_from_its_first_day_to_its_last(scheme: Scheme) -> None:
    person, bill, today = scheme.a_person(), a_bill(chronic_disease="HYPERTENSION"), scheme.today
    for first, last in ((1, None), (-9, -1)):
        scheme.registrations.register_chronic(
            scheme.connection,
            person_id=person,
            disease="HYPERTENSION",
            from_day=today + timedelta(days=first),
            until_day=None if last is None else today + timedelta(days=last),
            actor="test",
        )
    with pytest.raises(ChronicDiseaseNotRegisteredError):
        scheme.quote(person, bill)

    scheme.clock.advance(timedelta(days=1))

    assert scheme.quote(person, bill).shares.pooled_fund_fen == 6_656
    assert [found.subject for found in diseases_of(scheme.connection, person)] == ["HYPERTENSION", "HYPERTENSION"]


def test_a_filing_makes_treatment_elsewhere_cost_less_and_ends_when_it_is_told(scheme: Scheme) -> None:
    person, today = scheme.a_person(), scheme.today
    scheme.site_region = "310100"
    bill = a_bill(total_fen=160_000)

    def file(until_day: date | None, region: str = "310100") -> None:
        scheme.registrations.file_out_of_region(
            scheme.connection, person_id=person, region=region, from_day=today, until_day=until_day, actor="test"
        )

    file(None, region="320100")  # another region than the site's
    unfiled = scheme.quote(person, bill)
    file(None)
    filed = scheme.quote(person, bill)
    file(today)
    on_the_last_day = scheme.quote(person, bill)
    scheme.clock.advance(timedelta(days=1))
    ended = scheme.quote(person, bill)

    assert [quotation.shares.pooled_fund_fen for quotation in (unfiled, filed, on_the_last_day, ended)] == [
        55_000,
        65_000,
        65_000,
        55_000,
    ]
    assert ("REDUCTION", -5_000) in steps(filed)
    assert [(found.subject, found.until_day) for found in filings_of(scheme.connection, person)] == [
        ("310100", today),
        ("320100", None),
    ]
    with pytest.raises(PeriodInvalidError):
        file(today - timedelta(days=1))


def test_a_filing_after_the_quote_makes_it_outdated(scheme: Scheme) -> None:
    person = scheme.a_person()
    scheme.site_region = "310100"
    claim = scheme.a_claim(person, a_bill(total_fen=160_000))
    quotation = scheme.insurer.quote(scheme.connection, claim)
    scheme.registrations.file_out_of_region(
        scheme.connection, person_id=person, region="310100", from_day=scheme.today, until_day=None, actor="test"
    )

    with pytest.raises(QuoteOutdatedError):
        scheme.book(claim, quotation)


def test_above_the_threshold_of_the_years_own_burden_the_catastrophic_tier_pays(scheme: Scheme) -> None:
    person = scheme.a_person()
    # The fund leaves 80,000 + 20 % of 1,920,000 of the stay, then 60,000 + 30 % of the visits' 1,000,000, and so on.
    rows = [
        scheme.pay(person, bill)
        for bill in (a_stay(total_fen=2_000_000), a_bill(total_fen=1_060_000), a_bill(total_fen=4_000_000))
    ]

    burdens = [
        row.deductible_fen + row.eligible_fen - row.pooled_fund_fen + row.catastrophic_fen  # type: ignore[operator] # a settled row has them
        for row in rows
    ]
    other = scheme.pay(person, a_stay("Z-2", total_fen=100_000))  # at once above the threshold, and in its own pot
    assert other.catastrophic_fen == 84_000 * 6 // 10
    assert burdens == [464_000, 360_000, 800_000]
    assert [row.catastrophic_fen for row in rows] == [0, 0, (464_000 + 360_000 + 800_000 - 1_500_000) * 6 // 10]
    before = scheme.standing()
    scheme.undo(scheme.pay(person, a_bill(total_fen=500_001)))
    assert scheme.standing() == before


def test_in_a_family_the_holders_account_pays_and_the_patients_year_counts(scheme: Scheme) -> None:
    holder, child = scheme.a_person(balance_fen=10_000), scheme.a_person(balance_fen=99_000)
    before = scheme.standing()

    quotation = scheme.quote(child, a_bill(total_fen=70_000), payer_id=holder)
    row = scheme.pay(child, a_bill(total_fen=70_000), payer_id=holder)

    assert (row.personal_account_fen, row.personal_account_balance_fen) == (10_000, 0)
    assert [person for person, *_ in scheme.standing()["years"]] == [child]
    assert "relative" in next(line.text_en for line in quotation.reckoning if line.step == "PERSONAL_ACCOUNT")
    scheme.undo(row)
    assert scheme.standing() == before


def two_sets(scheme: Scheme, *, second_from: date) -> RuleBook:
    """Return the shipped rules, and from a day on the same with a lower deductible."""
    first = scheme.rules.sets[0]
    generous = {kind: replace(site, deductible_fen=0) for kind, site in first.sites.items()}
    return RuleBook(sets=(first, replace(first, effective_from=second_from, sites=generous)))


def test_new_rules_hold_from_midnight_in_china_and_older_quotes_are_outdated(scheme: Scheme) -> None:
    scheme.clock.set(datetime(2026, 6, 30, 15, 59, tzinfo=UTC))  # 23:59 there
    scheme.rules = two_sets(scheme, second_from=date(2026, 7, 1))
    person = scheme.a_person()
    claim, same = scheme.a_claim(person, a_bill(total_fen=10_000)), scheme.a_claim(person, a_prepayment())
    old, untouched = (scheme.insurer.quote(scheme.connection, quoted) for quoted in (claim, same))
    scheme.clock.set(datetime(2026, 6, 30, 16, 0, tzinfo=UTC))

    with pytest.raises(QuoteOutdatedError):
        scheme.book(claim, old)

    new = scheme.quote(person, a_bill(total_fen=10_000))
    assert (old.shares.pooled_fund_fen, new.shares.pooled_fund_fen) == (0, 7_000)
    scheme.book(same, untouched)  # whose shares are the same by the new rules


def test_a_quote_of_last_year_is_outdated_even_when_the_shares_would_be_the_same(scheme: Scheme) -> None:
    scheme.clock.set(datetime(2026, 12, 31, 15, 59, tzinfo=UTC))
    claim = scheme.a_claim(scheme.a_person(), a_bill(total_fen=1_000))
    quotation = scheme.insurer.quote(scheme.connection, claim)
    scheme.clock.set(datetime(2026, 12, 31, 16, 0, tzinfo=UTC))

    with pytest.raises(QuoteOutdatedError):
        scheme.book(claim, quotation)


def test_before_the_first_set_nothing_is_in_force(scheme: Scheme) -> None:
    scheme.rules = rules_by(scheme.rules, effective_from=scheme.today + timedelta(days=1))

    with pytest.raises(RulesNotInForceError):
        scheme.quote(scheme.a_person(), a_bill())


def test_i06_what_the_release_before_paid_as_a_prepayment_is_undone_with_all_it_used_up(scheme: Scheme) -> None:
    """It knew no stays: its rules paid type 1104 as any other bill, and its rows have none of the newer columns."""
    person = scheme.a_person(balance_fen=1_000)
    untouched = scheme.standing()
    row = scheme.pay(person, a_bill(total_fen=70_000))
    scheme.connection.execute(
        update(settlements)
        .where(settlements.c.transaction_id == row.transaction_id)
        .values(
            business_type=1104,
            stay_number=None,
            chronic_disease=None,
            payer_id=None,
            catastrophic_fen=None,
            prepaid_fen=None,
            prepaid_back_fen=None,
        )
    )

    scheme.undo(row)

    assert scheme.standing() == untouched
