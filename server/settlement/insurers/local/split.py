"""Who pays what of a bill? The benefit engine: pure, exact, integer fen.

The steps, in this order:

1. What the catalogue does not cover is the patient's alone.
2. From the covered rest the remaining deductible (起付线) comes off: of the year, of the stay, or of the disease.
3. What is left is eligible. It climbs the tiers from where earlier bills stopped, and the pooled fund pays each tier's
   ratio, less the reduction for treatment out of the region (异地就医).
4. The fund stops at what is left of the disease's own cap and of the year's (封顶线).
5. The covered rest that the fund leaves is the person's own burden. What of the year's burden is above the threshold
   climbs the tiers of the catastrophic insurance (大病保险), which has a cap of its own, or none.
6. The personal account pays of the covered rest what it holds, prepayments of a stay pay of what remains, and the
   patient pays the last of it.

Rounding: a climb is added up exactly and rounded **down** to a whole fen once, at its end. So neither climb pays a fen
too much, the patient carries less than one fen for each of the two, and no order of tiers changes the result.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from server.settlement.model import Bill, Shares

WHOLE_BP = 10_000  # basis points (万分比) in one


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One step of the ratio: from where the last tier stopped up to a bound."""

    up_to_fen: int | None
    """What the year has climbed to when the next tier begins; None for the last one."""
    ratio_bp: int
    """What is paid, in basis points: 7000 is 70 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catastrophic:
    """大病保险: a second climb, over the year's own burden."""

    threshold_fen: int
    """Burden of the year below which nothing is paid."""
    tiers: tuple[Tier, ...]
    """Bounds count from the threshold."""
    annual_cap_fen: int | None
    """The most it pays in a year; None for no bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benefits:
    """What the rules grant for one bill."""

    deductible_fen: int
    deductible_per_stay: bool = False
    """True when the deductible begins anew with each stay, whatever the year has used up."""
    tiers: tuple[Tier, ...]
    annual_cap_fen: int
    """The most the fund pays a person in a year, over everything but the catastrophic tier."""
    own_cap_fen: int | None = None
    """The most it pays a year for bills that count together with this one; None where only the year's cap holds."""
    reduction_bp: int = 0
    """Taken off each tier's ratio."""
    catastrophic: Catastrophic | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitYear:
    """What a person has used up of a year's benefits so far.

    The first three count the bills that count together (outpatient, inpatient, or one disease), the others all.
    """

    deductible_used_fen: int = 0
    eligible_used_fen: int = 0
    own_fund_used_fen: int = 0
    fund_used_fen: int = 0
    """What the fund has paid, without the catastrophic tier."""
    burden_used_fen: int = 0
    """Covered expense that the fund left, before the catastrophic tier."""
    catastrophic_used_fen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPart:
    """What of a bill lies in one tier."""

    expense_fen: int
    ratio_bp: int
    """Before any reduction."""
    paid_fen: int
    """By this ratio. The parts of a climb add up to the climb, rounded down once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The shares of a bill, and what it uses up of the year."""

    shares: Shares
    deductible_fen: int = 0
    eligible_fen: int = 0
    promised_fen: int = 0
    """What the tiers come to, before any cap."""
    catastrophic_promised_fen: int = 0
    """What the tiers of the catastrophic insurance come to, before its cap."""
    prepaid_back_fen: int = 0
    """What is left of the prepayments, and given back."""


def split_bill(
    bill: Bill, *, benefits: Benefits, used: BenefitYear, personal_account_fen: int, prepaid_fen: int = 0
) -> Split:
    """Return who pays what of a valid bill.

    Args:
        bill: amounts checked by `limits.check_bill`.
        benefits: what the rules grant for it.
        used: the person's year before this bill.
        personal_account_fen: what the personal account that pays holds, not negative.
        prepaid_fen: what was prepaid for the stay, not negative.
    """
    covered = bill.total_fen - bill.not_covered_fen
    deductible_used = 0 if benefits.deductible_per_stay else used.deductible_used_fen
    deductible = min(covered, max(0, benefits.deductible_fen - deductible_used))
    eligible = covered - deductible
    promised = _climbed(
        benefits.tiers, start=used.eligible_used_fen, amount=eligible, reduction_bp=benefits.reduction_bp
    )
    fund = min(promised, caps_left(benefits, used)[0])
    catastrophic = catastrophic_promised = 0
    rules = benefits.catastrophic
    if rules is not None and used.burden_used_fen + covered - fund > rules.threshold_fen:
        start, amount = above_threshold(rules, used, burden_fen=covered - fund)
        catastrophic = catastrophic_promised = _climbed(rules.tiers, start=start, amount=amount, reduction_bp=0)
        if rules.annual_cap_fen is not None:
            catastrophic = min(catastrophic, max(0, rules.annual_cap_fen - used.catastrophic_used_fen))
    account = min(personal_account_fen, covered - fund - catastrophic)
    self_pay = bill.total_fen - fund - catastrophic - account
    prepaid = min(prepaid_fen, self_pay)
    return Split(
        shares=Shares(
            total_fen=bill.total_fen,
            pooled_fund_fen=fund + catastrophic,
            personal_account_fen=account,
            self_pay_fen=self_pay,
            catastrophic_fen=catastrophic,
            prepaid_fen=prepaid,
        ),
        deductible_fen=deductible,
        eligible_fen=eligible,
        promised_fen=promised,
        catastrophic_promised_fen=catastrophic_promised,
        prepaid_back_fen=prepaid_fen - prepaid,
    )


def split_prepayment(bill: Bill) -> Split:
    """Return who pays a prepayment of a stay: the patient, all of it; nothing of the year is used up."""
    return Split(
        shares=Shares(total_fen=bill.total_fen, pooled_fund_fen=0, personal_account_fen=0, self_pay_fen=bill.total_fen)
    )


def caps_left(benefits: Benefits, used: BenefitYear) -> tuple[int, bool]:
    """Return what the fund may still pay, and whether it is the disease's own cap that says so."""
    year = max(0, benefits.annual_cap_fen - used.fund_used_fen)
    if benefits.own_cap_fen is None:
        return year, False
    own = max(0, benefits.own_cap_fen - used.own_fund_used_fen)
    return min(year, own), own < year


def above_threshold(rules: Catastrophic, used: BenefitYear, *, burden_fen: int) -> tuple[int, int]:
    """Return where the second climb starts, and how much of a bill's burden lies above the threshold."""
    start = max(0, used.burden_used_fen - rules.threshold_fen)
    return start, max(0, used.burden_used_fen + burden_fen - rules.threshold_fen) - start


def tier_parts(tiers: Sequence[Tier], *, start: int, amount: int) -> Iterator[TierPart]:
    """Yield what of `amount` lies in which tier when the year stands at `start`, before any reduction."""
    position, left, weighted = start, amount, 0
    for tier in tiers:
        room = left if tier.up_to_fen is None else min(left, max(0, tier.up_to_fen - position))
        if not room:
            continue
        before = weighted // WHOLE_BP
        weighted += room * tier.ratio_bp
        yield TierPart(expense_fen=room, ratio_bp=tier.ratio_bp, paid_fen=weighted // WHOLE_BP - before)
        position += room
        left -= room


def _climbed(tiers: Sequence[Tier], *, start: int, amount: int, reduction_bp: int) -> int:
    """Return what is paid of `amount` when the year already stands at `start`, rounded down once."""
    position, left, weighted = start, amount, 0
    for tier in tiers:
        room = left if tier.up_to_fen is None else min(left, max(0, tier.up_to_fen - position))
        weighted += room * max(0, tier.ratio_bp - reduction_bp)
        position += room
        left -= room
    return weighted // WHOLE_BP
