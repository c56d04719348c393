"""Everything one can ask of the registry, each thing one method; each method is a story of steps.

All of it runs on the caller's connection and in the caller's transaction: checks come first, writing comes last, and
the caller commits or rolls back. Every change of a terminal's state goes through `lifecycle.py`, is written to the
audit log with actor and reason, and announced, so that whoever keeps standings in memory looks again.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import uuid_utils
from sqlalchemy import Connection

from device_registry import health, store
from device_registry.audit.log import AuditLog
from device_registry.authority.authority import Authority
from device_registry.changes import Announce, Changes
from device_registry.decisions import Decisions
from device_registry.enrollment.attestation import TokenProof
from device_registry.enrollment.enrollment import Enrollments
from device_registry.enrollment.issuance import Issuance
from device_registry.enrollment.renewal import Renewals
from device_registry.errors import (
    FieldInvalidError,
    SiteUnknownError,
)
from device_registry.fleet import census
from device_registry.fleet.census import Census
from device_registry.fleet.places import Position
from device_registry.model import (
    CertificateRecord,
    Enrollment,
    EnrollmentChallenge,
    EnrollmentToken,
    HeartbeatReport,
    ReceivedHeartbeat,
    RegistryPolicy,
    Site,
    SiteKind,
    Terminal,
    TerminalClass,
    TerminalState,
    Vitals,
)
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationReason
from device_registry.wording import refuse_text

_SERIAL_NUMBER = re.compile(r"[A-Za-z0-9._-]{1,64}")  # enrollment.proto
_TEXT_LENGTH_MAX = 128
_REGION_LENGTH_MAX = 32


class Registry:
    """The terminals, their certificates and their health."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        authority: Authority,
        audit: AuditLog,
        announce: Announce,
        policy: RegistryPolicy,
        revocations: Revocations | None = None,
    ) -> None:
        self._now = now
        self._policy = policy
        self._changes = Changes(audit=audit, announce=announce)
        issuance = Issuance(authority=authority, policy=policy)
        revocations = revocations or Revocations(now=now, announce=announce)
        self._decisions = Decisions(now=now, changes=self._changes, revocations=revocations)
        self._enrollments = Enrollments(
            now=now, policy=policy, issuance=issuance, changes=self._changes, revocations=revocations
        )
        self._renewals = Renewals(now=now, policy=policy, issuance=issuance, changes=self._changes)

    # Sites and terminals ---------------------------------------------------------------------------

    def add_site(
        self, connection: Connection, *, name: str, region: str, kind: SiteKind, actor: str, request_id: str = ""
    ) -> Site:
        """Add a designated institution."""
        refuse_text(_TEXT_LENGTH_MAX, name=name)
        refuse_text(_REGION_LENGTH_MAX, region=region)
        site = Site(site_id=str(uuid_utils.uuid7()), name=name, region=region, kind=kind, added_at=self._now())
        store.add_site(connection, site)
        self._changes.note(connection, actor=actor, action="site.added", subject=site.site_id, request_id=request_id)
        return site

    def sites(self, connection: Connection) -> list[Site]:
        """Return every site."""
        return store.all_sites(connection)

    def site(self, connection: Connection, site_id: str) -> Site:
        """Return a site."""
        site = store.find_site(connection, site_id)
        if site is None:
            raise SiteUnknownError(site_id=site_id)
        return site

    def register(
        self,
        connection: Connection,
        *,
        serial_number: str,
        manufacturer: str,
        model: str,
        terminal_class: TerminalClass,
        site_id: str,
        certification_number: str,
        record_number: str,
        actor: str,
        request_id: str = "",
    ) -> Terminal:
        """Register a terminal. A revoked one with the same serial number is retired: this is its way back."""
        if not _SERIAL_NUMBER.fullmatch(serial_number):
            raise FieldInvalidError(field="serial_number", detail="1 to 64 of A-Z a-z 0-9 . _ -")
        refuse_text(
            _TEXT_LENGTH_MAX,
            manufacturer=manufacturer,
            model=model,
            certification_number=certification_number,
            record_number=record_number,
        )
        site = self.site(connection, site_id)
        self._decisions.make_room_for(connection, serial_number, actor=actor, request_id=request_id)
        now = self._now()
        terminal = Terminal(
            terminal_id=str(uuid_utils.uuid7()),
            serial_number=serial_number,
            manufacturer=manufacturer,
            model=model,
            terminal_class=terminal_class,
            site_id=site_id,
            region=site.region,
            certification_number=certification_number,
            record_number=record_number,
            state=TerminalState.REGISTERED,
            state_reason="registered",
            state_since=now,
            registered_at=now,
        )
        store.add_terminal(connection, terminal)
        health.begin(connection, terminal.terminal_id)
        self._changes.note(
            connection,
            actor=actor,
            action="terminal.registered",
            subject=terminal.terminal_id,
            request_id=request_id,
            details={"serial_number": serial_number, "site_id": site_id},
        )
        return terminal

    def terminal(self, connection: Connection, terminal_id: str) -> Terminal:
        """Return a terminal."""
        return store.the_terminal(connection, terminal_id)

    def certificates(self, connection: Connection, terminal_id: str) -> list[CertificateRecord]:
        """Return all certificates a terminal ever had, oldest first."""
        return store.list_certificates(connection, terminal_id)

    # Operators' decisions --------------------------------------------------------------------------

    def suspend(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Keep a terminal out until it is resumed; its certificate stays."""
        return self._decisions.move(
            connection, terminal_id, TerminalState.SUSPENDED, reason=reason, actor=actor, request_id=request_id
        )

    def resume(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Let a suspended or quarantined terminal in again."""
        return self._decisions.resume(connection, terminal_id, reason=reason, actor=actor, request_id=request_id)

    def quarantine(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Keep a terminal out on suspicion until someone has looked and resumes it."""
        return self._decisions.move(
            connection, terminal_id, TerminalState.QUARANTINED, reason=reason, actor=actor, request_id=request_id
        )

    def evict(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        reason: str,
        actor: str,
        request_id: str = "",
        code: RevocationReason = RevocationReason.SUPERSEDED,
    ) -> Terminal:
        """End a terminal's certificates and open tokens; it must enroll again."""
        return self._decisions.move(
            connection,
            terminal_id,
            TerminalState.REGISTERED,
            reason=reason,
            actor=actor,
            request_id=request_id,
            code=code,
        )

    def revoke(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        reason: str,
        actor: str,
        request_id: str = "",
        code: RevocationReason = RevocationReason.PRIVILEGE_WITHDRAWN,
    ) -> Terminal:
        """Withdraw a terminal's certificates and open tokens for good."""
        return self._decisions.move(
            connection, terminal_id, TerminalState.REVOKED, reason=reason, actor=actor, request_id=request_id, code=code
        )

    def ban(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        reason: str,
        actor: str,
        request_id: str = "",
        code: RevocationReason = RevocationReason.KEY_COMPROMISE,
    ) -> Terminal:
        """Refuse a device, by serial number and factory key, under any registration."""
        return self._decisions.move(
            connection, terminal_id, TerminalState.BANNED, reason=reason, actor=actor, request_id=request_id, code=code
        )

    def unban(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Lift a ban: the terminal is retired, and its device may be registered anew."""
        return self._decisions.unban(connection, terminal_id, reason=reason, actor=actor, request_id=request_id)

    def retire(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Close the file of a revoked terminal; its serial number is free again."""
        return self._decisions.retire(connection, terminal_id, reason=reason, actor=actor, request_id=request_id)

    # Enrollment and renewal ------------------------------------------------------------------------

    def issue_token(
        self, connection: Connection, *, terminal_id: str, actor: str, request_id: str = ""
    ) -> EnrollmentToken:
        """Make a one-time token for a terminal that has never used a certificate; earlier tokens are void."""
        terminal = self.terminal(connection, terminal_id)
        return self._enrollments.issue_token(connection, terminal=terminal, actor=actor, request_id=request_id)

    def challenge(self, connection: Connection, *, serial_number: str) -> EnrollmentChallenge:
        """Make a nonce that the next enrollment under this serial number must carry."""
        return self._enrollments.challenge(connection, serial_number=serial_number)

    def enroll(
        self, connection: Connection, *, serial_number: str, token: str, signing_request_der: bytes, request_id: str
    ) -> Enrollment:
        """Exchange a token and a signing request for the first certificate; a failure leaves the token good."""
        return self._enrollments.enroll(
            connection,
            serial_number=serial_number,
            proof=TokenProof(token=token),
            signing_request_der=signing_request_der,
            request_id=request_id,
        )

    def renew(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        fingerprint: str,
        signing_request_der: bytes,
        request_id: str,
    ) -> Enrollment:
        """Give a terminal a certificate for a new key; the one it called with stays good until the new one is used."""
        return self._renewals.renew(
            connection,
            terminal_id=terminal_id,
            fingerprint=fingerprint,
            signing_request_der=signing_request_der,
            request_id=request_id,
        )

    def first_use(self, connection: Connection, *, fingerprint: str, request_id: str) -> None:
        """Note that a certificate was used: its predecessor is retired, and an ENROLLED terminal becomes ACTIVE."""
        self._renewals.first_use(connection, fingerprint=fingerprint, request_id=request_id)

    # Health ----------------------------------------------------------------------------------------

    def vitals(self, connection: Connection, terminal_id: str) -> Vitals | None:
        """Return how a terminal does, None when there is no such terminal."""
        return health.one(connection, terminal_id, now=self._now(), policy=self._policy)

    def census(self, connection: Connection) -> Census:
        """Return the fleet in numbers."""
        return census.take(connection, now=self._now(), policy=self._policy)

    def connected(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        firmware_version: str,
        clock_skew: timedelta,
        origin: str = "",
        position: Position | None = None,
    ) -> None:
        """Note that a control stream was opened, and from where."""
        health.connected(
            connection,
            terminal_id=terminal_id,
            firmware_version=firmware_version,
            clock_skew=clock_skew,
            origin=origin,
            position=position,
            now=self._now(),
            policy=self._policy,
        )

    def disconnected(self, connection: Connection, *, terminal_id: str) -> None:
        """Note that a terminal's last control stream has ended; not to be called for one that was superseded."""
        health.disconnected(connection, terminal_id=terminal_id)

    def heartbeat(
        self, connection: Connection, *, terminal_id: str, report: HeartbeatReport, received_at: datetime
    ) -> None:
        """Write one heartbeat."""
        self.heartbeats(
            connection, [ReceivedHeartbeat(terminal_id=terminal_id, report=report, received_at=received_at)]
        )

    def heartbeats(self, connection: Connection, received: Sequence[ReceivedHeartbeat]) -> None:
        """Write many heartbeats at once."""
        health.record(connection, received)
