"""What is on an issuing authority's revocation list (RFC 5280, section 5), before it is signed."""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509

RevokedCertificate = tuple[str, datetime, x509.ReasonFlags]
"""A line of a revocation list: serial in hex, since when, and why."""


def revocation_list(
    issuer: x509.Certificate,
    revoked: Iterable[RevokedCertificate],
    *,
    number: int,
    now: datetime,
    next_update: datetime,
) -> x509.CertificateRevocationListBuilder:
    """Return an issuing authority's list, ready to be signed."""
    key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.subject)
        .last_update(now.replace(microsecond=0))
        .next_update(next_update.replace(microsecond=0))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id),
            critical=False,
        )
    )
    for serial, at, reason in revoked:
        builder = builder.add_revoked_certificate(_revoked(serial, at, reason))
    return builder


def _revoked(serial: str, at: datetime, reason: x509.ReasonFlags) -> x509.RevokedCertificate:
    """Return one line of a list; a reason that says nothing is left out (RFC 5280, 5.3.1)."""
    line = x509.RevokedCertificateBuilder().serial_number(int(serial, 16)).revocation_date(at.replace(microsecond=0))
    if reason is not x509.ReasonFlags.unspecified:
        line = line.add_extension(x509.CRLReason(reason), critical=False)
    return line.build()
