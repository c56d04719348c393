"""Attacks at a window are told and change nothing by themselves; a broken seal or a lesser camera are the device's."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from device_registry.errors import RiskPolicyError
from device_registry.fleet.attacks import CameraPast, FaceAttacksSeen, FaceOnlySeen
from device_registry.fleet.finding import FindingKind, Mitigation, Severity
from device_registry.fleet.risk_policy import ATTACKS_WITHIN, load_risk_policy, policy_from
from device_registry.fleet.subject import Subject
from device_registry.model import TerminalState

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
RULE = {rule.kind: rule for rule in load_risk_policy().rules}
WINDOW = Subject(terminal_id="terminal-1", state=TerminalState.ACTIVE, state_since=NOW - timedelta(days=10))


def attacked(attacks: int, sessions: int, *, seals_broken: int = 0) -> Subject:
    seen = FaceAttacksSeen(
        sessions=sessions,
        attacks=attacks,
        seals_broken=seals_broken,
        last_attack_at=NOW - timedelta(minutes=5),
        last_seal_broken_at=NOW - timedelta(minutes=9) if seals_broken else None,
    )
    return replace(WINDOW, face_attacks=seen)


def lacking(solid: int, lacks: int) -> Subject:
    past = CameraPast(solid_sessions=solid, lacking_sessions=lacks, modalities=("NIR", "DEPTH"))
    return replace(WINDOW, camera_past=past)


@pytest.mark.parametrize(
    ("attacks", "sessions", "severity"),
    [
        (4, 4, None),  # the odd honest session looks like one
        (5, 19, Severity.LOW),  # too few sessions to speak of a share
        (5, 60, Severity.LOW),
        (6, 60, Severity.MEDIUM),
        (60, 60, Severity.MEDIUM),  # never more: an attacker must not be able to raise it
    ],
)
def test_attacks_count_by_number_and_share(attacks: int, sessions: int, severity: Severity | None) -> None:
    seen = RULE[FindingKind.FACE_ATTACKS].look(attacked(attacks, sessions), NOW)

    assert (seen and seen.severity) == severity
    if seen is not None:
        assert seen.seen_at == NOW - timedelta(minutes=5)
        assert seen.details == {"attacks": attacks, "sessions": sessions, "percent": 100 * attacks // sessions}


def test_one_broken_seal_is_enough_and_high() -> None:
    seen = RULE[FindingKind.SEAL_BROKEN].look(attacked(1, 500, seals_broken=1), NOW)

    assert seen is not None
    assert (seen.severity, seen.seen_at) == (Severity.HIGH, NOW - timedelta(minutes=9))
    assert RULE[FindingKind.SEAL_BROKEN].look(attacked(50, 500), NOW) is None


@pytest.mark.parametrize(("solid", "lacks", "is_found"), [(20, 3, True), (19, 30, False), (500, 2, False)])
def test_a_camera_that_lost_what_it_used_to_promise_is_found(solid: int, lacks: int, *, is_found: bool) -> None:
    seen = RULE[FindingKind.CAMERA_DOWNGRADED].look(lacking(solid, lacks), NOW)

    assert (seen is not None) == is_found
    if seen is not None:
        assert (seen.severity, seen.details["promised"]) == (Severity.MEDIUM, "NIR,DEPTH")


def test_a_terminal_of_which_nothing_is_known_breaks_no_face_rule() -> None:
    for kind in (FindingKind.FACE_ATTACKS, FindingKind.SEAL_BROKEN, FindingKind.CAMERA_DOWNGRADED):
        assert RULE[kind].look(WINDOW, NOW) is None


@pytest.mark.parametrize("mitigation", [Mitigation.SUSPEND, Mitigation.QUARANTINE, Mitigation.EVICT])
def test_no_policy_lets_an_attacker_at_the_window_switch_the_terminal_off(mitigation: Mitigation) -> None:
    with pytest.raises(RiskPolicyError) as refused:
        policy_from({"FACE_ATTACKS": {"automatic": mitigation.value}})

    assert refused.value.mistakes == (f"[FACE_ATTACKS] automatic = {mitigation} is not allowed; one of NOTIFY",)


def test_a_broken_seal_may_suspend_where_an_operator_wants_it() -> None:
    policy = policy_from({"SEAL_BROKEN": {"automatic": "SUSPEND", "automatic_from": "HIGH"}})

    assert policy.automatic(FindingKind.SEAL_BROKEN, Severity.HIGH) is Mitigation.SUSPEND
    assert load_risk_policy().automatic(FindingKind.SEAL_BROKEN, Severity.HIGH) is Mitigation.NOTIFY


def test_how_far_back_is_looked_is_the_policys_to_say() -> None:
    assert policy_from({"FACE_ATTACKS": {"window": "6h"}}).attacks_within == timedelta(hours=6)
    assert policy_from({"FACE_ATTACKS": {"enabled": False}}).attacks_within == ATTACKS_WITHIN
    with pytest.raises(RiskPolicyError, match="at most 7d"):
        policy_from({"FACE_ATTACKS": {"window": "8d"}})


@pytest.mark.parametrize(("at_site", "is_told"), [(4, False), (5, True), (500, True)])
def test_a_site_that_seems_to_offer_nothing_but_the_face_is_told_and_left_alone(at_site: int, is_told: bool) -> None:  # noqa: FBT001 - a case of the table
    left = FaceOnlySeen(refused_consents=3, failed_faces=1, at_site=at_site)

    seen = RULE[FindingKind.FACE_ONLY_SITE].look(replace(WINDOW, face_only=left), NOW)

    assert (seen is not None) is is_told
    if seen is not None:
        assert seen.details == {"refused_consents": 3, "failed_faces": 1, "at_site": at_site}
        assert load_risk_policy().automatic(seen.kind, Severity.CRITICAL) is Mitigation.NOTIFY
    assert RULE[FindingKind.FACE_ONLY_SITE].look(WINDOW, NOW) is None


def test_other_ways_are_not_looked_for_farther_back_than_faces_are_kept() -> None:
    with pytest.raises(RiskPolicyError):
        policy_from({"FACE_ONLY_SITE": {"window": "8d"}})
