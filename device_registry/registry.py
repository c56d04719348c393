"""Everything one can ask of the registry, each thing one method; each method is a story of steps.

All of it runs on the caller's connection and in the caller's transaction: checks come first, writing comes last, and
the caller commits or rolls back. Every change of a terminal's state goes through `lifecycle.py`, is written to the
audit log with actor and reason, and announced, so that whoever keeps standings in memory looks again.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

import uuid_utils
from sqlalchemy import Connection

from device_registry import census, commands, health, lifecycle, store
from device_registry.attestation import TokenProof
from device_registry.audit import AuditLog
from device_registry.authority import Authority
from device_registry.census import Census
from device_registry.changes import TOPIC_COMMAND, Announce, Changes, terminal_actor
from device_registry.enrollment import Enrollments
from device_registry.errors import (
    FieldInvalidError,
    IllegalTransitionError,
    SerialNumberTakenError,
    SiteUnknownError,
    TerminalUnknownError,
)
from device_registry.issuance import Issuance
from device_registry.model import (
    CertificateRecord,
    CertificateStatus,
    Command,
    CommandAction,
    CommandOutcome,
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
    TerminalFilter,
    TerminalState,
    Vitals,
)
from device_registry.renewal import Renewals

_SERIAL_NUMBER = re.compile(r"[A-Za-z0-9._-]{1,64}")  # enrollment.proto
_TEXT_LENGTH_MAX = 128
_REGION_LENGTH_MAX = 32
_NO_PARAMETERS: Mapping[str, str | int] = MappingProxyType({})


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
    ) -> None:
        self._now = now
        self._policy = policy
        self._changes = Changes(audit=audit, announce=announce)
        issuance = Issuance(authority=authority, policy=policy)
        self._enrollments = Enrollments(now=now, policy=policy, issuance=issuance, changes=self._changes)
        self._renewals = Renewals(now=now, policy=policy, issuance=issuance, changes=self._changes)

    # Sites and terminals ---------------------------------------------------------------------------

    def add_site(self, connection: Connection, *, name: str, region: str, kind: SiteKind, actor: str) -> Site:
        """Add a designated institution."""
        _refuse_text(_TEXT_LENGTH_MAX, name=name)
        _refuse_text(_REGION_LENGTH_MAX, region=region)
        site = Site(site_id=str(uuid_utils.uuid7()), name=name, region=region, kind=kind, added_at=self._now())
        store.add_site(connection, site)
        self._changes.note(connection, actor=actor, action="site.added", subject=site.site_id)
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
    ) -> Terminal:
        """Register a terminal. A revoked one with the same serial number is retired: this is its way back."""
        if not _SERIAL_NUMBER.fullmatch(serial_number):
            raise FieldInvalidError(field="serial_number", detail="1 to 64 of A-Z a-z 0-9 . _ -")
        _refuse_text(
            _TEXT_LENGTH_MAX,
            manufacturer=manufacturer,
            model=model,
            certification_number=certification_number,
            record_number=record_number,
        )
        site = self.site(connection, site_id)
        self._make_room_for(connection, serial_number, actor)
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
            details={"serial_number": serial_number, "site_id": site_id},
        )
        return terminal

    def terminal(self, connection: Connection, terminal_id: str) -> Terminal:
        """Return a terminal."""
        terminal = store.find_terminal(connection, terminal_id)
        if terminal is None:
            raise TerminalUnknownError(terminal_id=terminal_id)
        return terminal

    def terminals(self, connection: Connection, where: TerminalFilter) -> list[Terminal]:
        """Return the terminals a filter asks for."""
        return store.list_terminals(connection, where)

    def certificates(self, connection: Connection, terminal_id: str) -> list[CertificateRecord]:
        """Return all certificates a terminal ever had, oldest first."""
        return store.list_certificates(connection, terminal_id)

    # Operators' decisions --------------------------------------------------------------------------

    def suspend(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Keep a terminal out until it is resumed; its certificate stays."""
        return self._decide(
            connection, terminal_id, TerminalState.SUSPENDED, reason=reason, actor=actor, request_id=request_id
        )

    def resume(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Let a suspended or quarantined terminal in again."""
        terminal = self.terminal(connection, terminal_id)
        if terminal.state is TerminalState.ENROLLED:  # becomes ACTIVE by its first call alone
            raise IllegalTransitionError(terminal_id=terminal_id, state=terminal.state, wanted=TerminalState.ACTIVE)
        return self._decide(
            connection, terminal_id, TerminalState.ACTIVE, reason=reason, actor=actor, request_id=request_id
        )

    def quarantine(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Keep a terminal out on suspicion until someone has looked and resumes it."""
        return self._decide(
            connection, terminal_id, TerminalState.QUARANTINED, reason=reason, actor=actor, request_id=request_id
        )

    def revoke(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Withdraw a terminal's certificates and open tokens for good."""
        terminal = self._decide(
            connection, terminal_id, TerminalState.REVOKED, reason=reason, actor=actor, request_id=request_id
        )
        now = self._now()
        store.close_certificates(connection, terminal_id=terminal_id, status=CertificateStatus.REVOKED, at=now)
        store.close_tokens(connection, terminal_id=terminal_id, at=now)
        return terminal

    def retire(
        self, connection: Connection, *, terminal_id: str, reason: str, actor: str, request_id: str = ""
    ) -> Terminal:
        """Close the file of a revoked terminal; its serial number is free again."""
        return self._decide(
            connection, terminal_id, TerminalState.RETIRED, reason=reason, actor=actor, request_id=request_id
        )

    # Enrollment and renewal ------------------------------------------------------------------------

    def issue_token(self, connection: Connection, *, terminal_id: str, actor: str) -> EnrollmentToken:
        """Make a one-time token for a terminal that has never used a certificate; earlier tokens are void."""
        return self._enrollments.issue_token(connection, terminal=self.terminal(connection, terminal_id), actor=actor)

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

    # Health and commands ---------------------------------------------------------------------------

    def vitals(self, connection: Connection, terminal_id: str) -> Vitals | None:
        """Return how a terminal does, None when there is no such terminal."""
        return health.one(connection, terminal_id, now=self._now(), policy=self._policy)

    def census(self, connection: Connection) -> Census:
        """Return the fleet in numbers."""
        return census.take(connection, now=self._now(), policy=self._policy)

    def connected(
        self, connection: Connection, *, terminal_id: str, firmware_version: str, clock_skew: timedelta
    ) -> None:
        """Note that a control stream was opened."""
        health.connected(
            connection,
            terminal_id=terminal_id,
            firmware_version=firmware_version,
            clock_skew=clock_skew,
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

    def queue_command(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        action: CommandAction,
        parameters: Mapping[str, str | int] = _NO_PARAMETERS,
        actor: str,
    ) -> Command:
        """Give a terminal something to do; it waits until the terminal is there, or its time is over."""
        terminal = self.terminal(connection, terminal_id)
        lifecycle.refuse_out_of_service(terminal)
        command = commands.queue(
            connection,
            terminal_id=terminal_id,
            action=action,
            parameters=parameters,
            actor=actor,
            now=self._now(),
            policy=self._policy,
        )
        self._changes.note(
            connection,
            actor=actor,
            action="command.queued",
            subject=terminal_id,
            details={"command_id": command.command_id, "command": action},
        )
        self._changes.announce(connection, TOPIC_COMMAND, terminal_id)
        return command

    def pending_commands(self, connection: Connection, terminal_id: str) -> list[Command]:
        """Return what a terminal still has to do, oldest first."""
        return commands.pending(connection, terminal_id, now=self._now())

    def commands(self, connection: Connection, terminal_id: str, *, limit: int = 100) -> list[Command]:
        """Return a terminal's last commands, newest first."""
        return commands.history(connection, terminal_id, limit=limit)

    def command_sent(self, connection: Connection, command_id: str) -> None:
        """Note that a command was put on a stream."""
        commands.sent(connection, command_id, now=self._now())

    def command_answered(
        self, connection: Connection, *, terminal_id: str, command_id: str, outcome: CommandOutcome, detail: str
    ) -> None:
        """Note a terminal's answer; a repeated answer changes nothing."""
        answered = commands.answered(
            connection, terminal_id=terminal_id, command_id=command_id, outcome=outcome, detail=detail, now=self._now()
        )
        if answered is None:
            return
        self._changes.note(
            connection,
            actor=terminal_actor(terminal_id),
            action="command.answered",
            subject=terminal_id,
            details={"command_id": command_id, "outcome": outcome},
        )

    # Steps -----------------------------------------------------------------------------------------

    def _decide(
        self,
        connection: Connection,
        terminal_id: str,
        target: TerminalState,
        *,
        reason: str,
        actor: str,
        request_id: str,
    ) -> Terminal:
        """Move a terminal on somebody's word and return it as it is then."""
        terminal = self.terminal(connection, terminal_id)
        change = lifecycle.transition(terminal, target, reason=reason, actor=actor, at=self._now())
        self._changes.move(connection, change, request_id=request_id)
        return self.terminal(connection, terminal_id)

    def _make_room_for(self, connection: Connection, serial_number: str, actor: str) -> None:
        """Retire the revoked terminal that has the serial number; one still in service keeps it."""
        former = store.find_in_service(connection, serial_number)
        if former is None:
            return
        if former.state is not TerminalState.REVOKED:
            raise SerialNumberTakenError(serial_number=serial_number, terminal_id=former.terminal_id)
        self.retire(connection, terminal_id=former.terminal_id, reason="registered anew", actor=actor)


def _refuse_text(length_max: int, **fields: str) -> None:
    for field, value in fields.items():
        if not 0 < len(value.strip()) <= length_max or not value.isprintable():
            raise FieldInvalidError(field=field, detail=f"1 to {length_max} printable characters")
