"""The platform's secret keys: where they rest, how they are made once, and that nobody else may read them."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.config import Config
from server.secret_files import KeyFileError, read_secret, written_new
from server.template_keys import TemplateKeyFiles, holds_template_key

KEY_BYTES = 32
_FOLDER_MODE = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """The keys, in memory; never printed."""

    ca_passphrase: bytes = field(repr=False)
    """Opens the issuing key."""
    people_index: bytes = field(repr=False)
    """Finds a person by ID or card number."""
    people_data: bytes = field(repr=False)
    """Opens names and ID numbers."""
    templates: TemplateKeyFiles = field(repr=False)
    """Open face templates; the newest seals them."""
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
        _assertion(config): _new_signing_key,
        _audit(config): _new_signing_key,
    }
    if not holds_template_key(config.keys_dir):
        contents[config.keys_dir / "template.key"] = lambda: secrets.token_bytes(KEY_BYTES)
    return [path for path, make in contents.items() if written_new(path, make())]


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
        templates=TemplateKeyFiles(config.keys_dir),
        assertion=_read_signing_key(_assertion(config)),
        audit=_read_signing_key(_audit(config)),
    )


def _people_index(config: Config) -> Path:
    return config.keys_dir / "people-index.key"


def _people_data(config: Config) -> Path:
    return config.keys_dir / "people-data.key"


def _assertion(config: Config) -> Path:
    return config.keys_dir / "assertion.pem"


def _audit(config: Config) -> Path:
    return config.keys_dir / "audit.pem"


def _new_signing_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


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
