"""Issuing keys in a PKCS#11 token: made in it, used in it, and never readable, by us or anybody.

One session serves all threads, one at a time: signing takes a millisecond or two, and issuing is serial anyway. A token
that went away and came back is noticed: the session is opened anew, once, before an error is raised. After an error the
token is left alone for a while, because a vendor's library may take long to find out that nobody answers, and whoever
issues a certificate holds the database's one writer meanwhile; only a probe, which holds nothing, asks earlier.
"""

import hashlib
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn, TypeVar

import pkcs11
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass
from pkcs11.exceptions import (
    AttributeTypeInvalid,
    AttributeValueInvalid,
    KeyHandleInvalid,
    MechanismInvalid,
    MultipleObjectsReturned,
    NoSuchKey,
    ObjectHandleInvalid,
    PKCS11Error,
)
from pkcs11.util.ec import encode_ec_public_key, encode_ecdsa_signature, encode_named_curve_parameters

from device_registry.errors import HsmUnavailableError, IssuingKeyMissingError

T = TypeVar("T")

_LABEL = "shualian-issuing-"
_CURVE = "secp256r1"
_OF_ONE_KEY = (
    AttributeTypeInvalid,
    AttributeValueInvalid,
    KeyHandleInvalid,
    MechanismInvalid,
    MultipleObjectsReturned,
    NoSuchKey,
    ObjectHandleInvalid,
)
"""What is wrong with one key alone; the token is well, and the other issuers' keys are used on."""
REST_SECONDS = 30.0
"""After an error of its own the token is not asked again for this long, unless a probe finds it in order."""
BUSY_SECONDS_MAX = 2.0
"""How long a caller waits for the one before."""


class KeyStaysInTokenError(Exception):
    """Somebody asked for the bytes of a key that never leaves its token."""


class Pkcs11Keys:
    """Keys under the label `shualian-issuing-<issuer_id>` in one token."""

    def __init__(self, *, module: Path, token_label: str, pin: Callable[[], str]) -> None:
        """Name the token; it is opened when it is first needed.

        Args:
            module: the vendor's PKCS#11 library.
            token_label: the token that holds the keys.
            pin: reads the user PIN; asked at each opening, so that a changed PIN needs no restart.
        """
        self._module = module
        self._token_label = token_label
        self._pin = pin
        self._session: pkcs11.Session | None = None
        self._using = threading.Lock()
        self._resting_until = 0.0
        self._public_keys: dict[str, ec.EllipticCurvePublicKey] = {}

    @property
    def backend(self) -> str:
        """The kind of place."""
        return "pkcs11"

    def make(self, issuer_id: str) -> ec.EllipticCurvePrivateKey:
        """Make a key in the token."""

        def generate(session: pkcs11.Session) -> None:
            curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVE)}
            session.create_domain_parameters(KeyType.EC, curve, local=True).generate_keypair(
                id=bytes.fromhex(issuer_id),
                label=_LABEL + issuer_id,
                store=True,
                public_template={Attribute.VERIFY: True},
                private_template={
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.SIGN: True,
                    Attribute.DERIVE: False,
                },
            )

        self._with_session(generate)
        return self.key(issuer_id)

    def key(self, issuer_id: str, *, probing: bool = False) -> ec.EllipticCurvePrivateKey:
        """Return what signs for an issuer; the token is asked for it, by who probes for both halves."""

        def look_up(session: pkcs11.Session) -> ec.EllipticCurvePublicKey:
            _private_key(session, issuer_id)
            known = None if probing else self._public_keys.get(issuer_id)
            return known or _public_key(session, issuer_id)

        try:
            public_key = self._with_session(look_up, probing=probing)
        except _OF_ONE_KEY as error:
            raise self._unusable(issuer_id, error) from error
        self._public_keys[issuer_id] = public_key
        return TokenKey(keys=self, issuer_id=issuer_id, public_key=public_key)

    def discard(self, issuer_id: str) -> None:
        """Destroy both halves of a key."""

        def destroy(session: pkcs11.Session) -> None:
            for found in session.get_objects({Attribute.LABEL: _LABEL + issuer_id}):
                found.destroy()

        self._public_keys.pop(issuer_id, None)
        self._with_session(destroy)

    def sign_digest(self, issuer_id: str, digest: bytes) -> bytes:
        """Return the token's signature of a SHA-256 digest, in DER."""

        def sign(session: pkcs11.Session) -> bytes:
            raw = _private_key(session, issuer_id).sign(digest, mechanism=Mechanism.ECDSA)
            return bytes(encode_ecdsa_signature(raw))

        try:
            return self._with_session(sign)
        except _OF_ONE_KEY as error:
            raise self._unusable(issuer_id, error) from error

    def _unusable(self, issuer_id: str, error: Exception) -> IssuingKeyMissingError:
        """Return what is said of a key that the token does not have, or not in a way that can be used."""
        found = "" if isinstance(error, NoSuchKey) else f", where it cannot be used ({_told(error)})"
        return IssuingKeyMissingError(issuer_id=issuer_id, where=f"token {self._token_label}{found}")

    def _with_session(self, work: Callable[[pkcs11.Session], T], *, probing: bool = False) -> T:
        """Do something in the token, if it is free and was not out of reach a moment ago."""
        if not probing and monotonic() < self._resting_until:
            raise HsmUnavailableError(detail="out of reach a moment ago; not asked again yet")
        if not self._using.acquire(timeout=BUSY_SECONDS_MAX):
            raise HsmUnavailableError(detail=f"busy for {BUSY_SECONDS_MAX:g} s")
        try:
            done = self._tried(work)
        except HsmUnavailableError:
            self._resting_until = monotonic() + REST_SECONDS
            raise
        finally:
            self._using.release()
        self._resting_until = 0.0
        return done

    def _tried(self, work: Callable[[pkcs11.Session], T]) -> T:
        """Do something in the token; a session that no longer holds is opened anew before it counts as a failure."""
        if self._session is not None:
            try:
                return work(self._session)
            except MultipleObjectsReturned:
                raise
            except PKCS11Error:  # `NoSuchKey` too: a token that went away holds nothing
                self._close()
        try:
            self._session = self._opened()
            return work(self._session)
        except _OF_ONE_KEY:
            raise
        except (PKCS11Error, OSError) as error:
            self._session = None
            raise HsmUnavailableError(detail=_told(error)) from error

    def _close(self) -> None:
        """Drop the session; one that no longer holds cannot even be closed."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(PKCS11Error):
                session.close()

    def _opened(self) -> pkcs11.Session:
        library = pkcs11.lib(str(self._module))
        try:
            return self._open(library)
        except PKCS11Error:
            # The library remembers the slots it saw when it was loaded; it must look again.
            library.reinitialize()
            return self._open(library)

    def _open(self, library: Any) -> pkcs11.Session:  # noqa: ANN401 - the wheel has no types
        session: pkcs11.Session = library.get_token(token_label=self._token_label).open(rw=True, user_pin=self._pin())
        return session


class TokenKey(ec.EllipticCurvePrivateKey):
    """A private key as cryptography knows one, whose every signature is made in the token."""

    def __init__(self, *, keys: Pkcs11Keys, issuer_id: str, public_key: ec.EllipticCurvePublicKey) -> None:
        self._keys = keys
        self._issuer_id = issuer_id
        self._public_key = public_key

    @property
    def curve(self) -> ec.EllipticCurve:
        """The key's curve, P-256."""
        return self._public_key.curve

    @property
    def key_size(self) -> int:
        """Bits of the curve."""
        return self._public_key.key_size

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return self._public_key

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:  # noqa: ANN401 - a buffer
        """Sign in the token; ECDSA with SHA-256 is all that is done here."""
        algorithm = signature_algorithm.algorithm
        if isinstance(algorithm, Prehashed) or not isinstance(algorithm, SHA256):
            raise KeyStaysInTokenError("only ECDSA with SHA-256")
        return self._keys.sign_digest(self._issuer_id, hashlib.sha256(data).digest())

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> NoReturn:  # noqa: ARG002 - the port's
        """Refuse: the key signs, and does nothing else."""
        raise KeyStaysInTokenError("an issuing key only signs")

    def private_numbers(self) -> NoReturn:
        """Refuse: the key never leaves the token."""
        raise KeyStaysInTokenError("a key in a token cannot be read")

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> NoReturn:  # noqa: A002, ANN401, ARG002 - the port's
        """Refuse: the key never leaves the token."""
        raise KeyStaysInTokenError("a key in a token cannot be read")

    def __copy__(self) -> "TokenKey":
        """Return the same key; there is only the one in the token."""
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "TokenKey":
        """Return the same key; there is only the one in the token."""
        return self


def _private_key(session: pkcs11.Session, issuer_id: str) -> Any:  # noqa: ANN401 - a key of the token that can sign
    return _lone(session, ObjectClass.PRIVATE_KEY, issuer_id)


def _public_key(session: pkcs11.Session, issuer_id: str) -> ec.EllipticCurvePublicKey:
    public_key = load_der_public_key(encode_ec_public_key(_lone(session, ObjectClass.PUBLIC_KEY, issuer_id)))
    if not isinstance(public_key, ec.EllipticCurvePublicKey):  # the label is ours, what is under it may not be
        raise NoSuchKey
    return public_key


def _lone(session: pkcs11.Session, kind: ObjectClass, issuer_id: str) -> Any:  # noqa: ANN401 - an object of the token
    """Return the one object of a kind under an issuer's label; `get_key` leaves its search open when there are two."""
    found = list(session.get_objects({Attribute.CLASS: kind, Attribute.LABEL: _LABEL + issuer_id}))
    if len(found) > 1:
        raise MultipleObjectsReturned
    if not found:
        raise NoSuchKey
    return found[0]


def _told(error: Exception) -> str:
    """Return which error of the token it was; its text may be empty, and never holds the PIN."""
    return f"{type(error).__name__} {error}".strip()
