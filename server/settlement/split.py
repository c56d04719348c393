"""Who pays what of a bill? The benefit engine: pure, exact, integer fen.

The steps, in this order:

1. What the catalogue does not cover is the patient's alone.
2. From the covered rest the year's remaining deductible (起付线) comes off.
3. What is left is eligible. It climbs the year's tiers from where earlier bills of the year stopped, and the pooled
fund
   pays each tier's ratio, less the out-of-region reduction (异地就医) where the site is in another region.
4. The fund stops at what is left of the year's cap (封顶线).
5. The personal account pays of the covered rest what it holds; the patient pays what remains.

Rounding: the tiers are added up exactly and the fund's part is rounded **down** to a whole fen once, at the end. So
the fund never pays a fen too much, the patient carries less than one fen, and no order of tiers changes the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.settlement.model import Bill, Shares

WHOLE_BP = 10_000  # basis points (万分比) in one


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of the ratio: from where the last tier stopped up to a bound."""

    up_to_fen: int | None
    """Eligible expense of the year at which the next tier begins; None for the last one."""
    ratio_bp: int
    """The fund's part in basis points, 7000 is 70 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefits:
    """What the rules grant at one kind of site."""

    deductible_fen: int
    tiers: tuple[Tier, ...]
    annual_cap_fen: int
    out_of_region_reduction_bp: int
    """Taken off each tier's ratio when the site is in another region than the person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitYear:
    """What a person has used up of a year's benefits so far."""

    deductible_used_fen: int = 0
    eligible_used_fen: int = 0
    fund_used_fen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The shares of a bill, and what it uses up of the year."""

    shares: Shares
    deductible_fen: int
    eligible_fen: int


def split_bill(
    bill: Bill, *, benefits: Benefits, used: BenefitYear, personal_account_fen: int, out_of_region: bool
) -> Split:
    """Return who pays what of a valid bill.

    Args:
        bill: amounts checked by `limits.check_bill`.
        benefits: the rules for this kind of site.
        used: the person's year before this bill.
        personal_account_fen: what the personal account holds, not negative.
        out_of_region: the person's region differs from the site's.
    """
    covered = bill.total_fen - bill.not_covered_fen
    deductible = min(covered, max(0, benefits.deductible_fen - used.deductible_used_fen))
    eligible = covered - deductible
    reduction = benefits.out_of_region_reduction_bp if out_of_region else 0
    promised = _tiered_fen(benefits.tiers, start=used.eligible_used_fen, amount=eligible, reduction_bp=reduction)
    fund = min(promised, max(0, benefits.annual_cap_fen - used.fund_used_fen))
    account = min(personal_account_fen, covered - fund)
    shares = Shares(
        total_fen=bill.total_fen,
        pooled_fund_fen=fund,
        personal_account_fen=account,
        self_pay_fen=bill.total_fen - fund - account,
    )
    return Split(shares=shares, deductible_fen=deductible, eligible_fen=eligible)


def _tiered_fen(tiers: Sequence[Tier], *, start: int, amount: int, reduction_bp: int) -> int:
    """Return the fund's part of `amount` when the year already stands at `start`, rounded down once."""
    position, left, weighted = start, amount, 0
    for tier in tiers:
        room = left if tier.up_to_fen is None else min(left, max(0, tier.up_to_fen - position))
        weighted += room * max(0, tier.ratio_bp - reduction_bp)
        position += room
        left -= room
    return weighted // WHOLE_BP
