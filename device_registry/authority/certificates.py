"""What a certificate or a signing request says, and whether it may be believed; pure, without keys or clock."""

import binascii
import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import AttributeOID

from device_registry.errors import (
    CertificateUnreadableError,
    KeyTypeRefusedError,
    PossessionUnprovenError,
    SigningRequestUnreadableError,
)

SIGNING_REQUEST_BYTES_MAX = 4096  # the bound in the protos; a P-256 request with a nonce has about 300
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"
_PEM_END = b"-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningRequest:
    """What counts of a PKCS#10 request whose sender holds the key; the subject does not."""

    public_key: ec.EllipticCurvePublicKey
    public_key_sha256: str
    """SHA-256 of the DER SubjectPublicKeyInfo, lower-case hex."""
    challenge: str | None
    """The challengePassword: the server's nonce in lower-case hex."""
    der: bytes = field(repr=False)
    """The request itself, which other keys sign the hash of."""


def signing_request_from_der(der: bytes) -> SigningRequest:
    """Return what a signing request says, after its key and its signature were checked.

    Raises:
        SigningRequestUnreadableError: the bytes are too many or no PKCS#10 request.
        KeyTypeRefusedError: the key is not ECDSA on P-256, or the signature uses a weak hash.
        PossessionUnprovenError: the request is signed by another key.
    """
    if not 0 < len(der) <= SIGNING_REQUEST_BYTES_MAX:
        raise SigningRequestUnreadableError(detail=f"{len(der)} bytes, at most {SIGNING_REQUEST_BYTES_MAX}")
    try:
        request = x509.load_der_x509_csr(der)
        challenge = _challenge_in(request)
    except (ValueError, x509.InvalidVersion) as error:
        raise SigningRequestUnreadableError(detail="no PKCS#10 request") from error
    try:
        key = p256_key_from(request.public_key())
        signature_hash = request.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyTypeRefusedError(detail="the key or the signature is of an unknown kind") from error
    if not isinstance(signature_hash, _HASHES):
        raise KeyTypeRefusedError(detail="signed with a weak hash")
    if not request.is_signature_valid:
        raise PossessionUnprovenError(detail="signed by another key")
    return SigningRequest(public_key=key, public_key_sha256=public_key_sha256(key), challenge=challenge, der=der)


def p256_key_from(key: CertificatePublicKeyTypes) -> ec.EllipticCurvePublicKey:
    """Return the key when it is ECDSA on P-256, the one kind the platform takes."""
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise KeyTypeRefusedError(detail=f"{type(key).__name__}, wanted ECDSA P-256")
    if not isinstance(key.curve, ec.SECP256R1):
        raise KeyTypeRefusedError(detail=f"curve {key.curve.name}, wanted P-256")
    return key


def public_key_sha256(key: ec.EllipticCurvePublicKey) -> str:
    """Return the hash by which the registry knows a key again."""
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


def fingerprint_from_der(der: bytes) -> str:
    """Return the SHA-256 of a certificate's DER in lower-case hex."""
    return hashlib.sha256(der).hexdigest()


def fingerprint_from_pem(pem: bytes) -> str:
    """Return the fingerprint of the first certificate in a PEM text.

    Only unwraps and hashes: this runs for every caller, and the TLS layer has verified the certificate before.
    """
    begin = pem.find(_PEM_BEGIN)
    end = pem.find(_PEM_END, begin)
    if begin < 0 or end < 0:
        raise CertificateUnreadableError("no PEM certificate")
    try:
        der = binascii.a2b_base64(pem[begin + len(_PEM_BEGIN) : end])
    except binascii.Error as error:
        raise CertificateUnreadableError("no base64 in the PEM") from error
    return fingerprint_from_der(der)


def _challenge_in(request: x509.CertificateSigningRequest) -> str | None:
    try:
        attribute = request.attributes.get_attribute_for_oid(AttributeOID.CHALLENGE_PASSWORD)
    except x509.AttributeNotFound:
        return None
    return attribute.value.decode("ascii")  # a UnicodeDecodeError is a ValueError: unreadable
