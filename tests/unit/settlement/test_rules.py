"""Benefit rules as data: what is accepted, which set holds when, and how everything wrong is reported at once."""

import copy
import tomllib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from device_registry.model import SiteKind
from server.settlement.errors import BillInvalidError, BusinessTypeNotPayableError, RulesInvalidError, SettlementError
from server.settlement.insurers.local.errors import RulesNotInForceError
from server.settlement.insurers.local.rules import INPATIENT, OUTPATIENT, Place, is_prepayment, pot_of
from server.settlement.insurers.local.rules_file import DEFAULT_RULES, load_rules, rules_from
from server.settlement.model import Bill
from tests.support.money import a_bill

SHIPPED = tomllib.loads(DEFAULT_RULES.read_text(encoding="utf-8"))
RULES = load_rules().sets[0]


def look_up(bill: Bill, site_kind: str) -> None:
    """Ask what is granted, as the insurer does."""
    if is_prepayment(bill):
        RULES.check_prepayment(bill, site_kind=site_kind)
    else:
        RULES.benefits_for(bill, site_kind=site_kind, place=Place.HOME)


def test_the_shipped_rules_are_valid_and_say_what_is_paid_for() -> None:
    hospital = RULES.benefits_for(a_bill(), site_kind="HOSPITAL", place=Place.HOME)

    assert hospital.deductible_fen == 60_000
    assert [tier.ratio_bp for tier in hospital.tiers] == [7_000, 8_000, 8_500]
    for site_kind, business_type in (("HOSPITAL", 1102), ("BARBER", 1301)):
        with pytest.raises(BusinessTypeNotPayableError):
            RULES.benefits_for(a_bill(business_type=business_type), site_kind=site_kind, place=Place.HOME)


def test_the_shipped_rules_know_every_kind_of_site() -> None:
    assert set(RULES.sites) == {kind.value for kind in SiteKind}


def test_who_has_filed_loses_less_out_of_the_region() -> None:
    reductions = [
        RULES.benefits_for(a_bill(), site_kind="HOSPITAL", place=place).reduction_bp
        for place in (Place.HOME, Place.FILED, Place.UNFILED)
    ]

    assert reductions == [0, 500, 1_500]


def test_a_stay_and_a_disease_have_benefits_of_their_own() -> None:
    stay, sick = a_bill(stay_number="Z-1"), a_bill(chronic_disease="DIABETES")
    inpatient = RULES.benefits_for(stay, site_kind="HOSPITAL", place=Place.HOME)
    chronic = RULES.benefits_for(sick, site_kind="PHARMACY", place=Place.HOME)

    assert (inpatient.deductible_fen, inpatient.deductible_per_stay) == (80_000, True)
    assert (chronic.deductible_fen, chronic.own_cap_fen, chronic.annual_cap_fen) == (30_000, 500_000, 30_000_000)
    assert [pot_of(bill) for bill in (stay, sick, a_bill())] == [INPATIENT, "CHRONIC:DIABETES", OUTPATIENT]


@pytest.mark.parametrize(
    ("changes", "site_kind", "refusal"),
    [
        ({"stay_number": "Z-1", "business_type": 1302}, "HOSPITAL", "stay_number"),
        ({"stay_number": "Z-1", "chronic_disease": "DIABETES"}, "HOSPITAL", "chronic_disease"),
        ({"chronic_disease": "HICCUPS"}, "HOSPITAL", "chronic_disease"),
        ({"stay_number": "Z-1"}, "CLINIC", "BUSINESS_TYPE_NOT_PAYABLE"),
        ({"business_type": 1104}, "HOSPITAL", "stay_number"),
        ({"business_type": 1104, "stay_number": "Z-1", "chronic_disease": "DIABETES"}, "HOSPITAL", "chronic_disease"),
        ({"business_type": 1103, "stay_number": "Z-1"}, "PHARMACY", "BUSINESS_TYPE_NOT_PAYABLE"),
        ({"business_type": 1104, "stay_number": "Z-1"}, "BARBER", "BUSINESS_TYPE_NOT_PAYABLE"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, object], site_kind: str, refusal: str) -> None:
    with pytest.raises(SettlementError) as refused:
        look_up(a_bill(**changes), site_kind)

    error = refused.value
    assert (error.field if isinstance(error, BillInvalidError) else error.reason) == refusal


def test_the_set_that_began_last_is_in_force() -> None:
    data = copy.deepcopy(SHIPPED)
    data["rule_sets"] += [copy.deepcopy(data["rule_sets"][0]), copy.deepcopy(data["rule_sets"][0])]
    for told, day in zip(data["rule_sets"], (date(2027, 1, 1), date(2026, 1, 1), date(2026, 7, 1)), strict=True):
        told["effective_from"] = day
    book = rules_from(data)

    held = {day: book.on(day).effective_from for day in (date(2026, 6, 30), date(2026, 7, 1), date(2030, 1, 1))}

    assert list(held.values()) == [date(2026, 1, 1), date(2026, 7, 1), date(2027, 1, 1)]
    with pytest.raises(RulesNotInForceError) as refused:
        book.on(date(2025, 12, 31))
    assert refused.value.day == date(2025, 12, 31)


def _set(*path: object) -> Callable[[dict[str, Any]], None]:
    *way, key, value = path

    def change(data: dict[str, Any]) -> None:
        for step in way:
            data = data[str(step)]
        data[str(key)] = value

    return change


_CLINIC = ("sites", "CLINIC")
_TIERS = "rule_sets[1].sites.CLINIC.tiers"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rules: rules.pop("annual_cap_fen"), "rule_sets[1].annual_cap_fen: missing"),
        (lambda rules: rules.pop("effective_from"), "rule_sets[1].effective_from: missing"),
        (lambda rules: rules.pop("out_of_region"), "rule_sets[1].out_of_region: missing"),
        (_set("annual_cap", 1), "rule_sets[1].annual_cap: unknown"),
        (_set("annual_cap_fen", -1), "rule_sets[1].annual_cap_fen: a whole number"),
        (_set("annual_cap_fen", 1.5), "rule_sets[1].annual_cap_fen: a whole number"),
        (_set("annual_cap_fen", "1"), "rule_sets[1].annual_cap_fen: a whole number"),
        (_set("annual_cap_fen", 10**14), "rule_sets[1].annual_cap_fen: a whole number"),
        (_set("effective_from", "2026-01-01"), "rule_sets[1].effective_from: a day"),
        (_set("out_of_region", 1), "rule_sets[1].out_of_region: a table"),
        (
            _set("out_of_region", "unfiled_reduction_bp", 10_001),
            "rule_sets[1].out_of_region.unfiled_reduction_bp: 0 to",
        ),
        (
            _set("out_of_region", "filed_reduction_bp", 2_000),
            "rule_sets[1].out_of_region.filed_reduction_bp: not above",
        ),
        (_set("business_types", []), "rule_sets[1].business_types: a list"),
        (_set("business_types", ["01301"]), "rule_sets[1].business_types: a list"),
        (_set("business_types", [1301, 1104]), "rule_sets[1].business_types: 1104 is a prepayment"),
        (_set("sites", {}), "rule_sets[1].sites: at least one"),
        (_set("sites", []), "rule_sets[1].sites: at least one"),
        (
            _set("sites", "BARBER", {"deductible_fen": 0, "tiers": [{"ratio_bp": 1}]}),
            "rule_sets[1].sites.BARBER: unknown",
        ),
        (_set(*_CLINIC, 1), "rule_sets[1].sites.CLINIC: a table"),
        (_set(*_CLINIC, "deductible_fen", "1"), "rule_sets[1].sites.CLINIC.deductible_fen: a whole number"),
        (_set(*_CLINIC, {"deductible_fen": 0}), f"{_TIERS}: missing"),
        (_set(*_CLINIC, "tiers", []), f"{_TIERS}: a list"),
        (_set(*_CLINIC, "tiers", [{"ratio_bp": 10_001}]), f"{_TIERS}[1].ratio_bp: 0 to 10000"),
        (_set(*_CLINIC, "tiers", [{"ratio": 1}]), f"{_TIERS}[1].ratio_bp: missing"),
        (_set(*_CLINIC, "tiers", [{"ratio": 1}]), f"{_TIERS}[1].ratio: unknown"),
        (
            _set(*_CLINIC, "tiers", [{"ratio_bp": 1, "up_to_fen": 5}]),
            f"{_TIERS}[1].up_to_fen: the last tier has no bound",
        ),
        (
            _set(*_CLINIC, "tiers", [{"ratio_bp": 1}, {"ratio_bp": 1}]),
            f"{_TIERS}[1].up_to_fen: a whole number of fen above 0",
        ),
        (
            _set(*_CLINIC, "tiers", [*({"ratio_bp": 1, "up_to_fen": n} for n in (5, 5)), {"ratio_bp": 1}]),
            f"{_TIERS}[2].up_to_fen: a whole number of fen above 5",
        ),
        (
            _set(*_CLINIC, "inpatient", {"deductible_fen": 0}),
            "rule_sets[1].sites.CLINIC.inpatient.deductible_per: missing",
        ),
        (
            _set("sites", "HOSPITAL", "inpatient", "deductible_per", "WEEK"),
            "rule_sets[1].sites.HOSPITAL.inpatient.deductible_per: one of STAY, YEAR",
        ),
        (_set("catastrophic", "threshold_fen", -1), "rule_sets[1].catastrophic.threshold_fen: a whole number"),
        (_set("catastrophic", "annual_cap_fen", "none"), "rule_sets[1].catastrophic.annual_cap_fen: a whole number"),
        (_set("catastrophic", []), "rule_sets[1].catastrophic: a table"),
        (_set("chronic", "A B", {}), "rule_sets[1].chronic.A B: a key is"),
        (_set("chronic", "DIABETES", "name_zh", " "), "rule_sets[1].chronic.DIABETES.name_zh: a text"),
        (_set("chronic", "DIABETES", "sites", ["BARBER"]), "rule_sets[1].chronic.DIABETES.sites: a list"),
        (_set("chronic", []), "rule_sets[1].chronic: a table"),
    ],
)
def test_a_mistake_is_named_where_it_is(change: Callable[[dict[str, Any]], object], problem: str) -> None:
    data = copy.deepcopy(SHIPPED)
    change(data["rule_sets"][0])

    with pytest.raises(RulesInvalidError) as refused:
        rules_from(data)

    assert [found for found in refused.value.problems if found.startswith(problem)], refused.value.problems


def test_the_catastrophic_tier_and_diseases_may_be_left_out() -> None:
    data = copy.deepcopy(SHIPPED)
    for key in ("catastrophic", "chronic"):
        del data["rule_sets"][0][key]

    rules = rules_from(data).sets[0]

    assert (rules.catastrophic, dict(rules.chronic)) == (None, {})


@pytest.mark.parametrize("data", [{}, {"rule_sets": []}, {"rule_sets": 1}])
def test_no_rules_are_a_mistake(data: dict[str, Any]) -> None:
    with pytest.raises(RulesInvalidError):
        rules_from(data)


def test_two_sets_from_one_day_are_a_mistake() -> None:
    data = copy.deepcopy(SHIPPED)
    data["rule_sets"].append(copy.deepcopy(data["rule_sets"][0]))

    with pytest.raises(RulesInvalidError) as refused:
        rules_from(data)

    assert refused.value.problems == ("rule_sets[2].effective_from: another set begins on 2020-01-01 too",)


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(RulesInvalidError) as refused:
        rules_from({"rule_sets": [{"annual_cap_fen": -1, "business_types": []}], "more": 1})

    assert len(refused.value.problems) == 6


@pytest.mark.parametrize("content", [b"not toml [", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_a_mistake_too(tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "rules.toml"
    broken.write_bytes(content)

    for path in (broken, tmp_path / "missing.toml"):
        with pytest.raises(RulesInvalidError):
            load_rules(path)
