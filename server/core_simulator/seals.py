"""Is a message really from whom it says, and unread on the way? Header signature, SM2 signature, SM4 body.

Written from the field's descriptions and not from our own client, so that the two check each other.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from tongsuopy.crypto import hashes, serialization
from tongsuopy.crypto.asymciphers import ec
from tongsuopy.crypto.exceptions import InternalError, InvalidSignature

from server.core_simulator.errors import Infcode, RefusedError

SIGNATURE_BYTES: Final = 64
"""Length of an SM2 signature written as r followed by s."""
KEY_CHARACTERS: Final = 16
BLOCK_BITS: Final = 128


def canonical(value: object) -> str:
    """Return JSON in its one form: keys sorted at every depth, no blanks, Chinese as it is."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seals:
    """What this core demands of a message, and puts on its answers; each part may be absent."""

    secret: str = field(default="", repr=False)
    """Shared with the institutions; empty: headers are not looked at."""
    institution_key_pem: bytes = b""
    """Public SM2 key of the institutions; empty: `cainfo` is not looked at."""
    core_key_pem: bytes = field(default=b"", repr=False)
    """Private SM2 key of the core; empty: answers are not signed."""
    is_encrypted: bool = False
    """Whether `input` and `output` are SM4."""
    clock_skew: timedelta = timedelta(minutes=5)
    """How far a header's timestamp may be from our clock."""

    def check_keys(self) -> None:
        """Make sure that the keys can be used, before anybody sends a message.

        Raises:
            ValueError: one of them is no SM2 key in PEM.
        """
        try:
            if self.institution_key_pem:
                serialization.load_pem_public_key(self.institution_key_pem)
            if self.core_key_pem:
                serialization.load_pem_private_key(self.core_key_pem, password=None)
        except (InternalError, TypeError, ValueError) as error:
            raise ValueError("a key is no SM2 key in PEM, or is encrypted") from error

    def check_headers(self, headers: Mapping[str, str], *, now: datetime) -> None:
        """Refuse a request whose x-tif headers do not prove the secret.

        Raises:
            RefusedError: missing, stale or not signed with our secret.
        """
        if not self.secret:
            return
        timestamp, nonce = headers.get("x-tif-timestamp", ""), headers.get("x-tif-nonce", "")
        signature, paasid = headers.get("x-tif-signature", ""), headers.get("x-tif-paasid", "")
        expected = hashlib.sha256(f"{timestamp}{self.secret}{nonce}{timestamp}".encode()).hexdigest()
        is_fresh = timestamp.isdigit() and abs(int(timestamp) - now.timestamp()) <= self.clock_skew.total_seconds()
        if not (paasid and nonce and is_fresh and hmac.compare_digest(expected.encode(), signature.lower().encode())):
            raise RefusedError(Infcode.HEADERS)

    def check_signature(self, envelope: Mapping[str, Any]) -> None:
        """Refuse an envelope whose `cainfo` is not made by the institutions' key.

        Raises:
            RefusedError: missing or wrong.
        """
        if not self.institution_key_pem:
            return
        try:
            signature = base64.b64decode(str(envelope.get("cainfo", "")), validate=True)
        except binascii.Error as error:
            raise RefusedError(Infcode.SIGNATURE) from error
        if len(signature) == SIGNATURE_BYTES:  # r and s side by side; the library reads DER
            r, s = (int.from_bytes(half) for half in (signature[:32], signature[32:]))
            signature = encode_dss_signature(r, s)
        key = serialization.load_pem_public_key(self.institution_key_pem)
        try:
            key.verify(signature, self._signed_text(envelope), ec.ECDSA(hashes.SM3()))
        except (InvalidSignature, InternalError, ValueError) as error:  # InternalError: no DER at all
            raise RefusedError(Infcode.SIGNATURE) from error

    def opened(self, envelope: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the caller checks what it is
        """Return the input in clear.

        Raises:
            RefusedError: it is not encrypted as agreed.
        """
        if not self.is_encrypted:
            return envelope.get("input")
        if str(envelope.get("enc_type", "")).upper() != "SM4":
            raise RefusedError(Infcode.CIPHER)
        try:
            sealed = bytes.fromhex(str(envelope.get("input", "")))
            padded = _crypt(self._body_key(envelope), sealed, opens=True)
            unpadder = PKCS7(BLOCK_BITS).unpadder()
            return json.loads(unpadder.update(padded) + unpadder.finalize(), parse_float=str)
        except ValueError as error:
            raise RefusedError(Infcode.CIPHER) from error

    def sealed(self, answer: dict[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
        """Return an answer as it goes out: its output encrypted, the whole of it signed, as the settings say."""
        sent = dict(answer)
        if self.is_encrypted and sent.get("output") is not None:
            padder = PKCS7(BLOCK_BITS).padder()
            clear = canonical(sent["output"]).encode()
            sealed = _crypt(self._body_key(envelope), padder.update(clear) + padder.finalize(), opens=False)
            sent |= {"output": sealed.hex().upper(), "enc_type": "SM4"}
        if self.core_key_pem:
            sent["signtype"] = "SM2"
            key = serialization.load_pem_private_key(self.core_key_pem, password=None)
            signature = key.sign(self._signed_text(sent), ec.ECDSA(hashes.SM3()))
            sent["cainfo"] = base64.b64encode(signature).decode()
        return sent

    def _signed_text(self, envelope: Mapping[str, Any]) -> bytes:
        """Return what is signed: every field but `cainfo` that has a value, by name, and the secret behind."""
        parts = [
            f"{name}={value if isinstance(value, str) else canonical(value)}"
            for name, value in sorted(envelope.items())
            if name != "cainfo" and value not in ("", None)
        ]
        return "&".join([*parts, f"key={self.secret}"]).encode()

    def _body_key(self, envelope: Mapping[str, Any]) -> bytes:
        first = str(envelope.get("app_id", "")).encode()[:KEY_CHARACTERS].ljust(KEY_CHARACTERS, b"0")
        padder = PKCS7(BLOCK_BITS).padder()
        mixed = _crypt(first, padder.update(self.secret.encode()) + padder.finalize(), opens=False)
        return mixed.hex().upper()[:KEY_CHARACTERS].encode()


def _crypt(key: bytes, data: bytes, *, opens: bool) -> bytes:
    # ECB and a key of characters: weak, but so it is done in the field that this core stands for.
    cipher = Cipher(algorithms.SM4(key), modes.ECB())  # noqa: S305 - as the comment says
    context = cipher.decryptor() if opens else cipher.encryptor()
    return context.update(data) + context.finalize()
