"""The doors of the registry at work: makers, tickets, factory identities and late renewals, on one database."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, select

from device_registry import (
    DEFAULT_POLICY,
    Authority,
    Enrollment,
    RegistryPolicy,
    Terminal,
    TerminalClass,
    TerminalState,
)
from device_registry.authority.certificates import fingerprint_from_der, signing_request_from_der
from device_registry.authority.keys import make_private_key
from device_registry.changes import Changes
from device_registry.enrollment.factory import FactoryEnrollments, FactoryProof, InstallerVisit, to_be_signed
from device_registry.enrollment.grace import GRACE_CONTEXT, GraceRenewals, prove_holder
from device_registry.enrollment.issuance import Issuance
from device_registry.enrollment.tickets import IssuedTicket, Tickets
from device_registry.revocation.revocation_log import Revocations
from device_registry.tables import audit_log
from tests.support.authority import a_signing_request
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_site
from tests.support.clock import Clock
from tests.support.factory import Device, Factory

HERON = Factory()
"""The manufacturer that is approved in these tests."""
DEVICE = HERON.make("HD3-000017")


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The registry and every way into it."""

    bench: RegistryBench
    tickets: Tickets
    factory: FactoryEnrollments
    grace: GraceRenewals

    @property
    def clock(self) -> Clock:
        """Its clock."""
        return self.bench.clock

    def enroll(
        self,
        connection: Connection,
        device: Device,
        *,
        serial_number: str | None = None,
        visit: InstallerVisit | None = None,
    ) -> Enrollment:
        """Let a device enroll with its factory identity, a fresh nonce and a fresh key."""
        claimed = serial_number or device.serial_number
        nonce = self.bench.registry.challenge(connection, serial_number=claimed).nonce
        request = a_signing_request(nonce=nonce)
        proof = device.proof(nonce=nonce, signing_request_der=request)
        return self.enroll_with(connection, proof, request, serial_number=claimed, visit=visit)

    def enroll_with(
        self,
        connection: Connection,
        proof: FactoryProof,
        signing_request_der: bytes,
        *,
        serial_number: str,
        visit: InstallerVisit | None = None,
    ) -> Enrollment:
        """Enroll with a given proof, one step after the other."""
        request = signing_request_from_der(signing_request_der)
        attempt = self.factory.attempt(connection, serial_number=serial_number, request=request)
        device = self.factory.prove(attempt, proof)
        return self.factory.enroll(connection, device=device, visit=visit, request_id="request-1")

    def registered(
        self,
        connection: Connection,
        device: Device,
        *,
        manufacturer: str = "Heron Devices",
        model: str = "HD-3",
        terminal_class: TerminalClass = TerminalClass.FACE,
    ) -> Terminal:
        """Register a device at a site of its own."""
        registry = self.bench.registry
        return registry.register(
            connection,
            serial_number=device.serial_number,
            manufacturer=manufacturer,
            model=model,
            terminal_class=terminal_class,
            site_id=a_site(connection, registry).site_id,
            certification_number="CERT-2026-001",
            record_number="REC-2026-001",
            actor=OPERATOR,
        )

    def ticket(
        self, connection: Connection, *, region: str = "330100", terminals_max: int = 2, lifetime_hours: int = 8
    ) -> IssuedTicket:
        """Make an installer's ticket."""
        return self.tickets.issue(
            connection,
            region=region,
            terminals_max=terminals_max,
            lifetime=timedelta(hours=lifetime_hours),
            actor=OPERATOR,
            reason="a new ward",
        )

    def active(self, connection: Connection, device: Device) -> "Held":
        """Register and enroll a device with a key that the test keeps, and use the certificate once."""
        terminal = self.registered(connection, device)
        key = make_private_key()
        nonce = self.bench.registry.challenge(connection, serial_number=device.serial_number).nonce
        request = a_signing_request(nonce=nonce, key=key)
        proof = device.proof(nonce=nonce, signing_request_der=request)
        enrollment = self.enroll_with(connection, proof, request, serial_number=device.serial_number)
        self.use(connection, enrollment)
        return Held(terminal=terminal, key=key, certificate_der=enrollment.certificate_chain_der[0])

    def renew_expired(
        self,
        connection: Connection,
        held: "Held",
        *,
        signing_key: ec.EllipticCurvePrivateKey | None = None,
        context: bytes = GRACE_CONTEXT,
    ) -> Enrollment:
        """Ask for a successor of a certificate that has lapsed."""
        nonce = self.bench.registry.challenge(connection, serial_number=held.terminal.serial_number).nonce
        request = a_signing_request(nonce=nonce)
        content = to_be_signed(context=context, nonce=nonce, signing_request_der=request)
        attempt = self.grace.attempt(
            connection, certificate_der=held.certificate_der, request=signing_request_from_der(request)
        )
        holder = prove_holder(attempt, (signing_key or held.key).sign(content, ec.ECDSA(hashes.SHA256())))
        return self.grace.renew(connection, holder=holder, request_id="request-2")

    def use(self, connection: Connection, enrollment: Enrollment) -> None:
        """Call with a certificate for the first time."""
        self.bench.registry.first_use(connection, fingerprint=fingerprint(enrollment), request_id="")


@dataclass(frozen=True, kw_only=True)
class Held:
    """A terminal and the identity in its hands."""

    terminal: Terminal
    key: ec.EllipticCurvePrivateKey
    certificate_der: bytes

    @property
    def fingerprint(self) -> str:
        """By what the registry knows the certificate."""
        return fingerprint_from_der(self.certificate_der)


def the_doors(folder: Path, *, authority: Authority | None = None, policy: RegistryPolicy = DEFAULT_POLICY) -> Doors:
    """Return a registry with every way into it."""
    bench = a_registry(folder, authority=authority, policy=policy)
    now, announce = bench.clock.now, bench.announcements.announce
    changes = Changes(audit=bench.audit, announce=announce)
    issuance = Issuance(authority=bench.authority, policy=policy)
    tickets = Tickets(now=now, changes=changes, revocations=bench.revocations)
    factory = FactoryEnrollments(
        now=now,
        makers=bench.makers,
        tickets=tickets,
        registry=bench.registry,
        issuance=issuance,
        changes=changes,
        revocations=Revocations(now=now, announce=announce),
    )
    grace = GraceRenewals(now=now, policy=policy, issuance=issuance, changes=changes)
    return Doors(bench=bench, tickets=tickets, factory=factory, grace=grace)


def fingerprint(enrollment: Enrollment) -> str:
    """Return by what the registry knows the certificate."""
    return fingerprint_from_der(enrollment.certificate_chain_der[0])


def state(connection: Connection, doors: Doors, terminal_id: str) -> TerminalState:
    """Return where a terminal stands."""
    return doors.bench.registry.terminal(connection, terminal_id).state


def actions(connection: Connection, subject: str) -> list[str]:
    """Return what the audit log says was done to a terminal."""
    written = select(audit_log.c.action).where(audit_log.c.subject == subject).order_by(audit_log.c.entry_id)
    return list(connection.scalars(written))
