"""A registry on a real database of each kind; its authority is made once per run, its keys are not what is tested."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from device_registry import Authority
from tests.support.authority import an_authority
from tests.support.builders import RegistryBench, a_registry
from tests.support.clock import Clock
from tests.support.database import Database


@pytest.fixture(scope="session")
def shared_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority made at the moment every test's clock starts."""
    return an_authority(tmp_path_factory.mktemp("authority"), Clock())


@pytest.fixture
def bench(tmp_path: Path, shared_authority: Authority) -> RegistryBench:
    """Return a registry and all around it."""
    return a_registry(tmp_path, authority=shared_authority)


@pytest.fixture
def engine(database: Database) -> Engine:
    """Return a new database."""
    return database.engine


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    """Return a connection in a transaction that is committed when the test ends."""
    with engine.begin() as connection:
        yield connection
