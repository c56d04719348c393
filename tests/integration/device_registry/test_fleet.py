"""The fleet audit: one pass over everybody, what it finds is written down, and what it does by itself is bounded."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, Engine, event, insert, select, update

from device_registry import Site, Terminal, TerminalClass, TerminalState
from device_registry.errors import FieldInvalidError
from device_registry.fleet.attacks import CameraPast, FaceAttacksSeen, FaceOnlySeen
from device_registry.fleet.finding import FindingFilter, FindingKind, FindingState, Mitigation, Severity
from device_registry.fleet.findings import Findings
from device_registry.fleet.fleet import Fleet, FleetReport
from device_registry.fleet.places import Place, Position, SitePlaces
from device_registry.fleet.risk_policy import RiskPolicy, load_risk_policy, policy_from
from device_registry.tables import certificates, terminals, vitals
from tests.support.builders import OPERATOR, RegistryBench, a_site, a_terminal

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
HOME, ELSEWHERE = "ipv4:192.0.2.1", "ipv4:198.51.100.7"


@dataclass(slots=True, kw_only=True)
class Uses:
    """Remembers when terminals were used, in place of the books of faces and money."""

    at: dict[str, datetime] = field(default_factory=dict)
    attacks: dict[str, FaceAttacksSeen] = field(default_factory=dict)
    cameras: dict[str, CameraPast] = field(default_factory=dict)

    def last_uses(self, connection: Connection, *, since: datetime) -> Mapping[str, datetime]:  # noqa: ARG002 - the port's signature
        """Return what the test wrote down."""
        return {terminal_id: at for terminal_id, at in self.at.items() if at >= since}

    def face_attacks(self, connection: Connection, *, since: datetime) -> Mapping[str, FaceAttacksSeen]:  # noqa: ARG002 - as above
        """Return what the test wrote down, as far as it is not over."""
        return {name: seen for name, seen in self.attacks.items() if (seen.last_attack_at or since) >= since}

    def lesser_cameras(self, connection: Connection) -> Mapping[str, CameraPast]:  # noqa: ARG002 - as above
        """Return what the test wrote down."""
        return self.cameras

    def face_only(self, connection: Connection, *, since: datetime) -> Mapping[str, FaceOnlySeen]:  # noqa: ARG002 - as above
        """Return nothing: every site takes cards."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetBench:
    """A fleet with everything around it."""

    registry: RegistryBench
    findings: Findings
    uses: Uses

    def fleet(self, policy: RiskPolicy | None = None) -> Fleet:
        """Return the fleet under a policy."""
        registry = self.registry.registry
        return Fleet(
            now=self.registry.clock.now,
            findings=self.findings,
            decisions={Mitigation.SUSPEND: registry.suspend, Mitigation.QUARANTINE: registry.quarantine},
            policy=policy or load_risk_policy(),
            activity=self.uses,
            zone=ZoneInfo("Asia/Shanghai"),
        )

    def audit(self, connection: Connection, *, policy: RiskPolicy | None = None, acts: bool = True) -> FleetReport:
        """Audit once."""
        fleet = self.fleet(policy)
        return fleet.record(connection, fleet.look(connection), actor=OPERATOR, acts=acts)

    def comes(self, connection: Connection, terminal: Terminal, origin: str = HOME, **told: timedelta) -> None:
        """Have a terminal open its control stream."""
        self.registry.registry.connected(
            connection,
            terminal_id=terminal.terminal_id,
            firmware_version="1.0",
            clock_skew=told.get("skew", timedelta()),
            origin=origin,
        )

    def is_thrown_about(self, connection: Connection, terminal: Terminal) -> None:
        """Have two devices with one certificate take the stream from each other."""
        for origin in (HOME, ELSEWHERE) * 3:
            self.registry.clock.advance(MINUTE)
            self.comes(connection, terminal, origin)

    def kinds(self, connection: Connection, *, is_closed: bool = False) -> list[tuple[FindingKind, FindingState]]:
        """Return what was found, oldest first."""
        found = self.findings.list(connection, FindingFilter(is_closed=is_closed))
        return [(finding.kind, finding.state) for finding in reversed(found)]


@pytest.fixture
def fleet(bench: RegistryBench) -> FleetBench:
    """Return a fleet on the bench's clock."""
    return FleetBench(registry=bench, findings=Findings(now=bench.clock.now, audit=bench.audit), uses=Uses())


@contextmanager
def counted_statements(engine: Engine) -> Iterator[list[str]]:
    """Collect the statements that are executed."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_shared_certificate_is_quarantined_in_the_rules_name(fleet: FleetBench, connection: Connection) -> None:
    registry = fleet.registry.registry
    shared, calm = (a_terminal(connection, registry) for _ in range(2))
    fleet.is_thrown_about(connection, shared)
    fleet.comes(connection, calm)

    report = fleet.audit(connection)

    assert [finding.terminal_id for finding in report.mitigated] == [shared.terminal_id]
    quarantined = registry.terminal(connection, shared.terminal_id)
    assert quarantined.state is TerminalState.QUARANTINED
    assert "SHARED_CERTIFICATE" in quarantined.state_reason
    assert registry.terminal(connection, calm.terminal_id).state is TerminalState.ACTIVE
    assert fleet.kinds(connection) == [(FindingKind.SHARED_CERTIFICATE, FindingState.MITIGATED)]
    assert (shared.terminal_id, TerminalState.QUARANTINED) in audited(connection, "risk:shared_certificate")


def test_an_audit_that_may_not_act_only_tells(fleet: FleetBench, connection: Connection) -> None:
    shared = a_terminal(connection, fleet.registry.registry)
    fleet.is_thrown_about(connection, shared)

    report = fleet.audit(connection, acts=False)

    assert (report.opened, report.mitigated) == (1, ())
    assert fleet.registry.registry.terminal(connection, shared.terminal_id).state is TerminalState.ACTIVE


def test_who_was_resumed_is_not_quarantined_again_for_what_was_known(fleet: FleetBench, connection: Connection) -> None:
    registry = fleet.registry.registry
    shared = a_terminal(connection, registry)
    fleet.is_thrown_about(connection, shared)
    fleet.audit(connection)
    fleet.registry.clock.advance(MINUTE)
    registry.resume(connection, terminal_id=shared.terminal_id, reason="looked at both", actor=OPERATOR)

    assert not fleet.audit(connection).mitigated
    fleet.is_thrown_about(connection, shared)
    assert len(fleet.audit(connection).mitigated) == 1


def test_a_rule_that_is_wrong_does_not_take_the_fleet_down(fleet: FleetBench, connection: Connection) -> None:
    registry, site = fleet.registry.registry, a_site(connection, fleet.registry.registry)
    fleet_of_five = [a_terminal(connection, registry, site=site) for _ in range(5)]
    for terminal in fleet_of_five:
        fleet.is_thrown_about(connection, terminal)
    policy = policy_from({"bounds": {"automatic_per_hour_max": 2}})

    report = fleet.audit(connection, policy=policy)
    again = fleet.audit(connection, policy=policy)

    assert (len(report.mitigated), report.held_back) == (2, 3)
    assert (len(again.mitigated), again.held_back) == (0, 3)
    (told,) = fleet.findings.list(connection, FindingFilter(kind=FindingKind.MITIGATION_BOUND))
    assert (told.severity, told.terminal_id, told.times) == (Severity.CRITICAL, None, 2)
    assert told.details == {"held_back": 3, "automatic_per_hour_max": 2}
    fleet.registry.clock.advance(timedelta(minutes=61))
    assert len(fleet.audit(connection, policy=policy).mitigated) == 2


def test_a_clone_that_somebody_else_saw_is_acted_on_by_the_next_audit(
    fleet: FleetBench, connection: Connection
) -> None:
    registry = fleet.registry.registry
    active, enrolled = (
        a_terminal(connection, registry, state=state) for state in (TerminalState.ACTIVE, TerminalState.ENROLLED)
    )
    for terminal in (active, enrolled):
        fleet.findings.report(
            connection, kind=FindingKind.CLONE, terminal_id=terminal.terminal_id, severity=Severity.CRITICAL
        )

    report = fleet.audit(connection)

    assert active.terminal_id in {finding.terminal_id for finding in report.mitigated}
    assert registry.terminal(connection, active.terminal_id).state is TerminalState.QUARANTINED


def test_a_wrong_clock_is_cleared_when_it_is_right_again(fleet: FleetBench, connection: Connection) -> None:
    terminal = a_terminal(connection, fleet.registry.registry)
    fleet.comes(connection, terminal, skew=MINUTE)
    first = fleet.audit(connection)
    fleet.comes(connection, terminal, skew=timedelta())
    second = fleet.audit(connection)

    assert (first.opened, first.cleared, second.opened, second.cleared) == (1, 0, 0, 1)
    assert fleet.kinds(connection, is_closed=True) == [(FindingKind.CLOCK_SKEW, FindingState.CLOSED)]


def test_one_that_is_heard_after_it_was_put_out_is_told(fleet: FleetBench, connection: Connection) -> None:
    registry = fleet.registry.registry
    terminal = a_terminal(connection, registry)
    fleet.comes(connection, terminal)
    registry.suspend(connection, terminal_id=terminal.terminal_id, reason="moved", actor=OPERATOR)

    assert fleet.audit(connection).seen == 0
    fleet.registry.clock.advance(MINUTE)
    connection.execute(update(vitals).values(last_seen_at=fleet.registry.clock.now()))
    fleet.audit(connection)
    assert fleet.kinds(connection) == [(FindingKind.REVOKED_CONNECTED, FindingState.OPEN)]


def test_an_active_terminal_whose_certificate_is_over_is_told(fleet: FleetBench, connection: Connection) -> None:
    a_terminal(connection, fleet.registry.registry)
    assert fleet.audit(connection).seen == 0

    fleet.registry.clock.advance(31 * DAY)
    fleet.audit(connection)

    assert (FindingKind.CERTIFICATE_LAPSED, FindingState.OPEN) in fleet.kinds(connection)


def test_place_and_hours_of_the_site_are_asked(fleet: FleetBench, connection: Connection) -> None:
    site = placed(connection, fleet.registry)
    away, here = (a_terminal(connection, fleet.registry.registry, site=site) for _ in range(2))
    now = fleet.registry.clock.now()  # 16:00 in Shanghai
    for terminal, latitude in ((away, 31.0), (here, 30.2501)):
        fleet.registry.registry.connected(
            connection,
            terminal_id=terminal.terminal_id,
            firmware_version="1.0",
            clock_skew=timedelta(),
            position=Position(latitude=latitude, longitude=120.15),
        )
    fleet.uses.at = {here.terminal_id: now - timedelta(hours=13), away.terminal_id: now - MINUTE}  # 03:00 and 15:59

    fleet.audit(connection)

    found = {(finding.kind, finding.terminal_id) for finding in fleet.findings.list(connection)}
    assert found == {
        (FindingKind.WRONG_PLACE, away.terminal_id),
        (FindingKind.OFF_HOURS_USE, here.terminal_id),
    }


def test_an_operator_does_what_a_finding_allows_and_nothing_else(fleet: FleetBench, connection: Connection) -> None:
    terminal = a_terminal(connection, fleet.registry.registry)
    fleet.comes(connection, terminal, skew=MINUTE)
    fleet.audit(connection)
    (finding,) = fleet.findings.list(connection)

    with pytest.raises(FieldInvalidError, match="for CLOCK_SKEW there is SUSPEND"):
        fleet.fleet().mitigate(
            connection, finding.finding_id, mitigation=Mitigation.QUARANTINE, reason="odd", actor=OPERATOR
        )
    done = fleet.fleet().mitigate(
        connection, finding.finding_id, mitigation=Mitigation.SUSPEND, reason="dead battery", actor=OPERATOR
    )

    assert (done.state, done.mitigation, done.mitigated_by) == (
        FindingState.MITIGATED,
        Mitigation.SUSPEND,
        OPERATOR,
    )
    assert fleet.registry.registry.terminal(connection, terminal.terminal_id).state is TerminalState.SUSPENDED


def test_two_thousand_terminals_are_audited_in_a_handful_of_statements(
    fleet: FleetBench, engine: Engine, connection: Connection
) -> None:
    a_fleet_of(2_000, connection, fleet.registry)
    wrong = 700  # more than are asked for one by one
    ids = list(connection.scalars(select(terminals.c.terminal_id).order_by(terminals.c.terminal_id).limit(wrong)))
    connection.execute(update(vitals).where(vitals.c.terminal_id.in_(ids)).values(clock_skew=MINUTE))

    with counted_statements(engine) as statements:
        first = fleet.audit(connection)
        again = fleet.audit(connection)

    assert (first.terminals, first.opened, again.opened, again.seen) == (2_000, wrong, 0, wrong)
    assert len(statements) <= 25, statements


def audited(connection: Connection, actor: str) -> list[tuple[str, str]]:
    """Return what an actor did to terminals, from the audit log."""
    from device_registry.tables import audit_log  # noqa: PLC0415 - this question alone needs it

    rows = connection.execute(
        select(audit_log.c.subject, audit_log.c.action).where(
            audit_log.c.actor == actor, audit_log.c.action.like("terminal.%")
        )
    )
    return [(subject, action.removeprefix("terminal.").upper()) for subject, action in rows]


def placed(connection: Connection, bench: RegistryBench) -> Site:
    """Return a hospital of which place and hours are known."""
    site = a_site(connection, bench.registry)
    SitePlaces(audit=bench.audit).settle(
        connection,
        site_id=site.site_id,
        place=Place(latitude=30.25, longitude=120.15, radius_metres=500),
        opening_hours="07:00-21:00",
        actor=OPERATOR,
    )
    return bench.registry.site(connection, site.site_id)


def a_fleet_of(count: int, connection: Connection, bench: RegistryBench) -> None:
    """Write that many ACTIVE terminals past the registry, which would take a minute: keys are not what is tested."""
    site, now = a_site(connection, bench.registry), bench.clock.now()
    numbers = [f"{number:06}" for number in range(count)]
    common = {
        "manufacturer": "Heron Devices",
        "model": "HD-3",
        "terminal_class": TerminalClass.FACE,
        "site_id": site.site_id,
        "certification_number": "CERT-2026-001",
        "record_number": "REC-2026-001",
        "state": TerminalState.ACTIVE,
        "state_reason": "first use",
        "state_since": now,
        "registered_at": now,
    }
    connection.execute(
        insert(terminals),
        [{"terminal_id": f"terminal-{number}", "serial_number": f"SN-{number}", **common} for number in numbers],
    )
    connection.execute(
        insert(vitals),
        [{"terminal_id": f"terminal-{number}", "is_connected": True, "recent_connects": "[]"} for number in numbers],
    )
    connection.execute(
        insert(certificates),
        [
            {
                "fingerprint": f"{number:0>64}",
                "certificate_serial": number,
                "terminal_id": f"terminal-{number}",
                "public_key_sha256": f"{number:0>64}",
                "issued_at": now,
                "not_before": now,
                "not_after": now + 30 * DAY,
                "good_until": now + 30 * DAY,
                "status": "CURRENT",
                "status_since": now,
            }
            for number in numbers
        ],
    )


def test_attacks_on_the_face_check_open_a_finding_and_leave_the_terminal_in_service(
    fleet: FleetBench, connection: Connection
) -> None:
    terminal = a_terminal(connection, fleet.registry.registry)
    fleet.comes(connection, terminal)
    now = fleet.registry.clock.now()
    fleet.uses.attacks[terminal.terminal_id] = FaceAttacksSeen(
        sessions=40, attacks=30, seals_broken=2, last_attack_at=now, last_seal_broken_at=now
    )
    fleet.uses.cameras[terminal.terminal_id] = CameraPast(solid_sessions=80, lacking_sessions=40, modalities=("DEPTH",))

    report = fleet.audit(connection)

    found = {kind for kind, _ in fleet.kinds(connection)}
    assert found == {FindingKind.FACE_ATTACKS, FindingKind.SEAL_BROKEN, FindingKind.CAMERA_DOWNGRADED}
    assert list(report.mitigated) == []
    assert fleet.registry.registry.terminal(connection, terminal.terminal_id).state is TerminalState.ACTIVE
    fleet.uses.cameras.clear()
    assert fleet.audit(connection).cleared == 1  # the camera is back; what happened waits for a person
