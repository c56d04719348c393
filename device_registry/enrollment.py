"""How a terminal gets its first certificate: the operator's token, the platform's nonce, and the order of checks."""

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from device_registry import lifecycle, store
from device_registry.attestation import Proof, token_sha256
from device_registry.certificates import signing_request_from_der
from device_registry.changes import Changes, terminal_actor
from device_registry.errors import IllegalTransitionError, NonceRefusedError, TooManyChallengesError
from device_registry.issuance import Issuance
from device_registry.model import (
    CertificateStatus,
    Enrollment,
    EnrollmentChallenge,
    EnrollmentToken,
    RegistryPolicy,
    Terminal,
    TerminalState,
)

_NONCE_BYTES = 32  # enrollment.proto
_NONCE_HEX = re.compile(r"[0-9a-f]{64}")
_TOKEN_BYTES = 32
_RETRY_AFTER_MIN = timedelta(seconds=1)


class Enrollments:
    """Hands out tokens and nonces, and exchanges them for a certificate."""

    def __init__(
        self, *, now: Callable[[], datetime], policy: RegistryPolicy, issuance: Issuance, changes: Changes
    ) -> None:
        self._now = now
        self._policy = policy
        self._issuance = issuance
        self._changes = changes

    def issue_token(self, connection: Connection, *, terminal: Terminal, actor: str) -> EnrollmentToken:
        """Make a one-time token; the terminal's earlier ones are void from now on."""
        if not lifecycle.is_legal(terminal.state, TerminalState.ENROLLED):
            raise IllegalTransitionError(
                terminal_id=terminal.terminal_id, state=terminal.state, wanted=TerminalState.ENROLLED
            )
        now = self._now()
        token = EnrollmentToken(
            token=secrets.token_urlsafe(_TOKEN_BYTES),
            terminal_id=terminal.terminal_id,
            serial_number=terminal.serial_number,
            site_id=terminal.site_id,
            expires_at=now + self._policy.token_lifetime,
        )
        store.close_tokens(connection, terminal_id=terminal.terminal_id, at=now)
        store.add_token(connection, token, token_sha256=token_sha256(token.token), issued_at=now)
        self._changes.note(connection, actor=actor, action="token.issued", subject=terminal.terminal_id)
        return token

    def challenge(self, connection: Connection, *, serial_number: str) -> EnrollmentChallenge:
        """Make a nonce for a serial number, known or not: the answer must not tell which."""
        now = self._now()
        store.drop_lapsed_nonces(connection, at=now)
        count, earliest = store.open_nonces(connection)
        if earliest is not None and count >= self._policy.nonces_open_max:
            raise TooManyChallengesError(retry_after=max(earliest - now, _RETRY_AFTER_MIN))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        expires_at = now + self._policy.nonce_lifetime
        store.add_nonce(
            connection, nonce_sha256=_nonce_sha256(nonce), serial_number=serial_number, expires_at=expires_at
        )
        return EnrollmentChallenge(nonce=nonce, expires_at=expires_at)

    def enroll(
        self,
        connection: Connection,
        *,
        serial_number: str,
        proof: Proof,
        signing_request_der: bytes,
        request_id: str,
    ) -> Enrollment:
        """Exchange a proof and a signing request for a certificate; what can fail comes before what uses up."""
        now = self._now()
        terminal = proof.terminal(connection, serial_number=serial_number, now=now)
        terminal_id = terminal.terminal_id
        change = lifecycle.transition(
            terminal,
            TerminalState.ENROLLED,
            reason=f"enrolled by {proof.kind}",
            actor=terminal_actor(terminal_id),
            at=now,
        )
        request = signing_request_from_der(signing_request_der)
        self._issuance.check(connection, terminal_id=terminal_id, request=request, now=now)
        _spend_nonce(connection, serial_number=serial_number, challenge=request.challenge, now=now)
        proof.spend(connection, serial_number=serial_number, now=now)
        # Only a terminal whose first answer was lost has one here; nobody may turn up with it later.
        store.close_certificates(connection, terminal_id=terminal_id, status=CertificateStatus.REVOKED, at=now)
        fingerprint, answer = self._issuance.issue(connection, terminal_id=terminal_id, request=request, now=now)
        self._changes.move(connection, change, request_id=request_id, details={"fingerprint": fingerprint})
        return answer


def _spend_nonce(connection: Connection, *, serial_number: str, challenge: str | None, now: datetime) -> None:
    """Use up the nonce that a signing request carries in its challengePassword, lower-case hex."""
    if challenge is None or not _NONCE_HEX.fullmatch(challenge):
        raise NonceRefusedError(serial_number=serial_number)
    nonce_sha256 = _nonce_sha256(bytes.fromhex(challenge))
    if not store.spend_nonce(connection, nonce_sha256=nonce_sha256, serial_number=serial_number, at=now):
        raise NonceRefusedError(serial_number=serial_number)


def _nonce_sha256(nonce: bytes) -> str:
    return hashlib.sha256(nonce).hexdigest()
