"""How does a terminal that was off for too long come back? With its lapsed certificate's key, once, within a grace.

The TLS layer refuses a lapsed client certificate, so this is asked for at the enrollment port, and the old key proves
itself by a signature instead of a handshake. Everything else about the certificate must still hold.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from device_registry import store
from device_registry.authority.certificates import fingerprint_from_der, p256_key_from, signing_request_from_der
from device_registry.changes import TOPIC_TERMINAL, Changes, terminal_actor
from device_registry.enrollment.enrollment import open_nonce, spend_nonce
from device_registry.enrollment.factory import to_be_signed
from device_registry.enrollment.issuance import Issuance
from device_registry.errors import (
    CertificateStillGoodError,
    CertificateUnknownError,
    CertificateUnreadableError,
    GraceOverError,
    KeyTypeRefusedError,
    RenewalProofRefusedError,
    TerminalNotEnrolledError,
)
from device_registry.model import CertificateStatus, Enrollment, RegistryPolicy, Standing, TerminalState
from device_registry.revocation.standings import admit, find_standing

GRACE_CONTEXT = b"shualian-renew-expired-v1\0"
"""What the old key signs begins with this, so that no signature made for something else passes."""
CERTIFICATE_BYTES_MAX = 4096  # enrollment.proto
_NEVER = datetime.max.replace(tzinfo=UTC)


class GraceRenewals:
    """Gives a successor for a certificate that lapsed a short while ago."""

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
        certificate_der: bytes,
        signing_request_der: bytes,
        signature: bytes,
        request_id: str,
    ) -> Enrollment:
        """Exchange a lapsed certificate for one with a new key; the lapsed one is retired at once.

        A superseded one counts like the current one: its holder asked for a successor and never heard the answer.

        Raises:
            CertificateStillGoodError: it has not lapsed by our clock; the terminal's may be wrong.
            GraceOverError: it lapsed too long ago.
            TerminalRefusedError, CertificateRefusedError: suspended, revoked, replaced, or unknown.
        """
        now = self._now()
        fingerprint = fingerprint_from_der(certificate_der)
        standing = find_standing(connection, fingerprint)
        if standing is None:
            raise CertificateUnknownError(fingerprint=fingerprint)
        request = signing_request_from_der(signing_request_der)
        nonce = open_nonce(connection, serial_number=standing.serial_number, challenge=request.challenge, now=now)
        content = to_be_signed(context=GRACE_CONTEXT, nonce=nonce, signing_request_der=signing_request_der)
        _refuse_signature(certificate_der, signature, content)
        self._refuse_standing(standing, now)
        terminal_id = standing.terminal_id
        self._issuance.check(connection, terminal_id=terminal_id, request=request, now=now)
        spend_nonce(connection, serial_number=standing.serial_number, nonce=nonce, now=now)
        store.close_certificates(connection, terminal_id=terminal_id, status=CertificateStatus.RETIRED, at=now)
        successor, answer = self._issuance.issue(connection, terminal_id=terminal_id, request=request, now=now)
        self._changes.note(
            connection,
            actor=terminal_actor(terminal_id),
            action="certificate.renewed_in_grace",
            subject=terminal_id,
            request_id=request_id,
            details={
                "fingerprint": successor,
                "predecessor": fingerprint,
                "lapsed_seconds": (now - standing.not_after) // timedelta(seconds=1),
            },
        )
        self._changes.announce(connection, TOPIC_TERMINAL, terminal_id)
        return answer

    def _refuse_standing(self, standing: Standing, now: datetime) -> None:
        """Raise unless time is the only thing against this certificate, and not too much of it."""
        admit(replace(standing, not_after=_NEVER), now)  # everything but the time
        if standing.state is not TerminalState.ACTIVE:
            raise TerminalNotEnrolledError(terminal_id=standing.terminal_id)
        if now < standing.not_after:
            raise CertificateStillGoodError(platform_time=now, not_after=standing.not_after)
        grace_until = standing.not_after + self._policy.grace_after_expiry(standing.terminal_class)
        if now >= grace_until:
            raise GraceOverError(platform_time=now, not_after=standing.not_after, grace_until=grace_until)


def _refuse_signature(certificate_der: bytes, signature: bytes, content: bytes) -> None:
    try:
        key = p256_key_from(x509.load_der_x509_certificate(certificate_der).public_key())
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except (ValueError, UnsupportedAlgorithm, KeyTypeRefusedError) as error:
        raise CertificateUnreadableError("not one of ours") from error
    except InvalidSignature as error:
        raise RenewalProofRefusedError("not signed by the old key") from error
