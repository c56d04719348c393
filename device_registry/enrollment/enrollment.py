"""How a terminal gets its first certificate: the operator's token, the platform's nonce, and the order of checks."""

import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from device_registry import lifecycle, store
from device_registry.authority.certificates import signing_request_from_der
from device_registry.changes import Changes, terminal_actor
from device_registry.enrollment.attestation import Proof, token_sha256
from device_registry.enrollment.issuance import Issuance
from device_registry.errors import IllegalTransitionError, NonceRefusedError, TooManyChallengesError
from device_registry.model import (
    Enrollment,
    EnrollmentChallenge,
    EnrollmentToken,
    RegistryPolicy,
    Terminal,
    TerminalState,
)
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationReason

_NONCE_BYTES = 32  # enrollment.proto
_NONCE_HEX = re.compile(r"[0-9a-f]{64}")
_TOKEN_BYTES = 32
_RETRY_AFTER_MIN = timedelta(seconds=1)


class Enrollments:
    """Hands out tokens and nonces, and exchanges them for a certificate."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        policy: RegistryPolicy,
        issuance: Issuance,
        changes: Changes,
        revocations: Revocations,
    ) -> None:
        self._now = now
        self._policy = policy
        self._issuance = issuance
        self._changes = changes
        self._revocations = revocations

    def issue_token(
        self, connection: Connection, *, terminal: Terminal, actor: str, request_id: str = ""
    ) -> EnrollmentToken:
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
        self._changes.note(
            connection, actor=actor, action="token.issued", subject=terminal.terminal_id, request_id=request_id
        )
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
        self._revocations.refuse_banned(
            connection, serial_number=serial_number, factory_key_sha256=terminal.factory_key_sha256
        )
        change = lifecycle.transition(
            terminal,
            TerminalState.ENROLLED,
            reason=f"enrolled by {proof.kind}",
            actor=terminal_actor(terminal_id),
            at=now,
        )
        request = signing_request_from_der(signing_request_der)
        self._issuance.check(connection, terminal_id=terminal_id, request=request, now=now)
        nonce = open_nonce(connection, serial_number=serial_number, challenge=request.challenge, now=now)
        spend_nonce(connection, serial_number=serial_number, nonce=nonce, now=now)
        proof.spend(connection, serial_number=serial_number, now=now)
        # Only a terminal whose first answer was lost has one here; nobody may turn up with it later.
        self._revocations.close_certificates(
            connection, terminal_id=terminal_id, code=RevocationReason.SUPERSEDED, at=now
        )
        fingerprint, answer = self._issuance.issue(connection, terminal_id=terminal_id, request=request, now=now)
        self._changes.move(connection, change, request_id=request_id, details={"fingerprint": fingerprint})
        return answer


def open_nonce(connection: Connection, *, serial_number: str, challenge: str | None, now: datetime) -> bytes:
    """Return the nonce that a signing request carries in its challengePassword, lower-case hex, if it is good."""
    if challenge is None or not _NONCE_HEX.fullmatch(challenge):
        raise NonceRefusedError(serial_number=serial_number)
    nonce = bytes.fromhex(challenge)
    if not store.nonce_is_open(connection, nonce_sha256=_nonce_sha256(nonce), serial_number=serial_number, at=now):
        raise NonceRefusedError(serial_number=serial_number)
    return nonce


def spend_nonce(connection: Connection, *, serial_number: str, nonce: bytes, now: datetime) -> None:
    """Use a nonce up; of two enrollments in the same moment one gets through."""
    if not store.spend_nonce(connection, nonce_sha256=_nonce_sha256(nonce), serial_number=serial_number, at=now):
        raise NonceRefusedError(serial_number=serial_number)


def use_up_nonce(connection: Connection, *, serial_number: str, nonce: bytes, now: datetime) -> None:
    """Use up the nonce of a proof that was refused, in a transaction of its own; it may be gone already.

    The next try then costs a new challenge, of which an address gets only so many.
    """
    store.spend_nonce(connection, nonce_sha256=_nonce_sha256(nonce), serial_number=serial_number, at=now)


def _nonce_sha256(nonce: bytes) -> str:
    return hashlib.sha256(nonce).hexdigest()
