"""One signature: the right key, for the right certificate, timed, and told to whoever counts."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device_registry.authority.vault import IssuingKeys
from device_registry.errors import IssuerKeyMismatchError

T = TypeVar("T")

_UNEXPECTED = "UNEXPECTED"


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
