"""The embedded insurer without the desk, on one database for all of its tests: none of them commits."""

from collections.abc import Iterator

import pytest

from server.settlement.books import verify_settlements
from tests.support.database import Database, PostgresqlDatabase, SqliteDatabase
from tests.support.local_scheme import Scheme, a_scheme


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def shared_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Return one database, once on each engine, for tests that leave nothing behind."""
    opened: Database
    if request.param == "sqlite":
        opened = SqliteDatabase(tmp_path_factory.mktemp("local"))
    else:
        opened = PostgresqlDatabase(request.getfixturevalue("postgres_server"))
    yield opened
    opened.close()


@pytest.fixture
def scheme(shared_database: Database) -> Iterator[Scheme]:
    """Return the embedded insurer on an empty database; at the end its books are sound."""
    with a_scheme(shared_database.engine) as running:
        yield running
        report = verify_settlements(running.connection)
        assert report.is_sound, report
        assert running.ledger.verify(running.connection).is_sound
