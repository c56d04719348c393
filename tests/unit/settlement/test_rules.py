"""Benefit rules as data: what is accepted, and how everything wrong is reported at once."""

import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.settlement.errors import BusinessTypeNotPayableError, RulesInvalidError
from server.settlement.insurers.rules import DEFAULT_RULES, load_rules, rules_from

SHIPPED = tomllib.loads(DEFAULT_RULES.read_text(encoding="utf-8"))


def test_the_shipped_rules_are_valid_and_say_what_is_paid_for() -> None:
    rules = load_rules()

    hospital = rules.benefits_for(site_kind="HOSPITAL", business_type=1301)

    assert hospital.deductible_fen == 60_000
    assert [tier.ratio_bp for tier in hospital.tiers] == [7_000, 8_000, 8_500]
    for site_kind, business_type in (("HOSPITAL", 1103), ("BARBER", 1301)):
        with pytest.raises(BusinessTypeNotPayableError):
            rules.benefits_for(site_kind=site_kind, business_type=business_type)


def _set(*path: object) -> Callable[[dict[str, Any]], None]:
    *way, key, value = path

    def change(data: dict[str, Any]) -> None:
        for step in way:
            data = data[str(step)]
        data[str(key)] = value

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data.pop("annual_cap_fen"), "annual_cap_fen: missing"),
        (_set("annual_cap", 1), "annual_cap: unknown"),
        (_set("annual_cap_fen", -1), "annual_cap_fen: a whole number"),
        (_set("annual_cap_fen", 1.5), "annual_cap_fen: a whole number"),
        (_set("out_of_region_reduction_bp", 10_001), "out_of_region_reduction_bp: 0 to 10000"),
        (_set("business_types", []), "business_types: a list"),
        (_set("business_types", ["01301"]), "business_types: a list"),
        (_set("sites", {}), "sites: at least one"),
        (_set("sites", []), "sites: at least one"),
        (_set("sites", "CLINIC", 1), "sites.CLINIC: a table"),
        (_set("sites", "CLINIC", "deductible_fen", "1"), "sites.CLINIC.deductible_fen: a whole number"),
        (_set("sites", "CLINIC", {"deductible_fen": 0}), "sites.CLINIC.tiers: missing"),
        (_set("sites", "CLINIC", "tiers", []), "sites.CLINIC.tiers: a list"),
        (_set("sites", "CLINIC", "tiers", [{"ratio_bp": 10_001}]), "sites.CLINIC.tiers[1].ratio_bp: 0 to 10000"),
        (_set("sites", "CLINIC", "tiers", [{"ratio": 1}]), "sites.CLINIC.tiers[1].ratio_bp: missing"),
        (
            _set("sites", "CLINIC", "tiers", [{"ratio_bp": 1, "up_to_fen": 5}]),
            "sites.CLINIC.tiers[1].up_to_fen: the last tier has no bound",
        ),
        (
            _set("sites", "CLINIC", "tiers", [{"ratio_bp": 1}, {"ratio_bp": 1}]),
            "sites.CLINIC.tiers[1].up_to_fen: a whole number of fen above 0",
        ),
        (
            _set("sites", "CLINIC", "tiers", [{"ratio_bp": 1, "up_to_fen": n} for n in (5, 5)] + [{"ratio_bp": 1}]),
            "sites.CLINIC.tiers[2].up_to_fen: a whole number of fen above 5",
        ),
    ],
)
def test_a_mistake_is_named_where_it_is(change: Callable[[dict[str, Any]], object], problem: str) -> None:
    data = copy.deepcopy(SHIPPED)
    change(data)

    with pytest.raises(RulesInvalidError) as refused:
        rules_from(data)

    assert [found for found in refused.value.problems if found.startswith(problem)]


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(RulesInvalidError) as refused:
        rules_from({"annual_cap_fen": -1, "business_types": []})

    assert len(refused.value.problems) == 4


@pytest.mark.parametrize("content", [b"not toml [", b"\xff\xfe"])
def test_a_file_that_cannot_be_read_is_a_mistake_too(tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "rules.toml"
    broken.write_bytes(content)

    for path in (broken, tmp_path / "missing.toml"):
        with pytest.raises(RulesInvalidError):
            load_rules(path)
