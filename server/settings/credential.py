"""What can be set about electronic credentials, and about the register that says who somebody is?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from server.settings import Between

_MS, _S, _MIN = timedelta(milliseconds=1), timedelta(seconds=1), timedelta(minutes=1)
_HERE = frozenset({"127.0.0.1", "::1", "localhost"})


class RegisterKind(StrEnum):
    """Who says who somebody is."""

    LOCAL = "local"
    HTTP = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSettings:
    """Electronic credentials and the codes they are shown as; see docs/operations/credentials.md."""

    code_lifetime: Annotated[timedelta, Between(5 * _S, 2 * _MIN)] = 30 * _S
    """Life of a dynamic code; whole seconds."""
    code_pin_free_limit_fen: Annotated[int, Between(0, 1_000_000_000)] = 20_000
    """Above this amount, in fen, a code also needs the PIN. Below that of a face: a code can be photographed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSettings:
    """The register of people: do name and ID number agree, and with which portrait is a face compared?"""

    kind: RegisterKind = RegisterKind.LOCAL
    """`local`: the platform's own people. `http`: a register elsewhere, at `url`."""
    url: str = ""
    """Address of the register, `https://host:port`; plain http on this machine only. Never with a password."""
    token_file: Path | None = None
    """File with the bearer token that the register asks for; empty: it asks for none."""
    ca_file: Path | None = None
    """Certificates, PEM, by which the register is known; the system's own when empty."""
    timeout: Annotated[timedelta, Between(100 * _MS, 30 * _S)] = 3 * _S
    """How long one question may take, connecting and answer each; a person stands there."""
    answer_after: Annotated[timedelta, Between(0 * _S, 10 * _S)] = 1 * _S
    """What it says of who is to be activated is acted on no sooner, so that the time does not tell whom it knows."""
    at_once_max: Annotated[int, Between(1, 256)] = 16
    """Questions under way at once; one more is refused."""


def register_mistakes(settings: RegisterSettings) -> Iterator[str]:
    """Yield what is wrong between the settings of the register."""
    if settings.kind is RegisterKind.LOCAL:
        return
    parts = urlsplit(settings.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield "register.url: name the register, https://host:port, when register.kind is http"
    elif parts.scheme == "http" and parts.hostname not in _HERE:
        yield "register.url: must be https, except on this machine"
    if parts.password is not None or parts.username is not None:
        yield "register.url: must not hold a password; put a token into register.token_file"
