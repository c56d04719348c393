"""The sections of the configuration that are about trust: the certificate the server shows, and the keys that sign."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from server.settings import Between

_MS, _S, _H, _D = timedelta(milliseconds=1), timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """The server's own certificate and the passphrase of the authority that issues it."""

    hostnames: tuple[str, ...] = ("localhost", "127.0.0.1")
    """Names and addresses terminals reach this server by; they go into its certificate."""
    certificate: Path | None = None
    """PEM chain of a certificate from elsewhere, leaf first; empty: the authority issues one at start and renews it."""
    private_key: Path | None = None
    """PEM key of that certificate; both or neither."""
    server_lifetime: Annotated[timedelta, Between(1 * _H, 90 * _D)] = 30 * _D
    """Life of a server certificate that the authority issues; renewed at two thirds of it."""
    reload_interval: Annotated[timedelta, Between(100 * _MS, 1 * _H)] = 10 * _S
    """How often certificate and trust bundle are looked at for change. New connections use the new ones."""
    ca_passphrase: Path | None = None
    """File with the passphrase of the issuing key; `data_dir/keys/ca-passphrase` when empty."""


class KeyBackend(StrEnum):
    """Where issuing keys are."""

    FILE = "file"
    PKCS11 = "pkcs11"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySettings:
    """Where the issuing keys are: in encrypted files, or in a token (HSM) that they never leave."""

    backend: KeyBackend = KeyBackend.FILE
    """`file`: encrypted PKCS#8 in `data_dir/ca/issuing`; `pkcs11`: in a token."""
    pkcs11_module: Path | None = None
    """The token vendor's PKCS#11 library, e.g. /usr/lib/softhsm/libsofthsm2.so."""
    token_label: str = "shualian"  # noqa: S105 - a name
    """Label of the token that holds the issuing keys."""
    pin_file: Path | None = None
    """File with the token's user PIN; `data_dir/keys/hsm-pin` when empty."""
