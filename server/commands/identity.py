"""What is in an operator's folder: the key, which never leaves it, the certificate, and the platform's root."""

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from getpass import getpass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from server.commands.mistakes import CommandError, ExitCode

KEY: Final = "key.pem"
NEXT_KEY: Final = "key-next.pem"
NEXT_CERTIFICATE: Final = "certificate-next.pem"
PASSPHRASE_LENGTH_MIN: Final = 12
REQUEST: Final = "request.csr"
CERTIFICATE: Final = "certificate.pem"
ROOT: Final = "root.pem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a connection to the admin port needs."""

    private_key_pem: bytes = field(repr=False)
    certificate_pem: bytes
    root_pem: bytes
    days_left: int
    """Whole days until the certificate ends."""


def read_identity(folder: Path, *, now: datetime) -> Identity:
    """Return what an operator's folder holds; an encrypted key asks for its passphrase.

    Raises:
        CommandError: something is missing, can be read by others or has lapsed, or the passphrase is wrong.
    """
    _finish_renewal(folder)
    certificate_pem = _there(folder / CERTIFICATE)
    left = _end_of(certificate_pem, folder / CERTIFICATE) - now
    if left <= timedelta(0):
        raise CommandError(
            f"{folder / CERTIFICATE} has lapsed.",
            next="Make a new folder with `shualian operator request`, and have the security team add you again.",
            code=ExitCode.NOT_SET_UP,
        )
    return Identity(
        private_key_pem=_plain(_private(folder / KEY), folder / KEY),
        certificate_pem=certificate_pem,
        root_pem=_there(folder / ROOT),
        days_left=left.days,
    )


def _end_of(certificate_pem: bytes, path: Path) -> datetime:
    try:
        return x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc
    except ValueError as error:
        raise CommandError(
            f"{path} is no certificate.",
            next="Take the one that `shualian operator add` wrote.",
            code=ExitCode.NOT_SET_UP,
        ) from error


def make_request(folder: Path, *, passphrase: bytes | None = None) -> bytes:
    """Make a key in the folder, readable by its owner alone, and return a signing request for it, DER.

    Raises:
        CommandError: there is a key already.
    """
    return _requested(folder / KEY, passphrase=passphrase)


def make_next_request(folder: Path, *, passphrase: bytes | None = None) -> bytes:
    """Make the key of a renewal beside the one in use; what an earlier attempt left is made anew."""
    (folder / NEXT_CERTIFICATE).unlink(missing_ok=True)
    (folder / NEXT_KEY).unlink(missing_ok=True)
    return _requested(folder / NEXT_KEY, passphrase=passphrase)


def take_up_next(folder: Path, *, chain_der: Sequence[bytes]) -> None:
    """Put the renewed key and its certificate in the place of the old ones; whoever dies in between is helped later."""
    (folder / NEXT_CERTIFICATE).write_bytes(_pem(chain_der))
    (folder / NEXT_KEY).replace(folder / KEY)
    _finish_renewal(folder)


def _finish_renewal(folder: Path) -> None:
    """Take up the certificate of a renewal whose key was taken up already."""
    if (folder / NEXT_CERTIFICATE).exists() and not (folder / NEXT_KEY).exists():
        (folder / NEXT_CERTIFICATE).replace(folder / CERTIFICATE)


def _requested(path: Path, *, passphrase: bytes | None) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    protection: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    _write_new(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return request.public_bytes(Encoding.DER)


def write_request(folder: Path, request_der: bytes) -> Path:
    """Write a signing request to be taken to the security team; return where."""
    path = folder / REQUEST
    path.write_bytes(x509.load_der_x509_csr(request_der).public_bytes(Encoding.PEM))
    return path


def read_request(path: Path) -> bytes:
    """Return the DER of a signing request in a file, PEM or DER.

    Raises:
        CommandError: it is none.
    """
    content = _there(path)
    try:
        is_pem = content.lstrip().startswith(b"-----BEGIN")
        request = x509.load_pem_x509_csr(content) if is_pem else x509.load_der_x509_csr(content)
    except ValueError as error:
        raise CommandError(
            f"{path} is no signing request.", next="`shualian operator request --folder FOLDER` makes one."
        ) from error
    return request.public_bytes(Encoding.DER)


def write_certificate(folder: Path, *, chain_der: Sequence[bytes], roots_der: Sequence[bytes]) -> None:
    """Write what the platform answered beside the key."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / CERTIFICATE).write_bytes(_pem(chain_der))
    (folder / ROOT).write_bytes(_pem(roots_der))


def _pem(certificates_der: Sequence[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates_der)


def _there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(
            f"{path}: {error.strerror or 'unreadable'}.",
            next="`shualian operator request` makes the folder; `shualian operator add` answers with the certificate.",
            code=ExitCode.NOT_SET_UP,
        ) from error


def _private(path: Path) -> bytes:
    content = _there(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CommandError(
            f"{path}: mode is {mode:o}, must be 600.",
            next="Run chmod 600, and think about who may have read the key.",
            code=ExitCode.NOT_SET_UP,
        )
    return content


def _plain(key_pem: bytes, path: Path) -> bytes:
    """Return the key as gRPC takes it, in memory alone."""
    if b"BEGIN ENCRYPTED PRIVATE KEY" not in key_pem:
        return key_pem
    typed = getpass(f"Passphrase of {path}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
    try:
        key = load_pem_private_key(key_pem, typed.encode())
    except (ValueError, TypeError) as error:
        raise CommandError(
            f"{path}: the passphrase does not open the key.",
            next="Type it again; without a terminal it is read as the first line of standard input.",
            code=ExitCode.NOT_SET_UP,
        ) from error
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_new(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise CommandError(
            f"{path} is there already.", next="Name another folder; a key is never overwritten."
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
