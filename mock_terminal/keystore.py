"""Where a terminal keeps its key, which never leaves it, and how it takes a new one without a moment of having none.

Each identity is a generation: a folder with key, chain and renewal time. The link `current` points at the one in use
and is moved in one step after the new one is complete on disk, so that a crash at any moment leaves one that works.
"""

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID, NameOID

from mock_terminal.disk import make_private, sync_folder, write_private
from mock_terminal.errors import StateError

TERMINAL_URN: Final = "urn:shualian:terminal:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the terminal shows in a TLS handshake."""

    terminal_id: str
    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    not_after: datetime
    renew_after: datetime

    @property
    def leaf_der(self) -> bytes:
        """The certificate without those above it."""
        return x509.load_pem_x509_certificate(self.chain_pem).public_bytes(serialization.Encoding.DER)

    def sign(self, content: bytes) -> bytes:
        """Sign with its key, ECDSA with SHA-256."""
        key = serialization.load_pem_private_key(self.key_pem, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise StateError("the identity is damaged: enroll again")
        return key.sign(content, ec.ECDSA(hashes.SHA256()))


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedKey:
    """A new key on disk that has no certificate yet."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(repr=False)

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
        self._generations: Final = state / "identities"

    def stage(self) -> StagedKey:
        """Make a new key, P-256, and write it down beside the one in use."""
        folder = self._generations / f"{max(self._numbers(), default=0) + 1:06d}"
        make_private(self._state)
        make_private(self._generations)
        make_private(folder)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(folder / "key.pem", pem)
        return StagedKey(folder=folder, key=key)

    def adopt(self, staged: StagedKey, *, chain_der: Sequence[bytes], renew_after: datetime) -> Identity:
        """Complete a staged key with its certificate and make it the current identity, in one step.

        The one it follows is kept, should somebody want to look; all others are deleted, keys that never got a
        certificate among them.

        Raises:
            StateError: the certificate is for another key, names no terminal, or is none; nothing changes.
        """
        try:
            chain = [x509.load_der_x509_certificate(der) for der in chain_der]
        except ValueError as error:
            raise StateError("what the platform sent is no certificate") from error
        if not chain or chain[0].public_key() != staged.key.public_key():
            raise StateError("the platform's certificate is not for the key that was sent")
        _terminal_id(chain[0])
        pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)
        write_private(staged.folder / "chain.pem", pem)
        write_private(staged.folder / "renewal.json", json.dumps({"renew_after": renew_after.isoformat()}).encode())
        predecessor = self._current.resolve().name
        link = self._state / "current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(staged.folder.relative_to(self._state))
        link.replace(self._current)
        sync_folder(self._state)
        self._forget_all_but({staged.folder.name, predecessor})
        return self.identity()

    def identity(self) -> Identity:
        """Return the identity in use.

        Raises:
            StateError: this terminal is not enrolled, or its files are damaged.
        """
        try:
            folder = self._current.resolve(strict=True)  # once: the link may move while we read
            chain_pem = (folder / "chain.pem").read_bytes()
            leaf = x509.load_pem_x509_certificate(chain_pem)
            renewal = json.loads((folder / "renewal.json").read_bytes())
            return Identity(
                terminal_id=_terminal_id(leaf),
                key_pem=(folder / "key.pem").read_bytes(),
                chain_pem=chain_pem,
                not_after=leaf.not_valid_after_utc,
                renew_after=datetime.fromisoformat(renewal["renew_after"]),
            )
        except FileNotFoundError as error:
            raise StateError(f"no identity in {self._state}: run `shualian-terminal enroll` first") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StateError(f"the identity in {self._state} is damaged: enroll again") from error

    def sign(self, content: bytes) -> bytes:
        """Sign with the key in use, ECDSA with SHA-256, DER; the key itself is handed to nobody.

        Raises:
            StateError: there is none.
        """
        return self.identity().sign(content)

    def _numbers(self) -> list[int]:
        if not self._generations.is_dir():
            return []
        return [int(path.name) for path in self._generations.iterdir() if path.name.isdigit()]

    def _forget_all_but(self, kept: set[str]) -> None:
        for path in self._generations.iterdir():
            if path.name not in kept:
                shutil.rmtree(path)


def _terminal_id(leaf: x509.Certificate) -> str:
    with suppress(x509.ExtensionNotFound):
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
            if uri.startswith(TERMINAL_URN):
                return uri.removeprefix(TERMINAL_URN)
    raise StateError("the certificate names no terminal")
