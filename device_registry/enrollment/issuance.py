"""How a checked signing request becomes a certificate that the registry knows: what enrollment and renewal share."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from device_registry import store
from device_registry.authority.authority import Authority
from device_registry.authority.certificates import SigningRequest
from device_registry.authority.issuer_store import active_issuer
from device_registry.errors import KeyReusedError, TooManyCertificatesError
from device_registry.model import CertificateRecord, CertificateStatus, Enrollment, RegistryPolicy

RENEW_AFTER_FRACTION = 2 / 3  # DESIGN 4: a third of the lifetime is left for terminals that are off
RENEW_SPREAD_FRACTION = 1 / 10
"""Over how much of the lifetime the renewals of terminals that enrolled in one morning are spread."""
_DAY = timedelta(days=1)


def renew_after(
    *, issued_at: datetime, not_after: datetime, fingerprint: str, tainted_at: datetime | None = None
) -> datetime:
    """Return the moment from which a terminal should renew: each certificate has its own, always the same one.

    A certificate of a tainted issuing authority is due since that was tainted.
    """
    place = int(fingerprint[:8], 16) / 0x1_0000_0000  # even over [0, 1): it is the start of a hash
    due = issued_at + (not_after - issued_at) * (RENEW_AFTER_FRACTION + RENEW_SPREAD_FRACTION * place)
    return due if tainted_at is None else min(due, tainted_at)


class Issuance:
    """Has certificates signed and remembers them."""

    def __init__(self, *, authority: Authority, policy: RegistryPolicy) -> None:
        self._authority = authority
        self._policy = policy

    def check(self, connection: Connection, *, terminal_id: str, request: SigningRequest, now: datetime) -> None:
        """Raise when the key ever had a certificate, its factory's among them, or when the terminal asks too often."""
        key = request.public_key_sha256
        holder = store.key_holder(connection, key) or store.factory_key_holder(connection, key)
        if holder is not None:
            raise KeyReusedError(terminal_id=terminal_id, holder_id=holder)
        count, earliest = store.issued_since(connection, terminal_id=terminal_id, since=now - _DAY)
        if earliest is not None and count >= self._policy.certificates_per_day_max:
            raise TooManyCertificatesError(terminal_id=terminal_id, retry_after=earliest + _DAY - now)

    def issue(
        self, connection: Connection, *, terminal_id: str, request: SigningRequest, now: datetime
    ) -> tuple[str, Enrollment]:
        """Sign and remember a certificate; return its fingerprint and what the terminal gets."""
        issued = self._authority.issue_terminal(
            terminal_id=terminal_id,
            public_key=request.public_key,
            now=now,
            issuer_id=active_issuer(connection, self._authority),
        )
        store.add_certificate(
            connection,
            CertificateRecord(
                fingerprint=issued.fingerprint,
                certificate_serial=issued.certificate_serial,
                terminal_id=terminal_id,
                public_key_sha256=request.public_key_sha256,
                issued_at=now,
                not_before=issued.not_before,
                not_after=issued.not_after,
                good_until=issued.not_after,
                status=CertificateStatus.CURRENT,
                status_since=now,
                first_used_at=None,
                issuer_id=issued.issuer_id,
            ),
        )
        return issued.fingerprint, Enrollment(
            terminal_id=terminal_id,
            certificate_chain_der=issued.certificate_chain_der,
            renew_after=renew_after(issued_at=now, not_after=issued.not_after, fingerprint=issued.fingerprint),
        )
