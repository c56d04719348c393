"""What most tests of the server ask for: a platform that listens, and one terminal at it; others make their own."""

from collections.abc import AsyncIterator

import pytest

from tests.support.database import Database
from tests.support.face_window import Window, a_window
from tests.support.platform import EnrolledTerminal, RunningPlatform, a_platform, an_enrolled_terminal


@pytest.fixture
async def running() -> AsyncIterator[RunningPlatform]:
    """Return a platform as it is configured by default."""
    async with a_platform() as platform:
        yield platform


@pytest.fixture
async def terminal(running: RunningPlatform) -> EnrolledTerminal:
    """Return a terminal at that platform."""
    return await an_enrolled_terminal(running)


@pytest.fixture
async def window(database: Database) -> AsyncIterator[Window]:
    """Return the desk of face sessions, without a platform around it."""
    async with a_window(database) as opened:
        yield opened
