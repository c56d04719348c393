"""A desk before a remote insurer, with one settled bill that both have."""

from collections.abc import AsyncIterator

import pytest

from tests.support.database import Database, SqliteDatabase
from tests.support.far import Far, a_far_desk


@pytest.fixture
async def far(database: Database) -> AsyncIterator[Far]:
    """Return a desk before a remote insurer, with one settled bill."""
    async with a_far_desk(database.engine) as desk:
        await desk.settle()
        yield desk


@pytest.fixture
async def near(sqlite_database: SqliteDatabase) -> AsyncIterator[Far]:
    """Return the same where the engine does not matter."""
    async with a_far_desk(sqlite_database.engine) as desk:
        await desk.settle()
        yield desk
