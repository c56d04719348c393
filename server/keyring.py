"""The platform's secret keys: where they rest, how they are made once, and that nobody else may read them."""

import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.config import Config

KEY_BYTES = 32
_OWNER_ONLY = 0o600
_FOLDER_MODE = 0o700


class KeyFileError(Exception):
    """A secret key cannot be used."""

    reason: ClassVar[str] = "KEY_UNUSABLE"

    def __init__(self, *, path: Path, detail: str) -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{path}: {detail}")


class KeyFileMissingError(KeyFileError):
    """The file is not there; `shualian ca init` makes all of them."""

    reason: ClassVar[str] = "KEY_MISSING"


class KeyFileExposedError(KeyFileError):
    """Others than the owner may read the file."""

    reason: ClassVar[str] = "KEY_EXPOSED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys, in memory; never printed."""

    ca_passphrase: bytes = field(repr=False)
    """Opens the issuing key."""
    people_index: bytes = field(repr=False)
    """Finds a person by ID or card number."""
    people_data: bytes = field(repr=False)
    """Opens names and ID numbers."""
    template: bytes = field(repr=False)
    """Opens face templates."""
    assertion: ec.EllipticCurvePrivateKey = field(repr=False)
    """Signs face assertions."""
    audit: ec.EllipticCurvePrivateKey = field(repr=False)
    """Signs checkpoints of the audit log."""


def make_keys(config: Config) -> list[Path]:
    """Make each key that is missing, readable by its owner alone, and return the new files; none is ever replaced."""
    config.keys_dir.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    contents = {
        config.ca_passphrase: lambda: secrets.token_urlsafe(KEY_BYTES).encode(),
        _people_index(config): lambda: secrets.token_bytes(KEY_BYTES),
        _people_data(config): lambda: secrets.token_bytes(KEY_BYTES),
        _template(config): lambda: secrets.token_bytes(KEY_BYTES),
        _assertion(config): _new_signing_key,
        _audit(config): _new_signing_key,
    }
    return [path for path, make in contents.items() if _written_new(path, make())]


def read_keys(config: Config) -> Keyring:
    """Return all keys.

    Raises:
        KeyFileMissingError: one is not there.
        KeyFileExposedError: others may read one.
        KeyFileError: one is not what it should be.
    """
    return Keyring(
        ca_passphrase=read_secret(config.ca_passphrase).strip(),
        people_index=_read_symmetric(_people_index(config)),
        people_data=_read_symmetric(_people_data(config)),
        template=_read_symmetric(_template(config)),
        assertion=_read_signing_key(_assertion(config)),
        audit=_read_signing_key(_audit(config)),
    )


def read_secret(path: Path) -> bytes:
    """Return what a secret file holds, if nobody but its owner may read it.

    Raises:
        KeyFileMissingError: it is not there.
        KeyFileExposedError: others may read it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileMissingError(path=path, detail="missing; `shualian ca init` makes it") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileExposedError(path=path, detail=f"mode is {mode:o}, must be 600")
    return content


def _people_index(config: Config) -> Path:
    return config.keys_dir / "people-index.key"


def _people_data(config: Config) -> Path:
    return config.keys_dir / "people-data.key"


def _template(config: Config) -> Path:
    return config.keys_dir / "template.key"


def _assertion(config: Config) -> Path:
    return config.keys_dir / "assertion.pem"


def _audit(config: Config) -> Path:
    return config.keys_dir / "audit.pem"


def _new_signing_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _written_new(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet; the mode is given at creation, so that it is never open to others."""
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return True


def _read_symmetric(path: Path) -> bytes:
    key = read_secret(path)
    if len(key) != KEY_BYTES:
        raise KeyFileError(path=path, detail=f"must hold {KEY_BYTES} bytes")
    return key


def _read_signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(path=path, detail="no PKCS#8 key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(path=path, detail="must be ECDSA on P-256")
    return key
