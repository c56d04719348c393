"""Which insurer is asked, and how is a provincial core reached? The sections `[insurer]` and `[fsi]`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from server.settings import Between

_MS, _S, _MIN, _H = timedelta(milliseconds=1), timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


class InsurerKind(StrEnum):
    """Who decides what the insurance pays."""

    LOCAL = "local"
    FSI = "fsi"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsurerSettings:
    """Who decides what the insurance pays."""

    kind: InsurerKind = InsurerKind.LOCAL
    """"local": benefit rules over our own ledger; "fsi": a provincial core in the national envelope, see `[fsi]` and
    docs/operations/insurer-fsi.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FsiSettings:
    """The provincial core; looked at only with `insurer.kind = "fsi"`."""

    base_url: str = ""
    """Address of the core, `https://host:port`; paths are the profile's."""
    profile: Path | None = None
    """TOML file with what a province does differently from the shipped
    `server/settlement/insurers/fsi/profiles/national.toml`; empty: nothing."""
    institution_code: str = ""
    """Code of the designated institution in whose name we speak; begins each message id."""
    institution_name: str = ""
    """Its name."""
    region: str = ""
    """Its region (统筹区), six digits."""
    institutions: Path | None = None
    """TOML file with the institution of each site that is not the one above; empty: all sites are."""
    opter: str = "shualian"
    """Operator that signs in; the code of an account at the core, nobody's name."""
    opter_name: str = "shualian"
    """What that operator is called."""
    paasid: str = ""
    """Our id at the gateway, `x-tif-paasid`."""
    app_id: str = ""
    """Our application's id, where the profile encrypts bodies."""
    secret: Path | None = None
    """File with the secret shared with the gateway, mode 600; empty: `data_dir/keys/fsi-secret`."""
    private_key: Path | None = None
    """File with our SM2 key (PKCS#8, PEM), mode 600, where the profile signs bodies."""
    core_key: Path | None = None
    """File with the core's SM2 public key (PEM), where the profile wants signed answers."""
    ca_file: Path | None = None
    """File with the certificates that vouch for the core's TLS (PEM); empty: those of the system."""
    connect_timeout: Annotated[timedelta, Between(50 * _MS, 30 * _S)] = 3 * _S
    """How long a connection may take."""
    answer_timeout: Annotated[timedelta, Between(100 * _MS, 2 * _MIN)] = 10 * _S
    """How long the core may keep silent; below `settlement.insurer_timeout`."""
    connections_max: Annotated[int, Between(1, 1_000)] = 32
    """Connections to the core at once; they are kept and used again."""
    tries_max: Annotated[int, Between(1, 10)] = 2
    """Tries of a call that moves nothing or that the core knows again by its number; others are sent once."""
    retry_pause: Annotated[timedelta, Between(timedelta(), 10 * _S)] = 200 * _MS
    """Rest before the second try; doubled before each further one."""
    breaker_failures: Annotated[int, Between(1, 1_000)] = 8
    """Failures in a row after which the core is not asked for a while."""
    breaker_open_for: Annotated[timedelta, Between(100 * _MS, 1 * _H)] = 10 * _S
    """For how long."""


def insurer_mistakes(insurer: InsurerSettings, fsi: FsiSettings, *, insurer_timeout: timedelta) -> Iterator[str]:
    """Yield what is missing or contradicts itself."""
    if insurer.kind is not InsurerKind.FSI:
        return
    parts = urlsplit(fsi.base_url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        yield "fsi.base_url: must be an http or https address"
    if parts.username or parts.password or parts.query:
        yield "fsi.base_url: must hold neither a password nor a query"
    if parts.scheme == "http" and parts.hostname not in {"127.0.0.1", "::1", "localhost"}:
        yield "fsi.base_url: must be https, unless the core is on this machine"
    for name in ("institution_code", "institution_name", "paasid"):
        if not getattr(fsi, name):
            yield f"fsi.{name}: missing"
    if not (len(fsi.region) == 6 and fsi.region.isdigit()):  # noqa: PLR2004 - the national form
        yield "fsi.region: must be six digits"
    if fsi.connect_timeout + fsi.answer_timeout > insurer_timeout:
        yield "fsi.answer_timeout: with fsi.connect_timeout, must fit into settlement.insurer_timeout"
