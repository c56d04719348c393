"""Valid records in any state a test needs, made by the real registry on a real SQLite database."""

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from device_registry import (
    DEFAULT_POLICY,
    AuditLog,
    Authority,
    CameraState,
    CertificateStatus,
    Commands,
    Enrollment,
    HeartbeatReport,
    Registry,
    RegistryPolicy,
    Site,
    SiteKind,
    Terminal,
    TerminalClass,
    TerminalState,
)
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.authority.keys import make_private_key
from device_registry.changes import Changes
from device_registry.makers.makers import Makers
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.witness import WitnessFile
from device_registry.rollouts.forecast import Forecasts
from device_registry.rollouts.rollouts import Rollouts
from device_registry.roster import Roster
from tests.support.authority import a_signing_request, an_authority
from tests.support.clock import Clock

OPERATOR = "operator:lin"
_SERIALS = itertools.count(1)


@dataclass(slots=True, kw_only=True)
class Announcements:
    """Remembers what the registry announced."""

    heard: list[tuple[str, str]] = field(default_factory=list)

    def announce(self, connection: Connection, topic: str, subject: str) -> None:  # noqa: ARG002 - the port's signature
        """Take the place of the events table."""
        self.heard.append((topic, subject))


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryBench:
    """A registry with everything around it that a test may want to touch."""

    registry: Registry
    revocations: Revocations
    commands: Commands
    rollouts: Rollouts
    forecasts: Forecasts
    makers: Makers
    authority: Authority
    audit: AuditLog
    clock: Clock
    announcements: Announcements


def a_registry(
    folder: Path,
    clock: Clock | None = None,
    *,
    policy: RegistryPolicy = DEFAULT_POLICY,
    authority: Authority | None = None,
    witness: Path | None = None,
) -> RegistryBench:
    """Return a registry with a throw-away authority in `folder`, and a witness of its revocations if one is named."""
    clock = clock or Clock()
    authority = authority or an_authority(folder, clock)
    audit = AuditLog(now=clock.now)
    announcements = Announcements()
    revocations = Revocations(
        now=clock.now, announce=announcements.announce, witness=WitnessFile(witness) if witness else None
    )
    registry = Registry(
        now=clock.now,
        authority=authority,
        audit=audit,
        announce=announcements.announce,
        policy=policy,
        revocations=revocations,
    )
    changes = Changes(audit=audit, announce=announcements.announce)
    makers = Makers(now=clock.now, changes=changes, revocations=revocations)
    commands = Commands(now=clock.now, changes=changes, policy=policy, firmware=makers)
    return RegistryBench(
        registry=registry,
        revocations=revocations,
        commands=commands,
        rollouts=Rollouts(
            now=clock.now, changes=changes, commands=commands, roster=Roster(now=clock.now, policy=policy)
        ),
        forecasts=Forecasts(now=clock.now, policy=policy),
        makers=makers,
        authority=authority,
        audit=audit,
        clock=clock,
        announcements=announcements,
    )


def a_site(
    connection: Connection, registry: Registry, *, region: str = "330100", kind: SiteKind = SiteKind.HOSPITAL
) -> Site:
    """Add a made-up hospital."""
    return registry.add_site(connection, name="Willow Bridge Hospital", region=region, kind=kind, actor=OPERATOR)


def a_terminal(
    connection: Connection,
    registry: Registry,
    *,
    site: Site | None = None,
    serial_number: str | None = None,
    terminal_class: TerminalClass = TerminalClass.FACE,
    state: TerminalState = TerminalState.ACTIVE,
) -> Terminal:
    """Register a terminal and walk it to a state the way life does, certificate included."""
    terminal = registry.register(
        connection,
        serial_number=serial_number or f"SN-{next(_SERIALS):06}",
        manufacturer="Heron Devices",
        model="HD-3",
        terminal_class=terminal_class,
        site_id=(site or a_site(connection, registry)).site_id,
        certification_number="CERT-2026-001",
        record_number="REC-2026-001",
        actor=OPERATOR,
    )
    terminal_id = terminal.terminal_id
    if state is not TerminalState.REGISTERED:
        fingerprint = enrolled(connection, registry, terminal)
        if state is not TerminalState.ENROLLED:
            registry.first_use(connection, fingerprint=fingerprint, request_id="")
    if state is TerminalState.SUSPENDED:
        registry.suspend(connection, terminal_id=terminal_id, reason="moved to another window", actor=OPERATOR)
    if state is TerminalState.QUARANTINED:
        registry.quarantine(connection, terminal_id=terminal_id, reason="looked odd", actor="rule:test")
    if state in {TerminalState.REVOKED, TerminalState.RETIRED}:
        registry.revoke(connection, terminal_id=terminal_id, reason="stolen", actor=OPERATOR)
    if state is TerminalState.BANNED:
        registry.ban(connection, terminal_id=terminal_id, reason="opened by a stranger", actor=OPERATOR)
    if state is TerminalState.RETIRED:
        registry.retire(connection, terminal_id=terminal_id, reason="never found", actor=OPERATOR)
    return registry.terminal(connection, terminal_id)


def enrolled(connection: Connection, registry: Registry, terminal: Terminal) -> str:
    """Enroll a registered terminal and return its certificate's fingerprint."""
    return fingerprint_from_der(an_enrollment(connection, registry, terminal).certificate_chain_der[0])


def an_enrollment(connection: Connection, registry: Registry, terminal: Terminal) -> Enrollment:
    """Enroll a registered terminal."""
    token = registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=OPERATOR)
    challenge = registry.challenge(connection, serial_number=terminal.serial_number)
    return registry.enroll(
        connection,
        serial_number=terminal.serial_number,
        token=token.token,
        signing_request_der=a_signing_request(nonce=challenge.nonce, key=make_private_key()),
        request_id="enroll-by-builder",
    )


def current_fingerprint(connection: Connection, registry: Registry, terminal_id: str) -> str:
    """Return the fingerprint of a terminal's one CURRENT certificate."""
    (current,) = (
        certificate
        for certificate in registry.certificates(connection, terminal_id)
        if certificate.status is CertificateStatus.CURRENT
    )
    return current.fingerprint


def a_heartbeat(
    terminal_time: datetime,
    *,
    skew: timedelta = timedelta(0),
    camera_state: CameraState = CameraState.READY,
    temperature_celsius: float = 41.5,
    queue_length: int = 0,
) -> HeartbeatReport:
    """Return a report of a healthy terminal whose clock is off by `skew`."""
    return HeartbeatReport(
        terminal_time=terminal_time + skew,
        camera_state=camera_state,
        temperature_celsius=temperature_celsius,
        queue_length=queue_length,
    )
