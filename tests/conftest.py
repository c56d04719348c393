"""What tests of every room may ask for: a database, once on each engine that we support."""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.database import Database, PostgresqlDatabase, SqliteDatabase
from tests.support.postgres import PostgresServer

# How long an example takes, or the making of it, says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# As our programs do: to look again and again at what lives on costs a tenth of all.
gc.set_threshold(50_000, *gc.get_threshold()[1:])


BOUNDED = {"device_registry", "face_pipeline", "settlement", "credentials"}
"""The rooms with a coverage bound, which is on what their own tests reach: tracing makes a test half as slow again."""


SYSTEM_SECONDS_MAX = 240
"""A system test starts processes, the first one of a worker a whole platform: on a busy machine each takes seconds."""


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the system tests first: a few of them last a minute, and one that begins last keeps everybody waiting."""
    items.sort(key=lambda item: "system" not in item.path.parts)
    for item in items:
        if "system" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SYSTEM_SECONDS_MAX))


def pytest_collection_finish() -> None:
    """Let the collector leave alone what collecting the tests has made; it stays to the end."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Trace the tests of bounded rooms and no others; pytest-cov's own marker leaves set-up and tear-down traced."""
    controller: Any = getattr(item.config.pluginmanager.get_plugin("_cov"), "cov_controller", None)
    is_bounded = not BOUNDED.isdisjoint(item.path.parts)
    if controller is not None and controller.started != is_bounded:
        (controller.resume if is_bounded else controller.pause)()


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
