"""Where a terminal keeps its key, which never leaves it, and how it takes a new one without a moment of having none.

Each identity is a generation: a folder with key, chain and renewal time. The link `current` points at the one in use
and is moved in one step after the new one is complete on disk, so that a crash at any moment leaves one that works.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID, NameOID

from mock_terminal.errors import StateError

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
TERMINAL_URN: Final = "urn:shualian:terminal:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the terminal shows in a TLS handshake."""

    terminal_id: str
    key_pem: bytes
    chain_pem: bytes
    not_after: datetime
    renew_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedKey:
    """A new key on disk that has no certificate yet."""

    folder: Path
    key: ec.EllipticCurvePrivateKey

    def signing_request_der(self, *, nonce: bytes = b"") -> bytes:
        """Return a PKCS#10 request signed by the key; the nonce goes into its challengePassword, in lower-case hex."""
        # The platform writes its own subject; ours only has to be one.
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "terminal")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        if nonce:
            builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, nonce.hex().encode())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


class KeyStore:
    """The identities of one terminal, in its state folder."""

    def __init__(self, state: Path) -> None:
        self._state: Final = state
        self._current: Final = state / "current"

    def stage(self) -> StagedKey:
        """Make a new key, P-256, and write it down beside the one in use."""
        generations = self._state / "identities"
        generations.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        numbers = [int(path.name) for path in generations.iterdir() if path.name.isdigit()]
        folder = generations / f"{max(numbers, default=0) + 1:06d}"
        folder.mkdir(mode=PRIVATE_FOLDER)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(folder / "key.pem", pem)
        return StagedKey(folder=folder, key=key)

    def adopt(self, staged: StagedKey, *, chain_der: Sequence[bytes], renew_after: datetime) -> Identity:
        """Complete a staged key with its certificate and make it the current identity, in one step.

        Raises:
            StateError: the certificate is for another key; nothing changes.
        """
        chain = [x509.load_der_x509_certificate(der) for der in chain_der]
        if not chain or chain[0].public_key() != staged.key.public_key():
            raise StateError("the platform's certificate is not for the key that was sent")
        pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
        write_private(staged.folder / "chain.pem", pem)
        write_private(staged.folder / "renewal.json", json.dumps({"renew_after": renew_after.isoformat()}).encode())
        link = self._state / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(staged.folder.relative_to(self._state))
        link.replace(self._current)
        _sync_folder(self._state)
        return self.identity()

    def identity(self) -> Identity:
        """Return the identity in use.

        Raises:
            StateError: this terminal is not enrolled, or its files are damaged.
        """
        try:
            chain_pem = (self._current / "chain.pem").read_bytes()
            leaf = x509.load_pem_x509_certificate(chain_pem)
            renewal = json.loads((self._current / "renewal.json").read_bytes())
            return Identity(
                terminal_id=_terminal_id(leaf),
                key_pem=(self._current / "key.pem").read_bytes(),
                chain_pem=chain_pem,
                not_after=leaf.not_valid_after_utc,
                renew_after=datetime.fromisoformat(renewal["renew_after"]),
            )
        except FileNotFoundError as error:
            raise StateError(f"no identity in {self._state}: run `shualian-terminal enroll` first") from error
        except (ValueError, KeyError, x509.ExtensionNotFound) as error:
            raise StateError(f"the identity in {self._state} is damaged: enroll again") from error


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, complete or not at all, and durable."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _terminal_id(leaf: x509.Certificate) -> str:
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        if uri.startswith(TERMINAL_URN):
            return uri.removeprefix(TERMINAL_URN)
    raise StateError("the certificate names no terminal")
