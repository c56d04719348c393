"""Why 83.20? The lines of a reckoning say it, and add up to the shares."""

import string
import tomllib

import pytest
from hypothesis import given

from server.settlement.insurers.local.reckoning import TEXTS, percent, reckon, reckon_prepayment, yuan
from server.settlement.insurers.local.rules import Place
from server.settlement.insurers.local.rules_file import load_rules
from server.settlement.insurers.local.split import Benefits, BenefitYear
from server.settlement.model import Bill, Reckoning
from tests.support.benefits import FEN, YEARS, some_benefits, some_bills, split_one
from tests.support.money import a_bill

SHIPPED = load_rules().sets[0]


def total(lines: tuple[Reckoning, ...], *steps: str) -> int:
    """Return what the lines of some steps come to."""
    return sum(line.amount_fen for line in lines if line.step in steps)


@given(some_bills(), some_benefits(), YEARS, FEN, FEN)
def test_the_lines_add_up_to_the_shares(
    bill: Bill, benefits: Benefits, used: BenefitYear, account: int, prepaid: int
) -> None:
    split = split_one(bill, benefits, used, personal_account_fen=account, prepaid_fen=prepaid)
    place = Place.FILED if benefits.reduction_bp else Place.HOME

    lines = reckon(bill, split, benefits=benefits, used=used, place=place, is_family=False)

    shares = split.shares
    assert total(lines, "TIER", "REDUCTION", "CAP", "CATASTROPHIC") == shares.pooled_fund_fen
    assert total(lines, "PERSONAL_ACCOUNT") == shares.personal_account_fen
    assert total(lines, "PREPAID") == shares.prepaid_fen
    assert total(lines, "PREPAID", "SELF_PAY") == shares.self_pay_fen
    assert total(lines, "NOT_COVERED") == bill.not_covered_fen
    assert total(lines, "DEDUCTIBLE") == split.deductible_fen
    assert total(lines, "PREPAID_BACK") == prepaid - shares.prepaid_fen
    assert all(line.amount_fen < 0 for line in lines if line.step in {"REDUCTION", "CAP"})


def test_every_step_is_said_in_the_order_in_which_it_was_reckoned() -> None:
    bill = a_bill(total_fen=3_000_000, not_covered_fen=100_000)
    benefits = SHIPPED.benefits_for(bill, site_kind="HOSPITAL", place=Place.UNFILED)
    used = BenefitYear(fund_used_fen=29_000_000, burden_used_fen=1_400_000)
    split = split_one(bill, benefits, used, personal_account_fen=50_000, prepaid_fen=100_000)

    lines = reckon(bill, split, benefits=benefits, used=used, place=Place.UNFILED, is_family=True)

    assert [(line.step, line.amount_fen) for line in lines] == [
        ("NOT_COVERED", 100_000),
        ("DEDUCTIBLE", 60_000),
        ("TIER", 700_000),
        ("TIER", 1_472_000),
        ("REDUCTION", -426_000),
        ("CAP", -746_000),
        ("CATASTROPHIC", 1_080_000),
        ("PERSONAL_ACCOUNT", 50_000),
        ("PREPAID", 100_000),
        ("SELF_PAY", 770_000),
    ]
    assert lines[2].text_en == "Of 10,000.00 yuan the pooled fund pays 70%: 7,000.00 yuan."
    assert lines[4].text_zh == "异地就医（未备案），报销比例降低 15 个百分点，少支付 4,260.00 元。"
    assert "relative" in lines[7].text_en


def test_a_stay_a_disease_and_a_prepayment_have_words_of_their_own() -> None:
    stay, sick = a_bill(total_fen=100_000, stay_number="S"), a_bill(total_fen=900_000, chronic_disease="DIABETES")

    texts: dict[tuple[str, str], str] = {}
    for bill in (stay, sick):
        benefits = SHIPPED.benefits_for(bill, site_kind="HOSPITAL", place=Place.HOME)
        split = split_one(bill, benefits, BenefitYear(), prepaid_fen=90_000)
        lines = reckon(bill, split, benefits=benefits, used=BenefitYear(), place=Place.HOME, is_family=False)
        texts |= {(bill.stay_number, line.step): line.text_en for line in lines}
    (prepayment,) = reckon_prepayment(a_bill(business_type=1104, total_fen=50_000, stay_number="S"))

    assert texts["S", "DEDUCTIBLE"] == "Deductible of 800.00 yuan for this stay: 800.00 yuan."
    assert texts["S", "PREPAID_BACK"] == "Given back of the prepayments: 60.00 yuan."
    assert (
        texts["", "CAP"]
        == "The pooled fund pays at most 5,000.00 yuan a year for this disease: 2,095.00 yuan not paid."
    )
    assert (prepayment.step, prepayment.amount_fen) == ("SELF_PAY", 50_000)


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "0.00"), (5, "0.05"), (8_320, "83.20"), (123_456_789, "1,234,567.89"), (-5, "-0.05")]
)
def test_an_amount_is_said_exactly(fen: int, text: str) -> None:
    assert yuan(fen) == text


@pytest.mark.parametrize(("bp", "text"), [(0, "0"), (7_000, "70"), (6_550, "65.5"), (10_000, "100"), (1, "0.01")])
def test_a_ratio_is_said_exactly(bp: int, text: str) -> None:
    assert percent(bp) == text


def test_both_languages_name_the_same_figures() -> None:
    for key, texts in tomllib.loads(TEXTS.read_text(encoding="utf-8")).items():
        named = [
            {name for _, name, _, _ in string.Formatter().parse(texts[language]) if name} for language in ("zh", "en")
        ]
        assert named[0] == named[1], key
