"""A simulated core in this process, on a file of its own, and an institution that is signed in to it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from server.core_simulator import Books, Core, CoreSettings, Seals
from tests.support.clock import Clock
from tests.support.institution import Institution

NOON = datetime(2026, 11, 22, 4, tzinfo=UTC)


@pytest.fixture
def clock() -> Clock:
    """Return the core's clock: noon in Shanghai."""
    return Clock(NOON)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    """Return new books."""
    opened = Books(tmp_path / "core.db")
    yield opened
    opened.close()


@pytest.fixture
def core(books: Books, clock: Clock) -> Core:
    """Return a core that demands no seals and makes people up."""
    return Core(books=books, seals=Seals(), settings=CoreSettings(), now=clock.now)


@pytest.fixture
def institution(core: Core) -> Institution:
    """Return a hospital that is signed in."""
    hospital = Institution(lambda body: core.answer(body, {}).body)
    hospital.sign_in()
    return hospital
