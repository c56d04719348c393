"""The policy of the fleet checks is data: what it leaves out is as shipped, and what it gets wrong is told at once."""

from datetime import timedelta
from pathlib import Path

import pytest

from device_registry.errors import RiskPolicyError
from device_registry.fleet.finding import FindingKind, Mitigation, Severity
from device_registry.fleet.risk import ClockSkew
from device_registry.fleet.risk_policy import load_risk_policy, policy_from

ACT_BY_THEMSELVES = {FindingKind.SHARED_CERTIFICATE, FindingKind.CLONE, FindingKind.DUPLICATE_SERIAL}


def test_as_shipped_three_kinds_quarantine_and_the_rest_notifies() -> None:
    policy = load_risk_policy()

    acting = {kind for kind in FindingKind if policy.automatic(kind, Severity.CRITICAL) is not Mitigation.NOTIFY}
    assert acting == ACT_BY_THEMSELVES
    assert policy.automatic(FindingKind.SHARED_CERTIFICATE, Severity.MEDIUM) is Mitigation.NOTIFY
    assert policy.automatic_per_hour_max == 10


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "risk.toml"
    file.write_text('[CLOCK_SKEW]\nskew_max = "2m"\n[OFF_HOURS_USE]\nenabled = false\n', encoding="utf-8")

    policy = load_risk_policy(file)

    (clock,) = (rule for rule in policy.rules if isinstance(rule, ClockSkew))
    assert (clock.skew_max, clock.skew_high) == (timedelta(minutes=2), timedelta(minutes=10))
    assert FindingKind.OFF_HOURS_USE not in {rule.kind for rule in policy.rules}
    assert len(policy.rules) == len(load_risk_policy().rules) - 1


def test_a_mitigation_outside_the_allowed_ones_is_a_mistake_of_configuration() -> None:
    with pytest.raises(RiskPolicyError) as refused:
        policy_from({"REVOKED_CONNECTED": {"automatic": "QUARANTINE"}})

    assert refused.value.mistakes == ("[REVOKED_CONNECTED] automatic = QUARANTINE is not allowed; one of NOTIFY",)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(RiskPolicyError) as refused:
        policy_from(
            {
                "CLOCK_SKEWS": {},
                "CLONE": {"automatic": "EXPLODE", "enabled": "yes"},
                "CLOCK_SKEW": {"skew_max": "soon", "colour": 1},
                "SHARED_CERTIFICATE": {"returns_min": -1},
                "WRONG_PLACE": 7,
                "bounds": {"automatic_per_hour_max": 5000, "automatic_per_day_max": 1},
            }
        )

    told = "\n".join(refused.value.mistakes)
    for part in (
        "[CLOCK_SKEWS] is no rule",
        "[CLONE] automatic is one of",
        "[CLONE] enabled is true or false",
        "[CLOCK_SKEW] skew_max is a time",
        "[CLOCK_SKEW] colour is no setting",
        "[SHARED_CERTIFICATE] returns_min is a whole number",
        "[WRONG_PLACE] is no table",
        "[bounds] automatic_per_hour_max is a whole number from 0 to 1000",
        "[bounds] automatic_per_day_max is no setting",
    ):
        assert part in told, part


def test_a_file_that_is_not_there_or_no_toml_is_told_by_its_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[CLONE", encoding="utf-8")

    for path in (tmp_path / "none.toml", broken):
        with pytest.raises(RiskPolicyError, match=path.name):
            load_risk_policy(path)
