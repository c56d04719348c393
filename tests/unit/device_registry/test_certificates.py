"""What a signing request must look like before anybody signs it."""

import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from device_registry.authority.certificates import (
    SIGNING_REQUEST_BYTES_MAX,
    fingerprint_from_pem,
    public_key_sha256,
    signing_request_from_der,
)
from device_registry.authority.keys import make_private_key
from device_registry.errors import (
    CertificateUnreadableError,
    KeyTypeRefusedError,
    PossessionUnprovenError,
    SigningRequestError,
    SigningRequestUnreadableError,
)
from tests.support.authority import a_signing_request, a_signing_request_signed_by_another_key, an_authority
from tests.support.clock import Clock


def a_request_by(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def test_a_good_request_gives_its_key_and_its_nonce() -> None:
    key = make_private_key()

    request = signing_request_from_der(a_signing_request(nonce=b"\xab" * 32, key=key))

    assert request.challenge == "ab" * 32
    assert request.public_key == key.public_key()
    assert request.public_key_sha256 == public_key_sha256(key.public_key())


def test_a_request_without_a_nonce_is_readable() -> None:
    assert signing_request_from_der(a_signing_request()).challenge is None


def test_a_stronger_hash_is_fine() -> None:
    assert signing_request_from_der(a_signing_request(algorithm=hashes.SHA384())).challenge is None


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),  # noqa: S505 - the weak key is what is refused
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["RSA 1024", "RSA 2048", "P-384", "secp256k1", "Ed25519"],
)
def test_a_key_that_is_not_p256_is_refused(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    with pytest.raises(KeyTypeRefusedError):
        signing_request_from_der(a_request_by(key))


def test_a_request_signed_by_another_key_is_refused() -> None:
    with pytest.raises(PossessionUnprovenError):
        signing_request_from_der(a_signing_request_signed_by_another_key())


def test_a_weak_hash_is_refused() -> None:
    # SHA-1 signatures cannot be made here any more, so the identifier is changed: ecdsa-with-SHA256 to -SHA1.
    der = a_signing_request()
    sha256, sha1 = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06072a8648ce3d0401")
    place = der.rindex(sha256)
    # One byte less in the identifier, its SEQUENCE and the outer SEQUENCE.
    shorter = der[: place - 1] + bytes([der[place - 1] - 1]) + sha1 + der[place + len(sha256) :]
    header = 3 if shorter[1] == 0x81 else 2
    shorter = shorter[: header - 1] + bytes([shorter[header - 1] - 1]) + shorter[header:]

    with pytest.raises(KeyTypeRefusedError):
        signing_request_from_der(shorter)


@pytest.mark.parametrize(
    "der",
    [b"", b"garbage", a_signing_request() + b"\0", a_signing_request()[:-1], b"\x30" * (SIGNING_REQUEST_BYTES_MAX + 1)],
    ids=["nothing", "garbage", "one byte more", "one byte less", "too long"],
)
def test_bytes_that_are_no_request_are_refused(der: bytes) -> None:
    with pytest.raises(SigningRequestUnreadableError):
        signing_request_from_der(der)


def test_a_request_of_an_unknown_version_is_refused() -> None:
    der = bytearray(a_signing_request())
    version = der.index(b"\x02\x01\x00")
    der[version + 2] = 7

    with pytest.raises(SigningRequestUnreadableError):
        signing_request_from_der(bytes(der))


def test_a_nonce_that_is_no_text_is_refused() -> None:
    der = a_signing_request(challenge="A" * 20)
    place = der.index(b"A" * 20)

    with pytest.raises(SigningRequestUnreadableError):
        signing_request_from_der(der[:place] + b"\xff" * 20 + der[place + 20 :])


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    key = make_private_key()
    der = a_signing_request(key=key)
    numbers = key.public_key().public_numbers()
    place = der.index(numbers.y.to_bytes(32))

    with pytest.raises(KeyTypeRefusedError):
        signing_request_from_der(der[:place] + bytes([der[place] ^ 1]) + der[place + 1 :])


@given(st.binary(max_size=600))
def test_no_bytes_crash_the_reader(der: bytes) -> None:
    with pytest.raises(SigningRequestError):
        signing_request_from_der(der)


ONE_REQUEST = a_signing_request(nonce=bytes(32))


@given(st.integers(0, len(ONE_REQUEST) - 1), st.integers(1, 255))
def test_no_changed_byte_gets_past_the_signature(place: int, change: int) -> None:
    der = bytearray(ONE_REQUEST)
    der[place] ^= change

    with pytest.raises(SigningRequestError):
        signing_request_from_der(bytes(der))


def test_the_fingerprint_of_a_pem_is_the_hash_of_its_der(tmp_path: Path) -> None:
    der = an_authority(tmp_path, Clock()).root_certificates_der[0]
    pem = ssl.DER_cert_to_PEM_cert(der).encode()

    assert fingerprint_from_pem(b"a line before\n" + pem + pem) == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA",
        b"-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----",
    ],
)
def test_a_pem_that_is_none_has_no_fingerprint(pem: bytes) -> None:
    with pytest.raises(CertificateUnreadableError):
        fingerprint_from_pem(pem)
