"""How does a terminal that was off for too long come back? With its lapsed certificate's key, within a grace.

The TLS layer refuses a lapsed client certificate, so this is asked for at the enrollment port, and the old key proves
itself by a signature instead of a handshake. Everything else about the certificate must still hold. It works until the
successor is first used, because an answer may be lost; as with factory identities, only a proof that holds is brought
before the one writer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from device_registry.authority.certificates import SigningRequest, fingerprint_from_der, p256_key_from
from device_registry.changes import Changes
from device_registry.enrollment.enrollment import open_nonce, spend_nonce
from device_registry.enrollment.factory import to_be_signed
from device_registry.enrollment.issuance import Issuance
from device_registry.enrollment.renewal import Renewals
from device_registry.errors import (
    CertificateStillGoodError,
    CertificateUnreadableError,
    GraceOverError,
    KeyTypeRefusedError,
    RenewalProofRefusedError,
    TerminalNotEnrolledError,
)
from device_registry.model import Enrollment, RegistryPolicy, Standing, TerminalState
from device_registry.revocation.standings import admit, standing_of

GRACE_CONTEXT = b"shualian-renew-expired-v1\0"
"""What the old key signs begins with this, so that no signature made for something else passes."""
CERTIFICATE_BYTES_MAX = 4096  # enrollment.proto
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateAttempt:
    """A lapsed certificate that the registry knows, and a signing request that carries an open nonce."""

    certificate_der: bytes = field(repr=False)
    serial_number: str
    request: SigningRequest
    nonce: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenHolder:
    """An attempt that the lapsed certificate's key has signed."""

    attempt: LateAttempt


class GraceRenewals:
    """Gives a successor for a certificate that lapsed a short while ago."""

    def __init__(
        self, *, now: Callable[[], datetime], policy: RegistryPolicy, issuance: Issuance, changes: Changes
    ) -> None:
        self._now = now
        self._policy = policy
        self._issuance = issuance
        self._renewals = Renewals(now=now, policy=policy, issuance=issuance, changes=changes)

    def attempt(self, connection: Connection, *, certificate_der: bytes, request: SigningRequest) -> LateAttempt:
        """Read what a proof is checked against.

        Raises:
            CertificateUnknownError: the registry never issued this certificate.
            NonceRefusedError: the signing request carries no open nonce of the terminal's serial number.
        """
        serial_number = standing_of(connection, fingerprint_from_der(certificate_der)).serial_number
        nonce = open_nonce(connection, serial_number=serial_number, challenge=request.challenge, now=self._now())
        return LateAttempt(certificate_der=certificate_der, serial_number=serial_number, request=request, nonce=nonce)

    def renew(self, connection: Connection, *, holder: ProvenHolder, request_id: str) -> Enrollment:
        """Exchange a lapsed certificate for one with a new key.

        A superseded one counts like the current one: its holder asked for a successor and never heard the answer. That
        successor makes way. First use of the new one closes the lapsed one for good.

        Raises:
            CertificateStillGoodError: it has not lapsed by our clock; the terminal's may be wrong.
            GraceOverError: it lapsed too long ago.
            TerminalRefusedError, CertificateRefusedError: suspended, revoked, replaced, or unknown.
        """
        now, request = self._now(), holder.attempt.request
        standing = standing_of(connection, fingerprint_from_der(holder.attempt.certificate_der))
        nonce = open_nonce(connection, serial_number=standing.serial_number, challenge=request.challenge, now=now)
        self._refuse_standing(standing, now)
        self._issuance.check(connection, terminal_id=standing.terminal_id, request=request, now=now)
        spend_nonce(connection, serial_number=standing.serial_number, nonce=nonce, now=now)
        # Every other one was never used, or this one would be closed: `Renewals.first_use` retires the predecessors.
        return self._renewals.succeed(
            connection,
            standing,
            request,
            good_until=standing.not_after,
            action="certificate.renewed_in_grace",
            now=now,
            request_id=request_id,
            details={"lapsed_seconds": (now - standing.not_after) // timedelta(seconds=1)},
        )

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


def prove_holder(attempt: LateAttempt, signature: bytes) -> ProvenHolder:
    """Check the old key's signature; takes no database.

    Raises:
        RenewalProofRefusedError: another key signed, or other bytes; the nonce is to be used up, see `use_up_nonce`.
    """
    content = to_be_signed(context=GRACE_CONTEXT, nonce=attempt.nonce, signing_request_der=attempt.request.der)
    try:
        key = p256_key_from(x509.load_der_x509_certificate(attempt.certificate_der).public_key())
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except (ValueError, UnsupportedAlgorithm, KeyTypeRefusedError) as error:
        raise CertificateUnreadableError("not one of ours") from error
    except InvalidSignature as error:
        raise RenewalProofRefusedError("not signed by the old key") from error
    return ProvenHolder(attempt=attempt)
