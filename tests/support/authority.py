"""Throw-away certificate authorities, and the signing requests a terminal would send."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AttributeOID, NameOID

from device_registry.authority.authority import DEFAULT_LIFETIMES, Authority, CertificateLifetimes
from device_registry.authority.keys import make_private_key
from device_registry.authority.vault import IssuingKeys
from tests.support.clock import Clock

PASSPHRASE = b"a passphrase for tests only"


def an_authority(
    folder: Path,
    clock: Clock,
    lifetimes: CertificateLifetimes = DEFAULT_LIFETIMES,
    *,
    keys: IssuingKeys | None = None,
) -> Authority:
    """Make a real authority in `folder / "authority"`; each call needs a fresh folder."""
    return Authority.create(folder / "authority", passphrase=PASSPHRASE, now=clock.now, lifetimes=lifetimes, keys=keys)


def a_signing_request(
    *,
    nonce: bytes | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    challenge: str | None = None,
    algorithm: hashes.SHA256 | hashes.SHA384 = hashes.SHA256(),  # noqa: B008 - has no state
) -> bytes:
    """Return the DER of a valid request for a new P-256 key, the nonce in its challengePassword when one is given."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ignored by the platform")])
    )
    words = nonce.hex() if nonce is not None else challenge
    if words is not None:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, words.encode())
    return builder.sign(key or make_private_key(), algorithm).public_bytes(Encoding.DER)


def a_signing_request_signed_by_another_key() -> bytes:
    """Return a request whose signature is whole but was made over other content: possession is not proven."""
    der = bytearray(a_signing_request(challenge="0" * 64))
    place = der.index(b"0" * 64)
    der[place] = ord("1")  # the signed content changes, the form stays
    return bytes(der)
