"""How a private key is made, put to rest and taken up again: encrypted PKCS#8 in a file only its owner may read."""

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from device_registry.errors import (
    AuthorityBrokenError,
    AuthorityExistsError,
    AuthorityMissingError,
    KeyExposedError,
    PassphraseRefusedError,
)

# OpenSSL derives the file's key with 2,048 rounds of PBKDF2: fine for a random passphrase, weak for a word. So a
# short one is refused; `secrets.token_urlsafe(32)` is what the platform makes for itself.
PASSPHRASE_LENGTH_MIN = 16
_OWNER_ONLY = 0o600


def make_private_key() -> ec.EllipticCurvePrivateKey:
    """Return a new ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def write_private_key(path: Path, key: ec.EllipticCurvePrivateKey, *, passphrase: bytes) -> None:
    """Write a key encrypted and readable by its owner alone; an existing file is never replaced."""
    if len(passphrase) < PASSPHRASE_LENGTH_MIN:
        raise PassphraseRefusedError(path=path, detail=f"shorter than {PASSPHRASE_LENGTH_MIN} bytes")
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    try:
        # The mode is given at creation: there is no moment in which others could open the file.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except FileExistsError as error:
        raise AuthorityExistsError(path=path, detail="a key is never overwritten") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())


def read_private_key(path: Path, *, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key in a file, or say what is wrong with the file or the passphrase."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        sealed = path.read_bytes()
    except OSError as error:
        raise AuthorityMissingError(path=path, detail=error.strerror or "unreadable") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyExposedError(path=path, detail=f"mode is {mode:o}, must be 600")
    if b"BEGIN ENCRYPTED PRIVATE KEY" not in sealed:
        raise AuthorityBrokenError(path=path, detail="no encrypted PKCS#8 key")
    try:
        key = serialization.load_pem_private_key(sealed, passphrase)
    except (ValueError, TypeError) as error:
        raise PassphraseRefusedError(path=path, detail="the passphrase does not open the key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityBrokenError(path=path, detail="no ECDSA key")
    return key
