"""What tests of every room may ask for: a database, once on each engine that we support."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.database import Database, PostgresqlDatabase, SqliteDatabase
from tests.support.postgres import PostgresServer

settings.register_profile("untimed", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("untimed")


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the system tests first: a few of them last a minute, and one that begins last keeps everybody waiting."""
    items.sort(key=lambda item: "system" not in item.path.parts)


UNCOUNTED = {"system", "server", "mock_terminal", "administration", "cli", "house"}
"""Rooms of tests that go through the doors: a domain's lines are counted in its own tests, which is what the bound is
for, and counting costs a third more time."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Count covered lines, where they are counted, only in the tests of the domain's own rooms."""
    plugin = item.config.pluginmanager.getplugin("_cov")
    coverage = getattr(plugin, "cov_controller", None)
    rooms = item.path.relative_to(Path(__file__).parent).parts
    is_counted = "unit" in rooms or UNCOUNTED.isdisjoint(rooms[:-1])
    if coverage is not None and coverage.started != is_counted:
        (coverage.resume if is_counted else coverage.pause)()
    return (yield)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Return the PostgreSQL server of this test process; it starts when the first test needs it."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return a fresh, migrated database; a test that takes it runs once on SQLite and once on PostgreSQL."""
    opened: Database
    if request.param == "sqlite":
        opened = SqliteDatabase(tmp_path)
    else:
        opened = PostgresqlDatabase(request.getfixturevalue("postgres_server"))
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    """Return a database for a test of what only SQLite has."""
    opened = SqliteDatabase(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def postgresql_database(postgres_server: PostgresServer) -> Iterator[PostgresqlDatabase]:
    """Return a database for a test of what only PostgreSQL has."""
    opened = PostgresqlDatabase(postgres_server)
    yield opened
    opened.close()
