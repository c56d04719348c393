"""A registry whose revocations are witnessed outside of its database."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from device_registry import Authority, Terminal
from device_registry.revocation.testimony import Testimony
from device_registry.revocation.witness import WitnessFile
from tests.support.builders import RegistryBench, a_registry, a_terminal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "revocations.jsonl"


@pytest.fixture(autouse=True)
def _begun(path: Path) -> None:
    """Make the empty file, as a platform does when it starts for the first time."""
    WitnessFile(path).create()


@pytest.fixture
def bench(tmp_path: Path, shared_authority: Authority, path: Path) -> RegistryBench:
    return a_registry(tmp_path, authority=shared_authority, witness=path)


@pytest.fixture
def kept(bench: RegistryBench) -> Testimony:
    assert bench.revocations.testimony is not None
    return bench.revocations.testimony


@pytest.fixture
def terminal(engine: Engine, bench: RegistryBench) -> Terminal:
    with engine.begin() as connection:
        return a_terminal(connection, bench.registry)
