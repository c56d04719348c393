"""Who pays what: the benefit engine by example and by property."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.settlement.insurers.local.split import (
    Benefits,
    BenefitYear,
    Catastrophic,
    Split,
    Tier,
    split_bill,
    split_prepayment,
)
from server.settlement.model import Bill
from tests.support.benefits import FEN, TOTALS, YEARS, a_plain_bill, after, some_benefits, some_bills, split_one

HOSPITAL = Benefits(
    deductible_fen=60_000,
    tiers=(Tier(up_to_fen=1_000_000, ratio_bp=7_000), Tier(up_to_fen=None, ratio_bp=8_000)),
    annual_cap_fen=30_000_000,
)
DREADFUL = Catastrophic(
    threshold_fen=1_000_000,
    tiers=(Tier(up_to_fen=100_000, ratio_bp=6_000), Tier(up_to_fen=None, ratio_bp=7_000)),
    annual_cap_fen=None,
)
PAST_DEDUCTIBLE = BenefitYear(deductible_used_fen=60_000)
AT_THE_THRESHOLD = replace(PAST_DEDUCTIBLE, burden_used_fen=1_000_000)


def a_split(
    total_fen: int,
    *,
    not_covered_fen: int = 0,
    benefits: Benefits = HOSPITAL,
    used: BenefitYear = PAST_DEDUCTIBLE,
    personal_account_fen: int = 0,
    prepaid_fen: int = 0,
) -> Split:
    """Split a bill at a hospital, past the deductible."""
    bill = a_plain_bill(total_fen, not_covered_fen=not_covered_fen)
    return split_one(bill, benefits, used, personal_account_fen=personal_account_fen, prepaid_fen=prepaid_fen)


def parts(split: Split) -> tuple[int, int, int]:
    """Return fund, account, pocket."""
    shares = split.shares
    return shares.pooled_fund_fen, shares.personal_account_fen, shares.self_pay_fen


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        # 起付线 first: below it the fund pays nothing.
        (a_split(50_000, used=BenefitYear()), (0, 0, 50_000)),
        (a_split(50_000, used=BenefitYear(), personal_account_fen=20_000), (0, 20_000, 30_000)),
        # A bill that crosses it: 70 % of what is above.
        (a_split(100_000, used=BenefitYear(deductible_used_fen=50_000)), (63_000, 0, 37_000)),
        # Of a stay it begins anew, whatever the year has seen.
        (a_split(100_000, benefits=replace(HOSPITAL, deductible_per_stay=True)), (28_000, 0, 72_000)),
        # What is not covered is the patient's alone, however full the account.
        (a_split(10_000, not_covered_fen=10_000, personal_account_fen=99_999), (0, 0, 10_000)),
        (a_split(10_000, not_covered_fen=4_000, personal_account_fen=99_999), (4_200, 1_800, 4_000)),
        # The year climbs into the next tier: 1,000 fen at 70 %, the rest at 80 %.
        (a_split(11_000, used=replace(PAST_DEDUCTIBLE, eligible_used_fen=999_000)), (8_700, 0, 2_300)),
        (a_split(10_000, used=replace(PAST_DEDUCTIBLE, eligible_used_fen=2_000_000)), (8_000, 0, 2_000)),
        # 封顶线: the fund stops, the account goes on.
        (
            a_split(10_000, used=replace(PAST_DEDUCTIBLE, fund_used_fen=29_999_000), personal_account_fen=500),
            (1_000, 500, 8_500),
        ),
        # A disease's own cap may come first, or the year's.
        (
            a_split(
                10_000,
                benefits=replace(HOSPITAL, own_cap_fen=5_000),
                used=replace(PAST_DEDUCTIBLE, own_fund_used_fen=2_000),
            ),
            (3_000, 0, 7_000),
        ),
        (
            a_split(
                10_000,
                benefits=replace(HOSPITAL, own_cap_fen=5_000),
                used=replace(PAST_DEDUCTIBLE, fund_used_fen=29_999_000),
            ),
            (1_000, 0, 9_000),
        ),
        # 异地就医: ten points less.
        (a_split(10_000, benefits=replace(HOSPITAL, reduction_bp=1_000)), (6_000, 0, 4_000)),
        # Rounded down, once, for the fund.
        (a_split(1), (0, 0, 1)),
        (a_split(101), (70, 0, 31)),
        # Half a fen from each of two tiers is one fen.
        (
            a_split(
                2,
                benefits=replace(
                    HOSPITAL, tiers=(Tier(up_to_fen=1, ratio_bp=5_000), Tier(up_to_fen=None, ratio_bp=5_000))
                ),
            ),
            (1, 0, 1),
        ),
        # A reduction above the ratio leaves nothing, and never less than nothing.
        (a_split(10_000, benefits=replace(HOSPITAL, reduction_bp=9_000)), (0, 0, 10_000)),
        # 大病: at the threshold, the fund leaves 3,000 of 10,000, of which 60 % are paid.
        (a_split(10_000, benefits=replace(HOSPITAL, catastrophic=DREADFUL), used=AT_THE_THRESHOLD), (8_800, 0, 1_200)),
        # One fen of burden below it: nothing yet for that fen, and the part above is rounded down.
        (
            a_split(
                10_000,
                benefits=replace(HOSPITAL, catastrophic=DREADFUL),
                used=replace(AT_THE_THRESHOLD, burden_used_fen=999_999),
            ),
            (8_799, 0, 1_201),
        ),
        # It climbs too: 1,000 fen in its first tier, 2,000 in the second.
        (
            a_split(
                10_000,
                benefits=replace(HOSPITAL, catastrophic=DREADFUL),
                used=replace(AT_THE_THRESHOLD, burden_used_fen=1_099_000),
            ),
            (9_000, 0, 1_000),
        ),
        # With a cap of its own; what the year's cap takes away is burden, and counts.
        (
            a_split(
                10_000,
                benefits=replace(HOSPITAL, annual_cap_fen=0, catastrophic=replace(DREADFUL, annual_cap_fen=5_000)),
                used=AT_THE_THRESHOLD,
            ),
            (5_000, 0, 5_000),
        ),
        # What is not covered is no burden.
        (
            a_split(
                10_000,
                not_covered_fen=10_000,
                benefits=replace(HOSPITAL, catastrophic=DREADFUL),
                used=AT_THE_THRESHOLD,
            ),
            (0, 0, 10_000),
        ),
    ],
)
def test_a_bill_is_split_as_the_rules_say(split: Split, expected: tuple[int, int, int]) -> None:
    assert parts(split) == expected


@pytest.mark.parametrize(
    ("prepaid", "used", "back"), [(0, 0, 0), (2_000, 2_000, 0), (3_000, 3_000, 0), (9_000, 3_000, 6_000)]
)
def test_prepayments_cover_what_the_patient_pays_and_the_rest_goes_back(prepaid: int, used: int, back: int) -> None:
    split = a_split(10_000, prepaid_fen=prepaid)

    assert (split.shares.self_pay_fen, split.shares.prepaid_fen, split.prepaid_back_fen) == (3_000, used, back)


def test_a_prepayment_is_self_paid_and_uses_nothing_up() -> None:
    split = split_prepayment(Bill(bill_number="B", business_type=1104, total_fen=500_000, not_covered_fen=0))

    assert parts(split) == (0, 0, 500_000)
    assert (split.deductible_fen, split.eligible_fen, split.shares.prepaid_fen) == (0, 0, 0)


@settings(max_examples=60)
@given(some_bills(), some_benefits(), YEARS, FEN, FEN)
def test_the_parts_sum_to_the_bill_none_is_negative_and_no_cap_is_passed(
    bill: Bill, benefits: Benefits, used: BenefitYear, account: int, prepaid: int
) -> None:
    split = split_one(bill, benefits, used, personal_account_fen=account, prepaid_fen=prepaid)

    shares = split.shares
    fund = shares.pooled_fund_fen - shares.catastrophic_fen
    assert sum(parts(split)) == bill.total_fen == shares.total_fen
    assert min(*parts(split), shares.catastrophic_fen, shares.prepaid_fen, split.prepaid_back_fen, fund) >= 0
    assert shares.self_pay_fen >= max(bill.not_covered_fen, shares.prepaid_fen)
    assert shares.personal_account_fen <= account
    assert shares.prepaid_fen + split.prepaid_back_fen == prepaid
    assert fund <= max(0, benefits.annual_cap_fen - used.fund_used_fen)
    if benefits.own_cap_fen is not None:
        assert fund <= max(0, benefits.own_cap_fen - used.own_fund_used_fen)
    if benefits.catastrophic is None:
        assert not shares.catastrophic_fen
    elif benefits.catastrophic.annual_cap_fen is not None:
        assert shares.catastrophic_fen <= max(0, benefits.catastrophic.annual_cap_fen - used.catastrophic_used_fen)
    assert split.deductible_fen + split.eligible_fen == bill.total_fen - bill.not_covered_fen


@settings(max_examples=60)
@given(TOTALS, st.integers(1, 100_000), some_benefits(), YEARS, FEN)
def test_a_larger_bill_never_costs_anyone_less(
    total: int, more: int, benefits: Benefits, used: BenefitYear, account: int
) -> None:
    small, large = (
        parts(split_one(a_plain_bill(fen), benefits, used, personal_account_fen=account))
        for fen in (total, total + more)
    )

    assert all(before <= after for before, after in zip(small, large, strict=True))


@settings(max_examples=60)
@given(TOTALS, some_benefits(), YEARS)
def test_the_fund_never_pays_more_away_than_at_home(total: int, benefits: Benefits, used: BenefitYear) -> None:
    home, away = (
        split_one(a_plain_bill(total), changed, used) for changed in (replace(benefits, reduction_bp=0), benefits)
    )

    assert away.shares.pooled_fund_fen <= home.shares.pooled_fund_fen


@settings(max_examples=60)
@given(some_bills(), some_benefits(), YEARS)
def test_rounding_never_favours_the_fund_by_a_whole_fen(bill: Bill, benefits: Benefits, used: BenefitYear) -> None:
    without_caps = replace(benefits, annual_cap_fen=10**15, own_cap_fen=None, catastrophic=None, deductible_fen=0)
    split = split_one(bill, without_caps, replace(used, eligible_used_fen=0))

    position, exact = 0, 0
    for tier in benefits.tiers:
        end = split.eligible_fen if tier.up_to_fen is None else min(split.eligible_fen, tier.up_to_fen)
        exact += max(0, end - position) * max(0, tier.ratio_bp - benefits.reduction_bp)
        position = max(position, end)
    assert 0 <= exact - split.shares.pooled_fund_fen * 10_000 < 10_000


@settings(max_examples=60)
@given(TOTALS, TOTALS, some_benefits(), YEARS)
def test_one_bill_or_two_makes_a_fen_of_difference_for_each_climb_at_most(
    first: int, second: int, benefits: Benefits, used: BenefitYear
) -> None:
    benefits = replace(benefits, deductible_per_stay=False)
    whole = split_one(a_plain_bill(first + second), benefits, used)
    one = split_one(a_plain_bill(first), benefits, used)
    other = split_one(a_plain_bill(second), benefits, after(used, one))

    apart = one.shares.pooled_fund_fen + other.shares.pooled_fund_fen
    assert abs(whole.shares.pooled_fund_fen - apart) <= 2


@settings(max_examples=60)
@given(some_bills(), some_bills(), some_benefits(), YEARS)
def test_the_order_of_two_bills_does_not_change_what_the_year_has_used_up(
    first: Bill, second: Bill, benefits: Benefits, used: BenefitYear
) -> None:
    benefits = replace(benefits, deductible_per_stay=False)
    ends = []
    for bills in ((first, second), (second, first)):
        year = used
        for bill in bills:
            year = after(year, split_one(bill, benefits, year))
        ends.append(year)

    there, back = ends
    assert there.deductible_used_fen == back.deductible_used_fen
    assert there.eligible_used_fen == back.eligible_used_fen
    assert abs(there.fund_used_fen - back.fund_used_fen) <= 1
    assert abs(there.catastrophic_used_fen - back.catastrophic_used_fen) <= 2


@settings(max_examples=60)
@given(some_bills(), some_benefits(), YEARS)
def test_what_a_bill_uses_up_is_all_there_is_to_give_back(bill: Bill, benefits: Benefits, used: BenefitYear) -> None:
    split = split_bill(bill, benefits=benefits, used=used, personal_account_fen=0)
    ahead = after(used, split)

    again = split_bill(bill, benefits=benefits, used=used, personal_account_fen=0)

    assert again == split  # pure: nothing is kept between two calls
    assert ahead.fund_used_fen + ahead.burden_used_fen - used.fund_used_fen - used.burden_used_fen == (
        bill.total_fen - bill.not_covered_fen
    )
