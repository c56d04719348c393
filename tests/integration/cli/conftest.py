"""What every test of the command line needs: a data folder of its own, and a way to ask and read the answer."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import make_url

from server.cli import run
from tests.support.database import migrated_at
from tests.support.platform import a_config


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """How one command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command answered
        """The one JSON document on standard output."""
        return json.loads(self.out)


Ask = Callable[..., Reply]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Ask]:
    """Yield a function that runs `shualian` with arguments on an empty data folder."""
    monkeypatch.setenv("SHUALIAN_DATA_DIR", str(tmp_path / "data"))

    def asking(*arguments: str) -> Reply:
        code = run(arguments)
        printed = capfd.readouterr()
        return Reply(code=code, out=printed.out, err=printed.err)

    yield asking
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)


@pytest.fixture
def site(ask: Ask, tmp_path: Path) -> str:
    """Return the id of a site on a platform whose authority was made; its database was migrated once before."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    migrated_at(Path(make_url(a_config(folder).database_url).database or ""))
    assert ask("ca", "init").code == 0
    reply = ask("site", "add", "--name", "Demo clinic", "--region", "110000", "--kind", "clinic", "--json")
    return str(reply.json["site_id"])


@pytest.fixture
def register(ask: Ask, site: str) -> Callable[[str], Any]:
    """Return a function that registers a terminal by its serial number and returns what was answered."""

    def registering(serial_number: str) -> Any:  # noqa: ANN401 - what the command answered
        return ask(
            "terminal", "register", "--serial", serial_number, "--site", site, "--manufacturer", "Demo works",
            "--model", "K1", "--certification", "C-1", "--record", "R-1", "--with-token", "--json",
        ).json  # fmt: skip

    return registering
