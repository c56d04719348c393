"""How do the core and we know each other? Header signature, SM3withSM2 over the body, SM4 around it."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import SM4
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.padding import PKCS7
from tongsuopy.crypto import hashes, serialization
from tongsuopy.crypto.asymciphers import ec
from tongsuopy.crypto.exceptions import InternalError, InvalidSignature

from server.settlement.insurers.fsi.canonical import sorted_text
from server.settlement.insurers.fsi.errors import AnswerGarbledError, AnswerUnsignedError
from server.settlement.insurers.fsi.profile import (
    ByteText,
    EncryptionSettings,
    SignatureForm,
    SignatureSettings,
    Sm4Key,
)

Sm2PrivateKey = ec.EllipticCurvePrivateKey
Sm2PublicKey = ec.EllipticCurvePublicKey

_UNSIGNED: Final = "cainfo"  # a signature does not cover itself
_NUMBER_BYTES: Final = 32
_SM4_BYTES: Final = 16
_SM4_BITS: Final = 128
# SM3withSM2 with the user id 1234567812345678 of GM/T 0009: the library knows no other.
_SM3_WITH_SM2: Final = ec.ECDSA(hashes.SM3())


class Sm2KeyUnusableError(ValueError):
    """The file holds no SM2 key in PEM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """What proves who we are; never printed."""

    paasid: str
    """Our id at the gateway."""
    secret: str = field(repr=False)
    """Shared with the gateway."""
    app_id: str = ""
    """Our id where the body is encrypted."""
    private_key: Sm2PrivateKey | None = field(default=None, repr=False)
    """Signs our messages."""
    core_key: Sm2PublicKey | None = field(default=None, repr=False)
    """Checks the core's."""


def header_signature(*, secret: str, timestamp: str, nonce: str) -> str:
    """Return x-tif-signature: SHA-256 over timestamp, secret, nonce, timestamp."""
    return hashlib.sha256(f"{timestamp}{secret}{nonce}{timestamp}".encode()).hexdigest()


def signed_text(message: Mapping[str, Any], *, secret: str) -> str:
    """Return what is signed: fields that are not empty, sorted by name, as k=v with &; then the secret, if any.

    Args:
        message: the envelope; `input` and other nested parts are taken as compact JSON with sorted keys.
        secret: appended as `&key=...`; empty: it is not.
    """
    pairs = [
        f"{name}={value if isinstance(value, str) else sorted_text(value)}"
        for name, value in sorted(message.items())
        if name != _UNSIGNED and value not in (None, "")
    ]
    return "&".join([*pairs, f"key={secret}"] if secret else pairs)


def sm2_signature(text: str, key: Sm2PrivateKey, settings: SignatureSettings) -> str:
    """Return the SM3withSM2 signature over a text, written as the profile says."""
    der = key.sign(text.encode(), _SM3_WITH_SM2)
    if settings.form is SignatureForm.RAW:
        return _text_from_bytes(b"".join(n.to_bytes(_NUMBER_BYTES) for n in decode_dss_signature(der)), settings.text)
    return _text_from_bytes(der, settings.text)


def check_sm2_signature(text: str, signature: object, key: Sm2PublicKey) -> None:
    """Check a signature over a text, however it is written.

    Raises:
        AnswerUnsignedError: it is missing, unreadable, or not by this key over this text.
    """
    if not isinstance(signature, str) or not signature:
        raise AnswerUnsignedError(what="no signature")
    try:
        key.verify(_der(_bytes_from_text(signature)), text.encode(), _SM3_WITH_SM2)
    except (InvalidSignature, InternalError, ValueError) as error:  # InternalError: no DER at all
        raise AnswerUnsignedError(what="wrong signature") from error


def sm2_private_key(pem: bytes) -> Sm2PrivateKey:
    """Read a private key from PKCS#8 in PEM.

    Raises:
        Sm2KeyUnusableError: it is none, or not on the curve of SM2.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except Exception as error:
        raise Sm2KeyUnusableError from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SM2):
        raise Sm2KeyUnusableError
    return key


def sm2_public_key(pem: bytes) -> Sm2PublicKey:
    """Read a public key in PEM.

    Raises:
        Sm2KeyUnusableError: it is none, or not on the curve of SM2.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except Exception as error:
        raise Sm2KeyUnusableError from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SM2):
        raise Sm2KeyUnusableError
    return key


class BodyCipher:
    """SM4 around `input` and `output`."""

    def __init__(self, secrets: Secrets, settings: EncryptionSettings) -> None:
        self._text: Final = settings.text
        plain = secrets.secret.encode()
        self._key: Final = (
            plain[:_SM4_BYTES] if settings.key is Sm4Key.PLAIN else derived_sm4_key(secrets.app_id, secrets.secret)
        )

    def encrypt(self, text: str) -> str:
        """Return a text encrypted."""
        return _text_from_bytes(sm4_ecb_encrypt(self._key, text.encode()), self._text)

    def decrypt(self, text: str) -> str:
        """Return what was encrypted.

        Raises:
            AnswerGarbledError: it does not open.
        """
        try:
            return sm4_ecb_decrypt(self._key, _bytes_from_text(text)).decode()
        except ValueError as error:
            raise AnswerGarbledError(what="output does not open") from error


def derived_sm4_key(app_id: str, secret: str) -> bytes:
    """Return the key that integrators derive: of the secret encrypted under the app_id, in capitals, the first 16."""
    first = app_id.encode()[:_SM4_BYTES].ljust(_SM4_BYTES, b"0")
    return sm4_ecb_encrypt(first, secret.encode()).hex().upper()[:_SM4_BYTES].encode()


def sm4_ecb_encrypt(key: bytes, plain: bytes) -> bytes:
    """Return bytes under SM4-ECB with PKCS#7 padding; the nation's choice, not ours: it runs inside TLS."""
    padder = PKCS7(_SM4_BITS).padder()
    encryptor = Cipher(SM4(key), ECB()).encryptor()  # noqa: S305 - see above
    return encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()


def sm4_ecb_decrypt(key: bytes, encrypted: bytes) -> bytes:
    """Return what was encrypted.

    Raises:
        ValueError: wrong key, or no such bytes.
    """
    decryptor = Cipher(SM4(key), ECB()).decryptor()  # noqa: S305 - see sm4_ecb_encrypt
    unpadder = PKCS7(_SM4_BITS).unpadder()
    return unpadder.update(decryptor.update(encrypted) + decryptor.finalize()) + unpadder.finalize()


def _text_from_bytes(value: bytes, form: ByteText) -> str:
    match form:
        case ByteText.BASE64:
            return base64.b64encode(value).decode()
        case ByteText.HEX:
            return value.hex()
        case ByteText.HEX_UPPER:
            return value.hex().upper()


def _bytes_from_text(text: str) -> bytes:
    """Read hexadecimal or Base64; both of ours are long, so that what happens to be both is hexadecimal."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        msg = "neither hexadecimal nor Base64"
        raise ValueError(msg) from error


def _der(signature: bytes) -> bytes:
    if len(signature) == 2 * _NUMBER_BYTES:
        r, s = signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:]
        return encode_dss_signature(int.from_bytes(r), int.from_bytes(s))
    return signature
