"""How a certificate follows another: a new key every time, the old one closed when the new one is used."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection

from device_registry import lifecycle, store
from device_registry.authority.certificates import SigningRequest, signing_request_from_der
from device_registry.changes import TOPIC_TERMINAL, Changes, terminal_actor
from device_registry.enrollment.issuance import Issuance
from device_registry.errors import CertificateForeignError
from device_registry.model import CertificateStatus, Enrollment, RegistryPolicy, Standing, TerminalState
from device_registry.revocation.standings import admit, standing_of

_NOTHING: Mapping[str, str | int] = MappingProxyType({})


class Renewals:
    """Gives successors, and closes the predecessor when a successor is first used."""

    def __init__(
        self, *, now: Callable[[], datetime], policy: RegistryPolicy, issuance: Issuance, changes: Changes
    ) -> None:
        self._now = now
        self._policy = policy
        self._issuance = issuance
        self._changes = changes

    def renew(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        fingerprint: str,
        signing_request_der: bytes,
        request_id: str,
    ) -> Enrollment:
        """Give a terminal a certificate for a new key, on the strength of the one it calls with."""
        now = self._now()
        standing = _admitted(connection, fingerprint, now)
        if standing.terminal_id != terminal_id:
            raise CertificateForeignError(fingerprint=fingerprint)
        request = signing_request_from_der(signing_request_der)
        self._issuance.check(connection, terminal_id=terminal_id, request=request, now=now)
        return self.succeed(
            connection,
            standing,
            request,
            good_until=min(standing.not_after, now + self._policy.renewal_grace),
            action="certificate.renewed",
            now=now,
            request_id=request_id,
        )

    def succeed(
        self,
        connection: Connection,
        standing: Standing,
        request: SigningRequest,
        *,
        good_until: datetime,
        action: str,
        now: datetime,
        request_id: str,
        details: Mapping[str, str | int] = _NOTHING,
    ) -> Enrollment:
        """Give a successor, after all checks: first use of it closes the certificate that it follows.

        A successor before it that was never used makes way: its answer was lost, or this is a second try.
        """
        terminal_id, fingerprint = standing.terminal_id, standing.fingerprint
        store.close_certificates(
            connection, terminal_id=terminal_id, status=CertificateStatus.RETIRED, at=now, spared=fingerprint
        )
        store.supersede_certificate(connection, fingerprint=fingerprint, at=now, good_until=good_until)
        successor, answer = self._issuance.issue(connection, terminal_id=terminal_id, request=request, now=now)
        self._changes.note(
            connection,
            actor=terminal_actor(terminal_id),
            action=action,
            subject=terminal_id,
            request_id=request_id,
            details={"fingerprint": successor, "predecessor": fingerprint, **details},
        )
        self._changes.announce(connection, TOPIC_TERMINAL, terminal_id)
        return answer

    def first_use(self, connection: Connection, *, fingerprint: str, request_id: str) -> None:
        """Note the first use of a certificate; any later call changes nothing."""
        now = self._now()
        standing = _admitted(connection, fingerprint, now)
        if not standing.first_use_pending:
            return
        terminal_id = standing.terminal_id
        store.mark_first_used(connection, fingerprint=fingerprint, at=now)
        retired = store.close_certificates(
            connection, terminal_id=terminal_id, status=CertificateStatus.RETIRED, at=now, spared=fingerprint
        )
        if standing.state is TerminalState.ENROLLED:
            self._activate(connection, terminal_id, now, request_id)
            return
        self._changes.note(
            connection,
            actor=terminal_actor(terminal_id),
            action="certificate.first_used",
            subject=terminal_id,
            request_id=request_id,
            details={"fingerprint": fingerprint, "predecessors_retired": retired},
        )
        self._changes.announce(connection, TOPIC_TERMINAL, terminal_id)

    def _activate(self, connection: Connection, terminal_id: str, now: datetime, request_id: str) -> None:
        change = lifecycle.transition(
            store.the_terminal(connection, terminal_id),
            TerminalState.ACTIVE,
            reason="first use of its certificate",
            actor=terminal_actor(terminal_id),
            at=now,
        )
        self._changes.move(connection, change, request_id=request_id)


def _admitted(connection: Connection, fingerprint: str, now: datetime) -> Standing:
    """Return the standing when its holder may come in.

    The database is asked again here: memory may be a moment old, and a certificate is for a month.
    """
    standing = standing_of(connection, fingerprint)
    admit(standing, now)
    return standing
