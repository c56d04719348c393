"""One signature: the right key, for the right certificate, timed, and told to whoever counts."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from device_registry.authority.vault import IssuingKeys
from device_registry.errors import IssuerKeyMismatchError

T = TypeVar("T")

_UNEXPECTED = "UNEXPECTED"
_PROBE = b"shualian: is this the key of the certificate?"
"""No certificate and no list begins like this, so that the signature is good for nothing else."""
_ECDSA = ec.ECDSA(SHA256())


class SignaturePurpose(StrEnum):
    """What an issuing key is used for."""

    TERMINAL = "TERMINAL"
    SERVER = "SERVER"
    OPERATOR = "OPERATOR"
    CRL = "CRL"
    REQUEST = "REQUEST"
    """A new issuing key signs the request that the root is to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A use of an issuing key."""

    purpose: SignaturePurpose
    seconds: float
    refusal: str
    """Reason of the error, empty when the signature was made."""


def refuse_foreign_signature(leaf: x509.Certificate, *, issuer: x509.Certificate, issuer_id: str) -> None:
    """Check what was signed before anybody gets it: a token may hold another key beside the right public half.

    Raises:
        IssuerKeyMismatchError: it does not verify under the issuer's public key.
    """
    try:
        leaf.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise IssuerKeyMismatchError(issuer_id=issuer_id) from error


class Signer:
    """Takes up an issuing key for one signature at a time."""

    def __init__(self, *, keys: IssuingKeys) -> None:
        self._keys = keys
        self._on_signature: Callable[[Signature], None] = lambda _: None

    def watch(self, on_signature: Callable[[Signature], None]) -> None:
        """Tell somebody of each signature from now on."""
        self._on_signature = on_signature

    def prove(
        self, issuer_id: str, certificate: x509.Certificate, *, probing: bool = False
    ) -> ec.EllipticCurvePrivateKey:
        """Return an issuer's key once it is known to be that of the certificate; see `IssuingKeys.key`.

        Raises:
            IssuingKeyMissingError: it is not here.
            HsmUnavailableError: the token cannot be reached.
            IssuerKeyMismatchError: it is another one.
        """
        key = self._keys.key(issuer_id, probing=probing)
        if key.public_key() != certificate.public_key():
            raise IssuerKeyMismatchError(issuer_id=issuer_id)
        if probing:
            _refuse_other_half(key, issuer_id=issuer_id)
        return key

    def signed(
        self,
        purpose: SignaturePurpose,
        issuer_id: str,
        sign: Callable[[ec.EllipticCurvePrivateKey], T],
        certificate: x509.Certificate | None = None,
    ) -> T:
        """Return what `sign` makes of an issuer's key; without a certificate the key is one that has none yet."""
        begun_at, refusal = perf_counter(), ""
        try:
            return sign(self.prove(issuer_id, certificate) if certificate is not None else self._keys.key(issuer_id))
        except Exception as error:
            refusal = getattr(error, "reason", _UNEXPECTED)
            raise
        finally:
            self._on_signature(Signature(purpose=purpose, seconds=perf_counter() - begun_at, refusal=refusal))


def _refuse_other_half(key: ec.EllipticCurvePrivateKey, *, issuer_id: str) -> None:
    """Sign something: that a key has the right public half beside it does not say that it is the right key."""
    try:
        key.public_key().verify(key.sign(_PROBE, _ECDSA), _PROBE, _ECDSA)
    except InvalidSignature as error:
        raise IssuerKeyMismatchError(issuer_id=issuer_id) from error
