"""Who pays what: the benefit engine by example and by property."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_registry.model import SiteKind
from server.settlement.insurers.rules import load_rules
from server.settlement.model import Bill
from server.settlement.split import Benefits, BenefitYear, Split, Tier, split_bill

HOSPITAL = Benefits(
    deductible_fen=60_000,
    tiers=(Tier(up_to_fen=1_000_000, ratio_bp=7_000), Tier(up_to_fen=None, ratio_bp=8_000)),
    annual_cap_fen=30_000_000,
    out_of_region_reduction_bp=1_000,
)
PAST_DEDUCTIBLE = BenefitYear(deductible_used_fen=60_000)


def a_split(
    total_fen: int,
    *,
    not_covered_fen: int = 0,
    benefits: Benefits = HOSPITAL,
    used: BenefitYear = PAST_DEDUCTIBLE,
    personal_account_fen: int = 0,
    out_of_region: bool = False,
) -> Split:
    """Split a bill."""
    bill = Bill(bill_number="B", business_type=1301, total_fen=total_fen, not_covered_fen=not_covered_fen)
    return split_bill(
        bill,
        benefits=benefits,
        used=used,
        personal_account_fen=personal_account_fen,
        out_of_region=out_of_region,
    )


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
        # 异地就医: ten points less.
        (a_split(10_000, out_of_region=True), (6_000, 0, 4_000)),
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
        (
            a_split(10_000, benefits=replace(HOSPITAL, out_of_region_reduction_bp=9_000), out_of_region=True),
            (0, 0, 10_000),
        ),
    ],
)
def test_a_bill_is_split_as_the_rules_say(split: Split, expected: tuple[int, int, int]) -> None:
    assert parts(split) == expected


FEN = st.integers(0, 2_000_000_000)
BP = st.integers(0, 10_000)


@st.composite
def some_benefits(draw: st.DrawFn) -> Benefits:
    """Return any rules that pass validation."""
    bounds = sorted(draw(st.sets(st.integers(1, 50_000_000), max_size=4)))
    ups = [*bounds, None]
    return Benefits(
        deductible_fen=draw(st.integers(0, 1_000_000)),
        tiers=tuple(Tier(up_to_fen=up, ratio_bp=draw(BP)) for up in ups),
        annual_cap_fen=draw(FEN),
        out_of_region_reduction_bp=draw(BP),
    )


YEARS = st.builds(BenefitYear, deductible_used_fen=FEN, eligible_used_fen=FEN, fund_used_fen=FEN)
TOTALS = st.integers(1, 1_000_000_000)


@given(
    total=TOTALS,
    uncovered=st.floats(0, 1),
    benefits=some_benefits(),
    used=YEARS,
    account=FEN,
    away=st.booleans(),
)
def test_the_parts_sum_to_the_bill_and_none_is_negative(
    *, total: int, uncovered: float, benefits: Benefits, used: BenefitYear, account: int, away: bool
) -> None:
    not_covered = min(total, int(total * uncovered))

    split = a_split(
        total,
        not_covered_fen=not_covered,
        benefits=benefits,
        used=used,
        personal_account_fen=account,
        out_of_region=away,
    )

    assert sum(parts(split)) == total == split.shares.total_fen
    assert min(parts(split)) >= 0
    assert split.shares.self_pay_fen >= not_covered
    assert split.shares.personal_account_fen <= account
    assert split.shares.pooled_fund_fen <= max(0, benefits.annual_cap_fen - used.fund_used_fen)
    assert split.deductible_fen + split.eligible_fen == total - not_covered


@given(
    total=TOTALS,
    more=st.integers(1, 100_000),
    benefits=some_benefits(),
    used=YEARS,
    account=FEN,
    away=st.booleans(),
)
def test_a_larger_bill_never_costs_anyone_less(
    *, total: int, more: int, benefits: Benefits, used: BenefitYear, account: int, away: bool
) -> None:
    small, large = (
        parts(a_split(fen, benefits=benefits, used=used, personal_account_fen=account, out_of_region=away))
        for fen in (total, total + more)
    )

    assert all(before <= after for before, after in zip(small, large, strict=True))


@given(TOTALS, some_benefits(), YEARS)
def test_the_fund_never_pays_more_away_than_at_home(total: int, benefits: Benefits, used: BenefitYear) -> None:
    home, away = (a_split(total, benefits=benefits, used=used, out_of_region=away) for away in (False, True))

    assert away.shares.pooled_fund_fen <= home.shares.pooled_fund_fen


@given(TOTALS, TOTALS, some_benefits(), YEARS)
def test_one_bill_or_two_makes_a_fen_of_difference_at_most(
    first: int, second: int, benefits: Benefits, used: BenefitYear
) -> None:
    whole = a_split(first + second, benefits=benefits, used=used)
    one = a_split(first, benefits=benefits, used=used)
    then = BenefitYear(
        deductible_used_fen=used.deductible_used_fen + one.deductible_fen,
        eligible_used_fen=used.eligible_used_fen + one.eligible_fen,
        fund_used_fen=used.fund_used_fen + one.shares.pooled_fund_fen,
    )
    other = a_split(second, benefits=benefits, used=then)

    assert 0 <= whole.shares.pooled_fund_fen - one.shares.pooled_fund_fen - other.shares.pooled_fund_fen <= 1


def test_the_shipped_rules_know_every_kind_of_site() -> None:

    assert set(load_rules().by_site_kind) == {kind.value for kind in SiteKind}
