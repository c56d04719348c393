"""How a name or an ID number rests in the database: encrypted, found again by a keyed hash, never in clear.

Names and numbers are few enough to be guessed through, so both the encryption and the hash need keys that are not in
the database. AES-256-GCM authenticates field and person with the text: a value moved to another row does not open.
"""

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.credentials.errors import FieldSealError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_FORMAT: Final = b"\x01"  # first byte of a sealed field; the next format or key gets another


class FieldSeal:
    """Encrypts single fields of a person."""

    def __init__(self, key: bytes) -> None:
        self._cipher: Final = AESGCM(checked_key(key))

    def seal(self, text: str, *, field: str, person_id: str) -> bytes:
        """Return the text encrypted: format, nonce, ciphertext with tag."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, text.encode(), _bound_to(field, person_id))

    def open(self, sealed: bytes, *, field: str, person_id: str) -> str:
        """Return the text.

        Raises:
            FieldSealError: wrong key, field or person, or changed bytes; which of them is not told.
        """
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _FORMAT:
                raise FieldSealError
            return self._cipher.decrypt(nonce, ciphertext, _bound_to(field, person_id)).decode()
        except (InvalidTag, ValueError) as error:
            raise FieldSealError from error


class BlindIndex:
    """Turns a value into a keyed hash that finds its row and tells nothing without the key."""

    def __init__(self, key: bytes) -> None:
        self._key: Final = checked_key(key)

    def of(self, text: str, *, field: str) -> bytes:
        """Return 32 bytes, always the same for the same text in the same field."""
        return hmac.digest(self._key, f"{field}\0{text}".encode(), hashlib.sha256)


def derived_key(key: bytes, *, purpose: str) -> bytes:
    """Return a key for one purpose, from which the first key cannot be told."""
    kdf = HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=f"shualian/{purpose}".encode())
    return kdf.derive(checked_key(key))


def checked_key(key: bytes) -> bytes:
    """Return the key if it has the right length."""
    if len(key) != KEY_BYTES:
        msg = f"the key must have {KEY_BYTES} bytes, not {len(key)}"
        raise ValueError(msg)
    return key


def _bound_to(field: str, person_id: str) -> bytes:
    return f"shualian/{field}/{person_id}".encode()
