"""How does a terminal enroll with the identity its factory gave it? And with a technician's ticket, when unregistered.

The factory key signs the platform's nonce and the signing request. What is proven that way is that the device is the
one its maker gave this serial number; first use pins the key, so that a second device can never take its place.
A refusal that means somebody cheats is a `SuspiciousEnrollmentError`: it rolls its own transaction back, so whoever
calls writes the finding in a second one.

It takes three steps, because strangers may ask and proofs are dear to check: `attempt` reads, `prove` computes and
touches no database, `enroll` writes. Only who proved a genuine identity gets as far as the one writer.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, bindparam, update

from device_registry import lifecycle, store
from device_registry.authority.certificates import SigningRequest
from device_registry.changes import TOPIC_TERMINAL, Changes, terminal_actor
from device_registry.enrollment.chains import ChainRefusedError, FactoryIdentity, Fault, RecordedRoot, factory_identity
from device_registry.enrollment.enrollment import open_nonce, spend_nonce
from device_registry.enrollment.issuance import Issuance
from device_registry.enrollment.roots import FactoryRoots
from device_registry.enrollment.tickets import Tickets
from device_registry.errors import (
    CertificationLapsedError,
    ClassAboveModelError,
    CloneSuspectedError,
    DuplicateSerialError,
    FactoryKeyUnpinnedError,
    FactoryProofRefusedError,
    KeyReusedError,
    ManufacturerMismatchError,
    SharedFactoryKeyError,
    TerminalUnregisteredError,
)
from device_registry.makers.approvals import DeviceModel, Manufacturer
from device_registry.makers.makers import Makers
from device_registry.model import OPEN_STATUSES, CertificateStatus, Enrollment, Terminal, TerminalState
from device_registry.registry import Registry
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationReason
from device_registry.revocation.standings import refuse_state
from device_registry.tables import terminals

FACTORY_CONTEXT = b"shualian-factory-enroll-v1\0"
"""What the factory key signs begins with this, so that no signature made for something else passes."""
RECORD_NUMBER_PENDING = "PENDING"
_PIN = (
    update(terminals)
    .where(terminals.c.terminal_id == bindparam("which"), terminals.c.factory_key_sha256.is_(None))
    .values(factory_key_sha256=bindparam("key"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryProof:
    """What a terminal brings instead of a token."""

    certificate_chain_der: tuple[bytes, ...]
    """Leaf (IDevID) first."""
    signature: bytes
    """By the factory key over `to_be_signed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryAttempt:
    """A signing request that carries an open nonce, and the roots that its proof is checked against."""

    serial_number: str
    request: SigningRequest
    nonce: bytes = field(repr=False)
    roots: tuple[RecordedRoot, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenDevice:
    """An attempt whose proof holds: the device is the one that a recorded root vouches for."""

    attempt: FactoryAttempt
    identity: FactoryIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallerVisit:
    """A technician before a terminal that nobody registered."""

    ticket: str = field(repr=False)
    site_id: str
    model: str
    """The maker's name of the model."""
    record_number: str = ""
    """Terminal record number (终端备案号) where there is one already."""


def to_be_signed(*, context: bytes, nonce: bytes, signing_request_der: bytes) -> bytes:
    """Return what a key outside of the signing request signs: context, nonce, SHA-256 of the request."""
    return context + nonce + hashlib.sha256(signing_request_der).digest()


class FactoryEnrollments:
    """Exchanges a factory proof for a certificate: the first one, or one after all of them have lapsed."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        makers: Makers,
        tickets: Tickets,
        registry: Registry,
        issuance: Issuance,
        changes: Changes,
        revocations: Revocations,
    ) -> None:
        self._now = now
        self._makers = makers
        self._tickets = tickets
        self._registry = registry
        self._issuance = issuance
        self._changes = changes
        self._revocations = revocations
        self._roots = FactoryRoots()

    def attempt(self, connection: Connection, *, serial_number: str, request: SigningRequest) -> FactoryAttempt:
        """Read what a proof is checked against.

        Raises:
            NonceRefusedError: the signing request carries no open nonce of this serial number.
        """
        nonce = open_nonce(connection, serial_number=serial_number, challenge=request.challenge, now=self._now())
        return FactoryAttempt(
            serial_number=serial_number, request=request, nonce=nonce, roots=self._roots.all(connection)
        )

    def prove(self, attempt: FactoryAttempt, proof: FactoryProof) -> ProvenDevice:
        """Check chain, serial number and signature; takes milliseconds and no database.

        Raises:
            FactoryProofRefusedError: with what does not hold; the nonce is to be used up, see `use_up_nonce`.
        """
        content = to_be_signed(context=FACTORY_CONTEXT, nonce=attempt.nonce, signing_request_der=attempt.request.der)
        try:
            identity = factory_identity(proof.certificate_chain_der, roots=attempt.roots, now=self._now())
            _refuse_other_serial(identity, attempt.serial_number)
            identity.verify(proof.signature, content)
        except ChainRefusedError as error:
            raise FactoryProofRefusedError(
                serial_number=attempt.serial_number, fault=error.fault, detail=error.detail
            ) from error
        return ProvenDevice(attempt=attempt, identity=identity)

    def enroll(
        self,
        connection: Connection,
        *,
        device: ProvenDevice,
        visit: InstallerVisit | None = None,
        request_id: str,
    ) -> Enrollment:
        """Check everything that may have changed since, then pin the factory key and give a certificate.

        A ticket is looked at only where nobody registered the serial number.

        Raises:
            SuspiciousEnrollmentError: refused, and worth a finding.
            EnrollmentRefusedError: refused; the subclass says why.
        """
        now, identity, request = self._now(), device.identity, device.attempt.request
        serial_number = device.attempt.serial_number
        nonce = open_nonce(connection, serial_number=serial_number, challenge=request.challenge, now=now)
        maker = self._makers.manufacturer_of_root(connection, identity.root_fingerprint)
        self._revocations.refuse_banned(
            connection, serial_number=serial_number, factory_key_sha256=identity.public_key_sha256
        )
        terminal = store.find_in_service(connection, serial_number)
        # Before anything that leaves a finding: a maker's word counts for its own terminals and for no other's.
        if terminal is not None and terminal.manufacturer != maker.name:
            raise ManufacturerMismatchError(serial_number=serial_number)
        self._refuse_stranger(connection, terminal, identity)
        if terminal is None:
            terminal = self._registered(
                connection, maker=maker, serial_number=serial_number, visit=visit, request_id=request_id
            )
        if terminal.state is not TerminalState.REGISTERED:
            refuse_state(terminal.state, terminal_id=terminal.terminal_id)
        model = self._makers.model_named(connection, manufacturer=maker.name, model=terminal.model)
        _refuse_model(model, terminal, now)
        if terminal.state is TerminalState.ACTIVE:
            self._refuse_clone(connection, terminal, now)
        if request.public_key_sha256 == identity.public_key_sha256:  # not pinned yet, so the check does not know it
            raise KeyReusedError(terminal_id=terminal.terminal_id, holder_id=terminal.terminal_id)
        self._issuance.check(connection, terminal_id=terminal.terminal_id, request=request, now=now)
        spend_nonce(connection, serial_number=serial_number, nonce=nonce, now=now)
        connection.execute(_PIN, {"which": terminal.terminal_id, "key": identity.public_key_sha256})
        return self._given(connection, terminal, request, now, request_id)

    # Checks ----------------------------------------------------------------------------------------

    def _refuse_stranger(self, connection: Connection, terminal: Terminal | None, identity: FactoryIdentity) -> None:
        """Raise when serial number and factory key do not belong together, by what was pinned."""
        key = identity.public_key_sha256
        if terminal is not None and terminal.factory_key_sha256 not in {None, key}:
            raise DuplicateSerialError(
                serial_number=identity.serial_number,
                terminal_id=terminal.terminal_id,
                detail=f"pinned {terminal.factory_key_sha256}, offered {key}",
            )
        holder = store.factory_key_holder(connection, key)
        if holder is not None and (terminal is None or holder != terminal.terminal_id):
            raise SharedFactoryKeyError(
                serial_number=identity.serial_number,
                terminal_id=holder,
                detail=f"key {key} offered under serial number {identity.serial_number}",
            )

    def _refuse_clone(self, connection: Connection, terminal: Terminal, now: datetime) -> None:
        """Raise unless every certificate that an active terminal ever used is over, and its factory key is known to us.

        One that was never used does not count: the answer that carried it was lost, and asking again is right.
        """
        for certificate in store.list_certificates(connection, terminal.terminal_id):
            is_in_use = certificate.status in OPEN_STATUSES and certificate.first_used_at is not None
            if is_in_use and now < certificate.good_until:
                raise CloneSuspectedError(
                    serial_number=terminal.serial_number,
                    terminal_id=terminal.terminal_id,
                    detail=f"certificate {certificate.fingerprint} is good until {certificate.good_until}",
                )
        if terminal.factory_key_sha256 is None:
            raise FactoryKeyUnpinnedError(serial_number=terminal.serial_number)

    # Steps -----------------------------------------------------------------------------------------

    def _registered(
        self,
        connection: Connection,
        *,
        maker: Manufacturer,
        serial_number: str,
        visit: InstallerVisit | None,
        request_id: str,
    ) -> Terminal:
        """Register a terminal on the strength of a ticket, which then has one place less."""
        if visit is None:
            raise TerminalUnregisteredError(serial_number=serial_number)
        # The ticket first: who has none learns nothing of our sites and models.
        ticket = self._tickets.good(connection, ticket=visit.ticket, serial_number=serial_number)
        site = self._registry.site(connection, visit.site_id)
        self._tickets.take(connection, ticket, region=site.region, serial_number=serial_number)
        model = self._makers.model_named(connection, manufacturer=maker.name, model=visit.model)
        terminal = self._registry.register(
            connection,
            serial_number=serial_number,
            manufacturer=maker.name,
            model=model.name,
            terminal_class=model.terminal_class,
            site_id=site.site_id,
            certification_number=model.certification_number,
            record_number=visit.record_number or RECORD_NUMBER_PENDING,
            actor=f"ticket:{ticket.ticket_id}",
        )
        self._changes.note(
            connection,
            actor=f"ticket:{ticket.ticket_id}",
            action="ticket.taken",
            subject=terminal.terminal_id,
            request_id=request_id,
            details={"serial_number": serial_number, "site_id": site.site_id},
        )
        return terminal

    def _given(
        self, connection: Connection, terminal: Terminal, request: SigningRequest, now: datetime, request_id: str
    ) -> Enrollment:
        """Give the certificate: a first one moves the terminal, one through the second door leaves it where it is."""
        terminal_id = terminal.terminal_id
        is_first = terminal.state is not TerminalState.ACTIVE
        if is_first:  # one that was never used: its answer was lost, and nobody may turn up with it later
            self._revocations.close_certificates(
                connection, terminal_id=terminal_id, code=RevocationReason.SUPERSEDED, at=now
            )
        else:
            store.close_certificates(connection, terminal_id=terminal_id, status=CertificateStatus.RETIRED, at=now)
        store.close_tokens(connection, terminal_id=terminal_id, at=now)
        fingerprint, answer = self._issuance.issue(connection, terminal_id=terminal_id, request=request, now=now)
        actor = terminal_actor(terminal_id)
        if is_first:
            change = lifecycle.transition(
                terminal, TerminalState.ENROLLED, reason="enrolled by factory identity", actor=actor, at=now
            )
            self._changes.move(connection, change, request_id=request_id, details={"fingerprint": fingerprint})
            return answer
        self._changes.note(
            connection,
            actor=actor,
            action="certificate.reissued_by_factory_key",
            subject=terminal_id,
            request_id=request_id,
            details={"fingerprint": fingerprint},
        )
        self._changes.announce(connection, TOPIC_TERMINAL, terminal_id)
        return answer


def _refuse_other_serial(identity: FactoryIdentity, serial_number: str) -> None:
    if identity.serial_number != serial_number:
        raise ChainRefusedError(fault=Fault.SERIAL_NUMBER, detail="the certificate names another one")


def _refuse_model(model: DeviceModel, terminal: Terminal, now: datetime) -> None:
    if model.certification_has_lapsed(now):
        raise CertificationLapsedError(model=model.name, expired_on=model.certification_expires_on)
    if not model.terminal_class.covers(terminal.terminal_class):
        raise ClassAboveModelError(terminal_class=terminal.terminal_class, model_class=model.terminal_class)
