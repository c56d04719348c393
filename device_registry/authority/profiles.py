"""What every certificate of ours has in common: names, key usage, lifetimes, and how one is begun."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from device_registry.errors import FieldInvalidError

# A terminal's clock may run behind ours: a certificate that begins now would be "not yet valid" there.
BACKDATED_BY = timedelta(minutes=5)
TERMINAL_URN = "urn:shualian:terminal:"  # DESIGN 4
OPERATOR_URN = "urn:shualian:operator:"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
_HOSTNAME_LENGTH_MAX = 253  # RFC 1035


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateLifetimes:
    """How long each kind of certificate lives; none outlives the one that signed it."""

    root: timedelta = timedelta(days=20 * 365)
    issuing: timedelta = timedelta(days=5 * 365)
    terminal: timedelta = timedelta(days=30)
    """DESIGN 4."""
    server: timedelta = timedelta(days=90)
    operator: timedelta = timedelta(days=90)


DEFAULT_LIFETIMES = CertificateLifetimes()


def begun(
    *,
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePublicKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    """Return a certificate with everything that does not depend on its use."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before.replace(microsecond=0))
        .not_valid_after(not_after.replace(microsecond=0))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def name_from(common_name: str) -> x509.Name:
    """Return a name of one part."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what an authority's key, or else everybody else's, may be used for."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def server_name(name: str) -> x509.GeneralName:
    """Return a host name or address as a certificate carries it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if len(name) > _HOSTNAME_LENGTH_MAX or not _HOSTNAME.fullmatch(name):
            raise FieldInvalidError(field="hostname", detail="neither a host name nor an address") from None
        return x509.DNSName(name)
