"""What the tests of the national insurer may ask for."""

from collections.abc import AsyncIterator

import pytest

from tests.support.database import SqliteDatabase
from tests.support.fsi import Fsi, a_running_fsi


@pytest.fixture
async def fsi(sqlite_database: SqliteDatabase) -> AsyncIterator[Fsi]:
    """Return an insurer before a core that behaves."""
    async with a_running_fsi(sqlite_database) as built:
        yield built
