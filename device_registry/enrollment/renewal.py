"""How a certificate follows another: a new key every time, the old one closed when the new one is used."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from device_registry import lifecycle, store
from device_registry.authority.certificates import signing_request_from_der
from device_registry.changes import TOPIC_TERMINAL, Changes, terminal_actor
from device_registry.enrollment.issuance import Issuance
from device_registry.errors import CertificateForeignError, CertificateUnknownError, TerminalUnknownError
from device_registry.model import CertificateStatus, Enrollment, RegistryPolicy, Standing, TerminalState
from device_registry.revocation.standings import admit, find_standing


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
        # A successor that was never used makes way: its answer was lost, or this is a second try.
        store.close_certificates(
            connection, terminal_id=terminal_id, status=CertificateStatus.RETIRED, at=now, spared=fingerprint
        )
        store.supersede_certificate(
            connection,
            fingerprint=fingerprint,
            at=now,
            good_until=min(standing.not_after, now + self._policy.renewal_grace),
        )
        successor, answer = self._issuance.issue(connection, terminal_id=terminal_id, request=request, now=now)
        self._changes.note(
            connection,
            actor=terminal_actor(terminal_id),
            action="certificate.renewed",
            subject=terminal_id,
            request_id=request_id,
            details={"fingerprint": successor, "predecessor": fingerprint},
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
        terminal = store.find_terminal(connection, terminal_id)
        if terminal is None:
            raise TerminalUnknownError(terminal_id=terminal_id)
        change = lifecycle.transition(
            terminal,
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
    standing = find_standing(connection, fingerprint)
    if standing is None:
        raise CertificateUnknownError(fingerprint=fingerprint)
    admit(standing, now)
    return standing
