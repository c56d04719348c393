"""Each rule of the fleet checks finds what it is for, and leaves alone what only looks like it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from device_registry.fleet.finding import FindingKind, Mitigation, Severity, Sighting
from device_registry.fleet.places import OpeningHours, Place, Position
from device_registry.fleet.risk import ALLOWED, RULES, Rule
from device_registry.fleet.risk_policy import load_risk_policy
from device_registry.fleet.subject import Subject
from device_registry.fleet.whereabouts import Origin, Sighted
from device_registry.makers.approvals import FirmwareState
from device_registry.model import TerminalState

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RULE = {rule.kind: rule for rule in load_risk_policy().rules}
HOSPITAL = Place(latitude=30.25, longitude=120.15, radius_metres=500)
AT_THE_WINDOW = Position(latitude=30.251, longitude=120.151)
NEXT_TOWN = Position(latitude=30.40, longitude=120.15)  # 16.7 km to the north
STREET_CORNER = Position(latitude=30.26, longitude=120.15)  # 1.1 km to the north
WELL = Subject(
    terminal_id="terminal-1",
    state=TerminalState.ACTIVE,
    state_since=NOW - 10 * DAY,
    place=HOSPITAL,
    opening_hours=OpeningHours.from_text("07:00-21:00"),
    is_connected=True,
    last_seen_at=NOW - timedelta(seconds=20),
    clock_skew=timedelta(seconds=2),
    origins=(Origin(at=NOW - DAY, origin="ipv4:192.0.2.1"),),
    positions=(Sighted(at=NOW - DAY, position=AT_THE_WINDOW),),
    certificate_not_before=NOW - 10 * DAY,
    certificate_not_after=NOW + 20 * DAY,
    issuer_state="ACTIVE",
    firmware_version="2.4.1",
    firmware_state=FirmwareState.APPROVED,
    model_has_firmware=True,
    certification_expires_on=date(2027, 5, 4),
    last_used_at=NOW - HOUR,
)


def seen(kind: FindingKind, subject: Subject) -> Sighting | None:
    return RULE[kind].look(subject, NOW)


def severity(kind: FindingKind, subject: Subject) -> Severity | None:
    sighting = seen(kind, subject)
    return None if sighting is None else sighting.severity


def calls_from(*places: str, apart: timedelta = MINUTE) -> tuple[Origin, ...]:
    """Return changes of origin, given newest first, each `apart` from the next."""
    return tuple(Origin(at=NOW - apart * index, origin=f"ipv4:192.0.2.{place}") for index, place in enumerate(places))


def test_every_rule_has_a_kind_of_its_own_and_is_in_the_shipped_policy() -> None:
    assert len({rule.kind for rule in RULES}) == len(RULES)
    assert set(RULE) == {rule.kind for rule in RULES}
    assert set(ALLOWED) == set(FindingKind)
    assert all(Mitigation.NOTIFY in allowed for allowed in ALLOWED.values())


@pytest.mark.parametrize("rule", RULE.values(), ids=lambda rule: rule.kind)
def test_a_terminal_that_is_well_breaks_no_rule(rule: Rule) -> None:
    assert rule.look(WELL, NOW) is None


@pytest.mark.parametrize("rule", RULE.values(), ids=lambda rule: rule.kind)
def test_a_terminal_that_was_never_heard_from_breaks_no_rule(rule: Rule) -> None:
    fresh = Subject(terminal_id="terminal-2", state=TerminalState.REGISTERED, state_since=NOW)

    assert rule.look(fresh, NOW) is None


def test_a_certificate_that_is_thrown_back_and_forth_is_shared() -> None:
    found = seen(FindingKind.SHARED_CERTIFICATE, replace(WELL, origins=calls_from(*"ABABA")))

    assert found is not None
    assert (found.severity, found.seen_at) == (Severity.CRITICAL, NOW)
    assert found.details == {"returns": 3, "places": 2}


def test_one_return_is_told_and_no_more_and_a_move_is_not_told_at_all() -> None:
    def of(*places: str, apart: timedelta = MINUTE) -> Severity | None:
        return severity(FindingKind.SHARED_CERTIFICATE, replace(WELL, origins=calls_from(*places, apart=apart)))

    assert of(*"ABA") is Severity.MEDIUM
    assert of(*"CBA") is None
    assert of(*"BA") is None
    assert of(*"ABABA", apart=DAY) is None  # a cart that goes home every evening


@pytest.mark.parametrize("state", [TerminalState.SUSPENDED, TerminalState.QUARANTINED, TerminalState.REVOKED], ids=str)
def test_one_that_is_out_of_service_and_still_heard_is_critical(state: TerminalState) -> None:
    out = replace(WELL, state=state, state_since=NOW - MINUTE, last_seen_at=NOW)

    assert severity(FindingKind.REVOKED_CONNECTED, out) is Severity.CRITICAL
    assert severity(FindingKind.REVOKED_CONNECTED, replace(out, last_seen_at=NOW - MINUTE)) is None
    assert severity(FindingKind.REVOKED_CONNECTED, replace(out, last_seen_at=NOW - timedelta(seconds=55))) is None


def test_a_certificate_may_not_be_in_use_for_ever() -> None:
    old = replace(WELL, certificate_not_before=NOW - 91 * DAY, certificate_not_after=NOW + 300 * DAY)

    assert severity(FindingKind.OLD_CERTIFICATE, old) is Severity.MEDIUM
    assert severity(FindingKind.OLD_CERTIFICATE, replace(old, certificate_not_before=NOW - 90 * DAY)) is None


def test_health_is_not_green_while_the_certificate_is_dead() -> None:
    dead = replace(WELL, certificate_not_after=NOW)

    assert severity(FindingKind.CERTIFICATE_LAPSED, dead) is Severity.CRITICAL  # and its stream is still open
    assert severity(FindingKind.CERTIFICATE_LAPSED, replace(dead, is_connected=False)) is Severity.HIGH
    assert severity(FindingKind.CERTIFICATE_LAPSED, replace(dead, certificate_not_after=None)) is Severity.CRITICAL
    assert severity(FindingKind.CERTIFICATE_LAPSED, replace(dead, certificate_not_after=NOW + MINUTE)) is None


@pytest.mark.parametrize(
    ("state", "expected"),
    [("TAINTED", Severity.MEDIUM), ("REVOKED", Severity.CRITICAL), ("OUTGOING", None), (None, None)],
)
def test_the_issuer_of_a_certificate_in_use_must_be_trusted(state: str | None, expected: Severity | None) -> None:
    assert severity(FindingKind.DISTRUSTED_ISSUER, replace(WELL, issuer_state=state)) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(-31, Severity.MEDIUM), (601, Severity.HIGH), (30, None), (-30, None)]
)
def test_a_clock_may_be_off_by_half_a_minute(seconds: int, expected: Severity | None) -> None:
    assert severity(FindingKind.CLOCK_SKEW, replace(WELL, clock_skew=timedelta(seconds=seconds))) is expected


@pytest.mark.parametrize(
    ("position", "expected"), [(AT_THE_WINDOW, None), (STREET_CORNER, Severity.MEDIUM), (NEXT_TOWN, Severity.HIGH)]
)
def test_a_terminal_stands_at_its_site(position: Position, expected: Severity | None) -> None:
    there = replace(WELL, positions=(Sighted(at=NOW, position=position),))

    assert severity(FindingKind.WRONG_PLACE, there) is expected
    assert severity(FindingKind.WRONG_PLACE, replace(there, place=None)) is None


def test_a_position_that_may_be_off_is_read_in_the_terminals_favour() -> None:
    unsure = replace(STREET_CORNER, accuracy_metres=1000)

    assert seen(FindingKind.WRONG_PLACE, replace(WELL, positions=(Sighted(at=NOW, position=unsure),))) is None


def test_nothing_carries_a_terminal_to_the_next_town_in_a_minute() -> None:
    def moved_within(span: timedelta, target: Position = NEXT_TOWN) -> Sighting | None:
        steps = (Sighted(at=NOW, position=target), Sighted(at=NOW - span, position=AT_THE_WINDOW))
        return seen(FindingKind.POSITION_JUMP, replace(WELL, positions=steps))

    jump = moved_within(MINUTE)
    assert jump is not None
    assert (jump.severity, jump.seen_at) == (Severity.HIGH, NOW)
    assert moved_within(HOUR) is None
    assert moved_within(timedelta(seconds=1), STREET_CORNER) is None  # positions are not exact


@pytest.mark.parametrize(
    ("state", "expected"),
    [(FirmwareState.FLAGGED, Severity.HIGH), (FirmwareState.WITHDRAWN, Severity.MEDIUM), (None, None)],
)
def test_firmware_with_a_known_finding_is_told(state: FirmwareState | None, expected: Severity | None) -> None:
    assert severity(FindingKind.FIRMWARE_FLAGGED, replace(WELL, firmware_state=state)) is expected


def test_firmware_nobody_approved_is_told_when_the_model_has_approved_ones() -> None:
    homemade = replace(WELL, firmware_version="9.9-mine", firmware_state=None)

    assert severity(FindingKind.FIRMWARE_UNKNOWN, homemade) is Severity.MEDIUM
    assert severity(FindingKind.FIRMWARE_UNKNOWN, replace(homemade, model_has_firmware=False)) is None


@pytest.mark.parametrize(
    ("days", "lapsing", "lapsed"),
    [
        (61, None, None),
        (60, Severity.LOW, None),
        (14, Severity.MEDIUM, None),
        (0, Severity.MEDIUM, None),
        (-1, None, Severity.HIGH),
    ],
)
def test_a_certification_that_ends_is_told_in_time(
    days: int, lapsing: Severity | None, lapsed: Severity | None
) -> None:
    ending = replace(WELL, certification_expires_on=(NOW + days * DAY).date())

    assert severity(FindingKind.CERTIFICATION_LAPSING, ending) is lapsing
    assert severity(FindingKind.CERTIFICATION_LAPSED, ending) is lapsed


def test_a_terminal_registered_by_hand_has_no_certification_to_lapse() -> None:
    by_hand = replace(WELL, certification_expires_on=None)

    assert seen(FindingKind.CERTIFICATION_LAPSING, by_hand) is seen(FindingKind.CERTIFICATION_LAPSED, by_hand) is None


@pytest.mark.parametrize(
    ("hours", "clock", "is_found"),
    [
        ("07:00-21:00", "03:10", True),
        ("07:00-21:00", "21:20", False),  # the last patient was in the queue
        ("07:00-21:00", "06:31", False),
        ("07:00-21:00", "12:00", False),
        ("22:00-06:00", "23:30", False),
        ("22:00-06:00", "12:00", True),
    ],
)
def test_use_while_the_site_is_closed_is_told(hours: str, clock: str, *, is_found: bool) -> None:
    used_at = datetime.fromisoformat(f"2026-05-04T{clock}:00+00:00")
    used = replace(WELL, opening_hours=OpeningHours.from_text(hours), last_used_at=used_at)

    found = seen(FindingKind.OFF_HOURS_USE, used)

    assert (found is not None) == is_found
    assert found is None or found.seen_at == used_at
