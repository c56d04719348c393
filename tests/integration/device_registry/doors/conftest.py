"""All doors by which a terminal comes in or comes back, on books in which one manufacturer is approved."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from device_registry import Authority
from tests.support.database import Database
from tests.support.doors import HERON, Doors, the_doors
from tests.support.factory import an_approved_maker, an_approved_model


@pytest.fixture
def doors(tmp_path: Path, shared_authority: Authority) -> Doors:
    return the_doors(tmp_path, authority=shared_authority)


@pytest.fixture
def connection(database: Database, doors: Doors) -> Iterator[Connection]:
    """Return a connection to books in which one manufacturer is approved."""
    with database.engine.begin() as connection:
        an_approved_model(connection, doors.bench.makers, an_approved_maker(connection, doors.bench.makers, HERON))
        yield connection
