"""Where does a run take place? In an empty folder: keys, an authority, people with cards, terminals, made up for it."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from device_registry import Authority, SiteKind, TerminalClass
from server.checker.people import ACTOR, REGION, Crowd, Payer
from server.config import Config, load_config
from server.issuing import certificate_lifetimes, issuing_keys
from server.keyring import make_keys
from server.programs import environment, program
from server.wiring import Domain, build_domain

PAYERS_PER_TERMINAL: Final = 12
MAKER: Final = "Checker Works"


class InsurerChoice(StrEnum):
    """Who pays."""

    LOCAL = "local"
    FSI = "fsi"


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """One of the run's terminals, before it is enrolled."""

    name: str
    serial_number: str
    state: Path
    token: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class World:
    """One run's folder, and what was put into it."""

    folder: Path
    models_dir: Path
    insurer: InsurerChoice = InsurerChoice.LOCAL
    database_url: str = ""
    more: dict[str, str] = field(default_factory=dict)
    """Settings of the server that are known late, such as where the core is."""

    @property
    def env(self) -> dict[str, str]:
        """The environment of every process: this machine only, any free ports, a doubt that is worked off soon."""
        settings = {
            "SHUALIAN_DATA_DIR": str(self.folder / "platform"),
            "SHUALIAN_MODELS_DIR": str(self.models_dir),
            "SHUALIAN_STORE_URL": self.database_url,
            "SHUALIAN_ENROLLMENT_PORT": "0",
            "SHUALIAN_TERMINAL_PORT": "0",
            "SHUALIAN_ADMIN_ENABLED": "false",
            "SHUALIAN_HTTP_PORT": "0",
            "SHUALIAN_DIAGNOSTICS_ENABLED": "false",
            "SHUALIAN_FACE_WORKERS": "1",
            "SHUALIAN_LOG_LEVEL": "warning",
            "SHUALIAN_SETTLEMENT_RESOLVE_INTERVAL": "1s",
            "SHUALIAN_SETTLEMENT_RESOLVE_BACKOFF_MAX": "5s",
            "SHUALIAN_SETTLEMENT_RESOLVE_ATTEMPTS_MAX": "1000",
            "SHUALIAN_SETTLEMENT_INSURER_TIMEOUT": "4s",
            **self.more,
        }
        if sys.dont_write_bytecode:  # a run starts hundreds of processes: let them compile once, in our own folder
            settings |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")}
        return environment({key: value for key, value in settings.items() if value or key.startswith("PYTHON")})

    @property
    def config(self) -> Config:
        """What every process of the run reads."""
        return load_config(None, self.env)

    @property
    def root_pem(self) -> Path:
        """The root certificate that terminals trust."""
        return self.config.authority_dir / "root.pem"

    def make_keys(self) -> None:
        """Make every key and the authority, as `shualian ca init` does."""
        config = self.config
        make_keys(config)
        Authority.create(
            config.authority_dir,
            passphrase=config.ca_passphrase.read_bytes().strip(),
            now=lambda: datetime.now(UTC),
            lifetimes=certificate_lifetimes(config),
            keys=issuing_keys(config),
        )

    def populate(self, *, seed: int, terminals: Sequence[str]) -> tuple[list[Payer], list[Till]]:
        """Put people with cards and money, and terminals with tokens, into the books."""
        domain = build_domain(self.config)
        try:
            with domain.engine.begin() as connection:
                crowd = Crowd(domain=domain, seed=seed, with_relatives=self.insurer is InsurerChoice.LOCAL)
                payers = crowd.enter(connection, count=PAYERS_PER_TERMINAL * len(terminals))
                tills = [self._terminal(domain, connection, name) for name in terminals]
        finally:
            domain.engine.dispose()
        return payers, tills

    def _terminal(self, domain: Domain, connection: Connection, name: str) -> Till:
        site = domain.registry.add_site(
            connection, name=f"Site of {name}", region=REGION, kind=SiteKind.HOSPITAL, actor=ACTOR
        )
        terminal = domain.registry.register(
            connection, serial_number=f"CHECKER-{name}", manufacturer=MAKER, model="K1",
            terminal_class=TerminalClass.FACE, site_id=site.site_id, certification_number="C-1", record_number="R-1",
            actor=ACTOR,
        )  # fmt: skip
        token = domain.registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=ACTOR)
        return Till(name=name, serial_number=f"CHECKER-{name}", state=self.folder / name, token=token.token)


def enroll_command(till: Till, *, root_pem: Path, enrollment: str) -> tuple[list[str], Mapping[str, str]]:
    """Return what enrolls a terminal, and the environment that holds its token."""
    command = [
        program("shualian-terminal"), "enroll", "--serial", till.serial_number, "--root", str(root_pem),
        "--platform-enroll", enrollment, "--state", str(till.state), "--json",
    ]  # fmt: skip
    return command, environment({"SHUALIAN_TERMINAL_TOKEN": till.token})


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))
