"""Where the domain is put together: keys, books, registry, people and money, each with what it needs, by keyword.

This half knows no gRPC, so that a command of the CLI starts fast; `platform.py` puts services and listeners on top of
it. Nothing else constructs these objects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import Engine

from device_registry import AuditLog, Authority, CertificateLifetimes, Registry, RegistryPolicy
from device_registry.issuance import RENEW_AFTER_FRACTION
from server.config import Config
from server.credentials.assertion import Assertions
from server.credentials.people import People
from server.keyring import Keyring, read_keys
from server.settlement.insurers import Insurer
from server.settlement.insurers.local import LocalInsurer
from server.settlement.insurers.rules import load_rules
from server.settlement.ledger import Ledger
from server.store import announce, migrate, open_engine

if TYPE_CHECKING:
    from face_pipeline import FacePipeline

ROOMS = ("device_registry", "face_pipeline", "monitoring", "server")


class RoomsScatteredError(Exception):
    """Packages of the platform are found in different folders: one of them is somebody else's."""

    reason: ClassVar[str] = "ROOMS_SCATTERED"

    def __init__(self, *, folders: dict[str, str]) -> None:
        self.folders = folders
        super().__init__(", ".join(f"{room} in {folder}" for room, folder in folders.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """The platform without its doors."""

    config: Config
    now: Callable[[], datetime]
    keys: Keyring
    engine: Engine
    authority: Authority
    audit: AuditLog
    registry: Registry
    people: People
    assertions: Assertions
    ledger: Ledger
    insurer: Insurer

    def faces(self) -> "FacePipeline":
        """Load the models; takes a second, so only who looks at faces does it.

        Raises:
            ModelError: a model is missing or is not the one the manifest names.
        """
        from server.faces.loading import load_faces  # noqa: PLC0415 - half of the time that a small command takes

        return load_faces(self.config)


def utc_now() -> datetime:
    """Return the time, aware, UTC."""
    return datetime.now(UTC)


def build_domain(config: Config, *, now: Callable[[], datetime] = utc_now) -> Domain:
    """Put the domain together on the configured database, which is brought to the newest schema.

    Raises:
        RoomsScatteredError: a foreign package would be used in the place of ours.
        KeyFileError, AuthorityError: there is no authority yet, or its files are not in order.
        StoreError: the database does not open.
    """
    refuse_scattered_rooms()
    keys = read_keys(config)
    authority = Authority.open(
        config.authority_dir,
        passphrase=keys.ca_passphrase,
        lifetimes=CertificateLifetimes(
            terminal=config.registry.certificate_lifetime, server=config.tls.server_lifetime
        ),
    )
    engine = open_engine(config.database_url)
    migrate(engine)
    audit = AuditLog(now=now)
    ledger = Ledger(now=now)
    return Domain(
        config=config,
        now=now,
        keys=keys,
        engine=engine,
        authority=authority,
        audit=audit,
        registry=Registry(now=now, authority=authority, audit=audit, announce=announce, policy=registry_policy(config)),
        people=People(
            now=now,
            index_key=keys.people_index,
            data_key=keys.people_data,
            template_key=keys.template,
            audit=audit,
        ),
        assertions=Assertions(
            now=now, signing_key=keys.assertion, key_id="assertion", lifetime=config.face.assertion_lifetime
        ),
        ledger=ledger,
        insurer=LocalInsurer(rules=load_rules(), ledger=ledger),
    )


def registry_policy(config: Config) -> RegistryPolicy:
    """Return the registry's choices, as configured."""
    registry = config.registry
    return RegistryPolicy(
        token_lifetime=registry.token_lifetime,
        nonce_lifetime=registry.nonce_lifetime,
        nonces_open_max=registry.nonces_open_max,
        renewal_grace=registry.renewal_grace,
        certificates_per_day_max=_certificates_per_day_max(registry.certificate_lifetime),
        heartbeat_interval=registry.heartbeat_interval,
        overdue_after=registry.overdue_after,
        flapping_connects=registry.flapping_connects,
        flapping_window=registry.flapping_window,
        command_lifetime=registry.command_lifetime,
    )


def _certificates_per_day_max(lifetime: timedelta) -> int:
    """Return the bound for a terminal that renews in time, twice over: short-lived certificates need more of them."""
    renewals_a_day = timedelta(days=1) / (lifetime * RENEW_AFTER_FRACTION)
    return max(RegistryPolicy().certificates_per_day_max, ceil(2 * renewals_a_day))


def refuse_scattered_rooms() -> None:
    """Check that all packages lie side by side; see STYLE, "the import name `server`".

    Raises:
        RoomsScatteredError: they do not.
    """
    specs = {room: find_spec(room) for room in ROOMS}
    folders = {
        room: str(Path(spec.origin).parent.parent) if spec and spec.origin else "nowhere"
        for room, spec in specs.items()
    }
    if len(set(folders.values())) != 1:
        raise RoomsScatteredError(folders=folders)
