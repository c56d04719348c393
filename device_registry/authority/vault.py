"""Where issuing keys are: a port with two sides, encrypted files here and a PKCS#11 token in pkcs11.py."""

import shutil
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from device_registry.authority.keys import make_private_key, read_private_key, write_private_key
from device_registry.errors import AuthorityMissingError, IssuingKeyMissingError


class IssuingKeys(Protocol):
    """Makes issuing keys and signs with them; who holds this object never sees a key of a token."""

    @property
    def backend(self) -> str:
        """The kind of place, `file` or `pkcs11`."""

    def make(self, issuer_id: str) -> ec.EllipticCurvePrivateKey:
        """Make and keep the key of a new issuer."""

    def key(self, issuer_id: str, *, probing: bool = False) -> ec.EllipticCurvePrivateKey:
        """Return what signs for an issuer; somebody who probes asks the place itself, also one just out of reach.

        Raises:
            IssuingKeyMissingError: the key is not here.
            HsmUnavailableError: the token cannot be reached now.
        """

    def discard(self, issuer_id: str) -> None:
        """Destroy the key of an issuer that was never used, if it is there."""


class FileKeys:
    """Keys as encrypted PKCS#8 in `<folder>/<issuer_id>/key.pem`, one folder for each issuer."""

    def __init__(self, folder: Path, *, passphrase: bytes) -> None:
        self._folder = folder
        self._passphrase = passphrase
        self._opened: dict[str, tuple[object, ec.EllipticCurvePrivateKey]] = {}

    @property
    def backend(self) -> str:
        """The kind of place."""
        return "file"

    def make(self, issuer_id: str) -> ec.EllipticCurvePrivateKey:
        """Make a key and write it, readable by its owner alone."""
        key = make_private_key()
        (self._folder / issuer_id).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private_key(self._folder / issuer_id / "key.pem", key, passphrase=self._passphrase)
        return key

    def key(self, issuer_id: str, *, probing: bool = False) -> ec.EllipticCurvePrivateKey:
        """Return an issuer's key; the file is read and decrypted once.

        Memory outlives the file: a process goes on signing with a key whose file is gone. Who probes is told, while
        that process is still there.
        """
        mark, opened = self._opened.get(issuer_id, (None, None))
        path = self._folder / issuer_id / "key.pem"
        if opened is None or (probing and mark != _mark(path)):
            mark = _mark(path)
            try:
                opened = read_private_key(path, passphrase=self._passphrase)
            except AuthorityMissingError as error:
                raise IssuingKeyMissingError(issuer_id=issuer_id, where=str(error.path)) from error
            self._opened[issuer_id] = (mark, opened)
        return opened

    def discard(self, issuer_id: str) -> None:
        """Remove an issuer's folder."""
        self._opened.pop(issuer_id, None)
        shutil.rmtree(self._folder / issuer_id, ignore_errors=True)


def _mark(path: Path) -> object:
    """Return what changes when a file is replaced, changed or removed."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
