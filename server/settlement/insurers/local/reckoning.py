"""Why 83.20? Each step of a split as a line with an amount and a sentence, in Chinese and in English.

The lines from TIER to SELF_PAY add up: TIER, REDUCTION, CAP and CATASTROPHIC to what the pooled fund pays,
PERSONAL_ACCOUNT to what the account pays, PREPAID and SELF_PAY to the self-paid part. REDUCTION and CAP take away and
are below zero. NOT_COVERED and DEDUCTIBLE say which part of the bill no tier looked at, PREPAID_BACK what is given
back: they explain, and are no part of the sum. A step that comes to nothing is left out, but for SELF_PAY.
"""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from server.settlement.insurers.local.rules import Place
from server.settlement.insurers.local.split import (
    Benefits,
    BenefitYear,
    Split,
    TierPart,
    above_threshold,
    caps_left,
    tier_parts,
)
from server.settlement.model import Bill, Reckoning

TEXTS: Final = Path(__file__).with_name("reckoning.toml")


def reckon(
    bill: Bill, split: Split, *, benefits: Benefits, used: BenefitYear, place: Place, is_family: bool
) -> tuple[Reckoning, ...]:
    """Return how the split of a bill came about, in the order in which it was reckoned.

    Args:
        bill: what was split.
        split: how.
        benefits: what it was split by.
        used: where the year stood before.
        place: seen from the person's own region.
        is_family: whether somebody else's personal account pays.
    """
    return (
        *_covered(bill, split, benefits, used),
        *_fund(split, benefits, used, place),
        *_catastrophic(split, benefits, used),
        *_own(split, is_family=is_family),
    )


def reckon_prepayment(bill: Bill) -> tuple[Reckoning, ...]:
    """Return the one line of a prepayment."""
    return (_line("SELF_PAY", bill.total_fen, "PREPAYMENT"),)


def yuan(fen: int) -> str:
    """Return an amount as people read it, exactly: 8320 is 83.20."""
    sign, whole = "-" if fen < 0 else "", abs(fen)
    return f"{sign}{whole // 100:,}.{whole % 100:02}"


def percent(bp: int) -> str:
    """Return basis points as percent, exactly: 7000 is 70, 6550 is 65.5."""
    whole, rest = divmod(bp, 100)
    return f"{whole}.{rest:02}".rstrip("0").rstrip(".")


def _covered(bill: Bill, split: Split, benefits: Benefits, used: BenefitYear) -> Iterator[Reckoning]:
    if bill.not_covered_fen:
        yield _line("NOT_COVERED", bill.not_covered_fen)
    if not split.deductible_fen:
        return
    if benefits.deductible_per_stay:
        yield _line("DEDUCTIBLE", split.deductible_fen, "DEDUCTIBLE_STAY", limit=yuan(benefits.deductible_fen))
    else:
        before = yuan(used.deductible_used_fen)
        yield _line("DEDUCTIBLE", split.deductible_fen, limit=yuan(benefits.deductible_fen), used=before)


def _fund(split: Split, benefits: Benefits, used: BenefitYear, place: Place) -> Iterator[Reckoning]:
    parts = tuple(tier_parts(benefits.tiers, start=used.eligible_used_fen, amount=split.eligible_fen))
    yield from (_line("TIER", part.paid_fen, **_figures(part)) for part in parts)
    reduced = sum(part.paid_fen for part in parts) - split.promised_fen
    if reduced:
        key = f"REDUCTION_{place.value}"
        yield _line("REDUCTION", -reduced, key, points=percent(benefits.reduction_bp))
    over_cap = split.promised_fen - _by_the_fund(split)
    if over_cap and caps_left(benefits, used)[1]:
        yield _line("CAP", -over_cap, "CAP_CHRONIC", limit=yuan(benefits.own_cap_fen or 0))
    elif over_cap:
        yield _line("CAP", -over_cap, limit=yuan(benefits.annual_cap_fen))


def _catastrophic(split: Split, benefits: Benefits, used: BenefitYear) -> Iterator[Reckoning]:
    rules = benefits.catastrophic
    if rules is None:
        return
    burden = split.deductible_fen + split.eligible_fen - _by_the_fund(split)
    start, amount = above_threshold(rules, used, burden_fen=burden)
    threshold = yuan(rules.threshold_fen)
    for part in tier_parts(rules.tiers, start=start, amount=amount):
        yield _line("CATASTROPHIC", part.paid_fen, limit=threshold, **_figures(part))
    over_cap = split.catastrophic_promised_fen - split.shares.catastrophic_fen
    if over_cap:
        yield _line("CAP", -over_cap, "CAP_CATASTROPHIC", limit=yuan(rules.annual_cap_fen or 0))


def _by_the_fund(split: Split) -> int:
    """Return what the fund pays without the catastrophic tier."""
    return split.shares.pooled_fund_fen - split.shares.catastrophic_fen


def _own(split: Split, *, is_family: bool) -> Iterator[Reckoning]:
    shares = split.shares
    if shares.personal_account_fen:
        key = "PERSONAL_ACCOUNT_FAMILY" if is_family else "PERSONAL_ACCOUNT"
        yield _line("PERSONAL_ACCOUNT", shares.personal_account_fen, key)
    if shares.prepaid_fen:
        yield _line("PREPAID", shares.prepaid_fen)
    yield _line("SELF_PAY", shares.self_pay_fen - shares.prepaid_fen)
    if split.prepaid_back_fen:
        yield _line("PREPAID_BACK", split.prepaid_back_fen)


def _figures(part: TierPart) -> dict[str, str]:
    return {"expense": yuan(part.expense_fen), "ratio": percent(part.ratio_bp)}


def _line(step: str, amount_fen: int, key: str = "", **figures: str) -> Reckoning:
    """Return a line; what is taken away is below zero as a number, and said without the sign."""
    texts = _texts()[key or step]
    figures["amount"] = yuan(abs(amount_fen))
    return Reckoning(
        step=step,
        amount_fen=amount_fen,
        text_zh=texts["zh"].format(**figures),
        text_en=texts["en"].format(**figures),
    )


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(TEXTS.read_text(encoding="utf-8"))
