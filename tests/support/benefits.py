"""Benefits, years and bills as hypothesis draws them: whatever rules would pass validation, whatever a year can be."""

from hypothesis import strategies as st

from server.settlement.insurers.local.split import Benefits, BenefitYear, Catastrophic, Split, Tier, split_bill
from server.settlement.model import Bill

FEN = st.integers(0, 2_000_000_000)
TOTALS = st.integers(1, 1_000_000_000)
_BP = st.integers(0, 10_000)
YEARS = st.builds(
    BenefitYear,
    deductible_used_fen=FEN,
    eligible_used_fen=FEN,
    own_fund_used_fen=FEN,
    fund_used_fen=FEN,
    burden_used_fen=FEN,
    catastrophic_used_fen=FEN,
)


@st.composite
def some_tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Return tiers that climb, the last one without a bound."""
    bounds = sorted(draw(st.sets(st.integers(1, 50_000_000), max_size=3)))
    return tuple(Tier(up_to_fen=up, ratio_bp=draw(_BP)) for up in (*bounds, None))


@st.composite
def some_benefits(draw: st.DrawFn) -> Benefits:
    """Return any benefits that rules can grant."""
    catastrophic = st.builds(
        Catastrophic,
        threshold_fen=st.integers(0, 50_000_000),
        tiers=some_tiers(),
        annual_cap_fen=st.none() | FEN,
    )
    return Benefits(
        deductible_fen=draw(st.integers(0, 1_000_000)),
        deductible_per_stay=draw(st.booleans()),
        tiers=draw(some_tiers()),
        annual_cap_fen=draw(FEN),
        own_cap_fen=draw(st.none() | FEN),
        reduction_bp=draw(st.just(0) | _BP),
        catastrophic=draw(st.none() | catastrophic),
    )


@st.composite
def some_bills(draw: st.DrawFn) -> Bill:
    """Return any bill that the protocol lets through."""
    total = draw(TOTALS)
    return a_plain_bill(total, not_covered_fen=draw(st.just(0) | st.integers(0, total)))


def a_plain_bill(total_fen: int, *, not_covered_fen: int = 0) -> Bill:
    """Return an outpatient bill."""
    return Bill(bill_number="B", business_type=1301, total_fen=total_fen, not_covered_fen=not_covered_fen)


def after(used: BenefitYear, split: Split) -> BenefitYear:
    """Return the year after a bill, as the insurer counts it."""
    shares = split.shares
    fund = shares.pooled_fund_fen - shares.catastrophic_fen
    return BenefitYear(
        deductible_used_fen=used.deductible_used_fen + split.deductible_fen,
        eligible_used_fen=used.eligible_used_fen + split.eligible_fen,
        own_fund_used_fen=used.own_fund_used_fen + fund,
        fund_used_fen=used.fund_used_fen + fund,
        burden_used_fen=used.burden_used_fen + split.deductible_fen + split.eligible_fen - fund,
        catastrophic_used_fen=used.catastrophic_used_fen + shares.catastrophic_fen,
    )


def split_one(
    bill: Bill, benefits: Benefits, used: BenefitYear, *, personal_account_fen: int = 0, prepaid_fen: int = 0
) -> Split:
    """Split a bill."""
    return split_bill(
        bill, benefits=benefits, used=used, personal_account_fen=personal_account_fen, prepaid_fen=prepaid_fen
    )
