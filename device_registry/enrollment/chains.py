"""Is a factory identity genuine? A chain from the terminal's IDevID to a recorded root, checked link by link.

IEEE 802.1AR leaves much open (no end date, RSA or EC, no subjectAltName), which web verifiers refuse; so this is a
verifier of its own, and a narrow one. It follows the chain exactly as it was sent, leaf first, each certificate signed
by the next, the last one by a recorded root. It searches no path, so there is nothing to confuse it with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from device_registry.authority.certificates import fingerprint_from_der
from device_registry.errors import FactoryRootRefusedError

CHAIN_LENGTH_MAX = 4  # enrollment.proto: leaf and up to three above it; the recorded root counts only when it is sent
CERTIFICATE_BYTES_MAX = 8192  # enrollment.proto
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 4096
RSA_EXPONENT_MIN = 65537
_CURVES = (ec.SECP256R1, ec.SECP384R1)
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_CRITICAL_IN_AUTHORITY = frozenset({ExtensionOID.BASIC_CONSTRAINTS, ExtensionOID.KEY_USAGE})
_CRITICAL_IN_LEAF = _CRITICAL_IN_AUTHORITY | {
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,  # hwModuleName, RFC 4108; its content is not used
}
_FOR_CLIENTS = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})

# What cryptography raises over bytes that a stranger sent: an x400Address in a general name is its own error, and
# a string type that does not go with its attribute is a TypeError.
_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)

E = TypeVar("E", bound=x509.ExtensionType)

FactoryKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Fault(StrEnum):
    """What is wrong with a factory proof; the terminal's maker reads this word."""

    UNREADABLE = "UNREADABLE"
    CHAIN_LENGTH = "CHAIN_LENGTH"
    KEY_REFUSED = "KEY_REFUSED"
    HASH_REFUSED = "HASH_REFUSED"
    EXTENSION_REFUSED = "EXTENSION_REFUSED"
    NOT_IN_TIME = "NOT_IN_TIME"
    LEAF_IS_AUTHORITY = "LEAF_IS_AUTHORITY"
    NOT_AN_AUTHORITY = "NOT_AN_AUTHORITY"
    KEY_USAGE = "KEY_USAGE"
    PATH_LENGTH = "PATH_LENGTH"
    ISSUER = "ISSUER"
    ROOT_UNKNOWN = "ROOT_UNKNOWN"
    SERIAL_NUMBER = "SERIAL_NUMBER"
    SIGNATURE = "SIGNATURE"


class ChainRefusedError(Exception):
    """A chain does not hold; whoever asked knows whose it is and raises an error of the registry."""

    def __init__(self, *, fault: Fault, detail: str) -> None:
        self.fault = fault
        self.detail = detail
        super().__init__(f"{fault}: {detail}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A recorded root of factory identities."""

    der: bytes
    fingerprint: str
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRoot:
    """A recorded root of factory identities, parsed once for many chains."""

    der: bytes
    fingerprint: str
    subject: x509.Name
    certificate: x509.Certificate

    def is_in_time(self, now: datetime) -> bool:
        """Return whether its time has begun and is not over."""
        return self.certificate.not_valid_before_utc <= now < self.certificate.not_valid_after_utc


@dataclass(frozen=True, slots=True, kw_only=True)
class FactoryIdentity:
    """What a genuine IDevID says."""

    serial_number: str
    """The serialNumber attribute (2.5.4.5) of its subject."""
    public_key: FactoryKey
    public_key_sha256: str
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex."""
    root_fingerprint: str
    """The recorded root that vouches for it."""

    def verify(self, signature: bytes, content: bytes) -> None:
        """Raise unless the factory key signed this: ECDSA in DER or RSA PKCS#1 v1.5, both with SHA-256."""
        try:
            if isinstance(self.public_key, ec.EllipticCurvePublicKey):
                self.public_key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
            else:
                self.public_key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise ChainRefusedError(
                fault=Fault.SIGNATURE, detail="not by the factory key, or over other bytes"
            ) from error


def anchor_from_der(der: bytes, *, now: datetime) -> Anchor:
    """Return a factory root that can be recorded.

    Raises:
        FactoryRootRefusedError: it is no authority, too weak, or its time is over.
    """
    try:
        root = _certificate(der)
        _refuse_key(root)
        _refuse_time(root, now)
        _refuse_no_authority(root, below=0)
    except ChainRefusedError as error:
        raise FactoryRootRefusedError(detail=str(error)) from error
    return Anchor(der=der, fingerprint=fingerprint_from_der(der), not_after=root.not_valid_after_utc)


def recorded_root(der: bytes) -> RecordedRoot:
    """Return a root that was recorded before, whatever became of it since."""
    certificate = _certificate(der)
    return RecordedRoot(
        der=der, fingerprint=fingerprint_from_der(der), subject=certificate.subject, certificate=certificate
    )


def factory_identity(chain_der: Sequence[bytes], *, roots: Sequence[RecordedRoot], now: datetime) -> FactoryIdentity:
    """Return what a chain proves.

    Args:
        chain_der: the certificates as they were sent, leaf first.
        roots: every recorded root, of whatever manufacturer; where several have one key, the first in time vouches.
        now: the platform's time.

    Raises:
        ChainRefusedError: with the first thing that is wrong.
    """
    if not 0 < len(chain_der) <= CHAIN_LENGTH_MAX:
        raise ChainRefusedError(fault=Fault.CHAIN_LENGTH, detail=f"{len(chain_der)} certificates")
    is_root_sent = any(root.der == chain_der[-1] for root in roots)
    sent = list(chain_der[:-1]) if is_root_sent else list(chain_der)
    if not sent:
        raise ChainRefusedError(fault=Fault.LEAF_IS_AUTHORITY, detail="a root is no factory identity")
    chain = [_certificate(der) for der in sent]
    root = _root_of(chain[-1], roots, now)
    for depth, (certificate, issuer) in enumerate(zip(chain, [*chain[1:], root.certificate], strict=True)):
        _refuse_key(certificate)
        _refuse_hash(certificate)
        _refuse_time(certificate, now)
        _refuse_time(issuer, now)
        _refuse_other_issuer(certificate, issuer)
        # Authorities between the issuer and the leaf: what the issuer's path length must allow.
        _refuse_no_authority(issuer, below=depth)
    _refuse_no_leaf(chain[0])
    return _identity(chain[0], root.fingerprint)


def _certificate(der: bytes) -> x509.Certificate:
    """Return a certificate whose extensions can be read, all of them."""
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise ChainRefusedError(fault=Fault.UNREADABLE, detail=f"{len(der)} bytes")
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = certificate.extensions, certificate.subject, certificate.issuer, certificate.not_valid_after_utc
    except _UNREADABLE as error:
        raise ChainRefusedError(fault=Fault.UNREADABLE, detail="no X.509 certificate in DER") from error
    if certificate.version is not x509.Version.v3:
        raise ChainRefusedError(fault=Fault.UNREADABLE, detail="not X.509 version 3")
    # Nothing signs the number of unused bits before the signature, and a reader takes 1 where the last bit is 0: one
    # certificate would have two forms.
    if not der.endswith(b"\x00" + certificate.signature):
        raise ChainRefusedError(fault=Fault.UNREADABLE, detail="its signature is not a whole number of bytes")
    return certificate


def _root_of(topmost: x509.Certificate, roots: Sequence[RecordedRoot], now: datetime) -> RecordedRoot:
    """Return the recorded root that signed the topmost certificate.

    Several may bear one name, and several one key, too: a root is renewed by signing the same key again.
    """
    issuer = topmost.issuer
    signers = [root for root in roots if root.subject == issuer and _has_signed(root.certificate, topmost)]
    if not signers:
        raise ChainRefusedError(fault=Fault.ROOT_UNKNOWN, detail="no recorded root has signed the last certificate")
    return next((root for root in signers if root.is_in_time(now)), signers[0])


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _public_key(certificate: x509.Certificate) -> FactoryKey:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ChainRefusedError(fault=Fault.KEY_REFUSED, detail="of an unknown kind") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if (
        isinstance(key, rsa.RSAPublicKey)
        and RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX
        and key.public_numbers().e >= RSA_EXPONENT_MIN
    ):
        return key
    raise ChainRefusedError(
        fault=Fault.KEY_REFUSED, detail=f"wanted EC P-256 or P-384, or RSA {RSA_BITS_MIN} to {RSA_BITS_MAX}"
    )


def _refuse_key(certificate: x509.Certificate) -> None:
    _public_key(certificate)


def _refuse_hash(certificate: x509.Certificate) -> None:
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise ChainRefusedError(fault=Fault.HASH_REFUSED, detail="an unknown signature algorithm") from error
    if not isinstance(used, _HASHES):
        raise ChainRefusedError(fault=Fault.HASH_REFUSED, detail="signed with a weak hash; wanted SHA-256 or better")


def _refuse_time(certificate: x509.Certificate, now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise ChainRefusedError(
            fault=Fault.NOT_IN_TIME,
            detail=f"good from {certificate.not_valid_before_utc} to {certificate.not_valid_after_utc}",
        )


def _refuse_no_authority(certificate: x509.Certificate, *, below: int) -> None:
    """Raise unless a certificate may sign certificates, with so many authorities between it and the leaf."""
    _refuse_unknown_critical(certificate, _CRITICAL_IN_AUTHORITY)
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.critical or not constraints.value.ca:
        raise ChainRefusedError(fault=Fault.NOT_AN_AUTHORITY, detail="no critical basicConstraints with cA")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        raise ChainRefusedError(fault=Fault.KEY_USAGE, detail="an authority without keyCertSign")
    allowed = constraints.value.path_length
    if allowed is not None and below > allowed:
        raise ChainRefusedError(fault=Fault.PATH_LENGTH, detail=f"{below} authorities below one that allows {allowed}")


def _refuse_other_issuer(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    if not _has_signed(issuer, certificate):
        raise ChainRefusedError(fault=Fault.ISSUER, detail="a certificate is not signed by the one after it")


def _refuse_no_leaf(leaf: x509.Certificate) -> None:
    _refuse_unknown_critical(leaf, _CRITICAL_IN_LEAF)
    constraints = _extension(leaf, x509.BasicConstraints)
    usage = _extension(leaf, x509.KeyUsage)
    if constraints is not None and constraints.value.ca:
        raise ChainRefusedError(fault=Fault.LEAF_IS_AUTHORITY, detail="the first certificate is an authority's")
    if usage is not None and (usage.value.key_cert_sign or not usage.value.digital_signature):
        raise ChainRefusedError(fault=Fault.KEY_USAGE, detail="a leaf needs digitalSignature and no keyCertSign")
    purposes = _extension(leaf, x509.ExtendedKeyUsage)
    if purposes is not None and _FOR_CLIENTS.isdisjoint(purposes.value):
        raise ChainRefusedError(fault=Fault.KEY_USAGE, detail="its extendedKeyUsage lacks clientAuth")


def _refuse_unknown_critical(certificate: x509.Certificate, known: frozenset[x509.ObjectIdentifier]) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in known:
            raise ChainRefusedError(
                fault=Fault.EXTENSION_REFUSED, detail=f"critical extension {extension.oid.dotted_string}"
            )


def _extension(certificate: x509.Certificate, kind: type[E]) -> x509.Extension[E] | None:
    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _identity(leaf: x509.Certificate, root_fingerprint: str) -> FactoryIdentity:
    named = leaf.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    if len(named) != 1 or not isinstance(named[0].value, str):
        raise ChainRefusedError(fault=Fault.SERIAL_NUMBER, detail=f"{len(named)} serialNumber attributes, wanted one")
    key = _public_key(leaf)
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return FactoryIdentity(
        serial_number=named[0].value,
        public_key=key,
        public_key_sha256=fingerprint_from_der(spki),
        root_fingerprint=root_fingerprint,
    )
