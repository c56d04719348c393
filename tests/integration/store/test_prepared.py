"""A prepared statement gives what SQLAlchemy gives, only sooner."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Column, Integer, String, Table, bindparam, create_engine, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from device_registry.tables import UtcTime, metadata
from device_registry.tables.prepared import Prepared, PreparedStatementError, Statement
from server.store.tables.people import insured_people
from tests.support.database import Database, SqliteDatabase

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
PERSON = {
    "person_id": "p-1",
    "region": "110000",
    "id_number_index": b"\x00index",
    "id_number_sealed": b"sealed",
    "name_sealed": b"\xffsealed",
    "phone_sealed": None,
    "added_at": NOON,
}
ADD = Prepared(insert(insured_people).values({name: bindparam(name) for name in PERSON}))
FIND = Prepared(select(insured_people).where(insured_people.c.person_id == bindparam("id")))
MOVE = Prepared(
    update(insured_people)
    .where(insured_people.c.person_id == bindparam("id"), insured_people.c.region == "110000")
    .values(region=bindparam("to"))
)


def test_values_go_in_and_come_out_as_core_has_them(database: Database) -> None:
    with database.engine.begin() as connection:
        assert ADD.run(connection, **PERSON) == 1

        assert FIND.row(connection, id="p-1") == tuple(PERSON.values())
        assert FIND.rows(connection, id="p-1") == [tuple(connection.execute(select(insured_people)).one())]
        assert FIND.row(connection, id="nobody") is None
        assert FIND.rows(connection, id="nobody") == []


def test_a_guarded_update_says_how_many_rows_it_changed(database: Database) -> None:
    with database.engine.begin() as connection:
        ADD.run(connection, **PERSON)

        assert MOVE.run(connection, id="p-1", to="310000") == 1
        assert MOVE.run(connection, id="p-1", to="440000") == 0


def test_returning_literals_and_deletes_work(database: Database) -> None:
    added = Prepared(
        insert(insured_people).values({name: bindparam(name) for name in PERSON}).returning(insured_people.c.added_at)
    )
    constant = Prepared(select(literal(NOON, UtcTime)).limit(1))
    removed = Prepared(delete(insured_people).where(insured_people.c.added_at <= bindparam("until")))
    with database.engine.begin() as connection:
        assert added.row(connection, **PERSON) == (NOON,)
        assert constant.row(connection) == (NOON,)
        assert removed.run(connection, until=NOON) == 1


def test_it_begins_a_transaction_as_core_does(database: Database) -> None:
    with database.engine.connect() as connection:
        ADD.run(connection, **PERSON)
        connection.rollback()

        assert FIND.row(connection, id="p-1") is None


def test_errors_have_the_classes_of_core_and_tell_no_values(database: Database) -> None:
    with database.engine.begin() as connection:
        ADD.run(connection, **PERSON)
        with pytest.raises(IntegrityError) as caught:
            ADD.run(connection, **PERSON)
    gone = Prepared(select(Table("no_such_table", metadata.__class__(), Column("x", Integer))))
    with database.engine.begin() as connection, pytest.raises((OperationalError, ProgrammingError)):
        gone.rows(connection)

    assert "p-1" not in str(caught.value)


def test_it_speaks_to_drivers_with_named_parameters_too(sqlite_database: SqliteDatabase) -> None:
    engine = create_engine(sqlite_database.url, paramstyle="named")
    add = Prepared(insert(insured_people).values({name: bindparam(name) for name in PERSON}))
    regions = Prepared(select(insured_people.c.region).where(insured_people.c.added_at <= bindparam("until")))
    with engine.begin() as connection:
        add.run(connection, **PERSON)

        assert regions.rows(connection, until=NOON) == [("110000",)]
    engine.dispose()


def test_a_forgotten_value_is_an_error_and_not_null(database: Database) -> None:
    with database.engine.begin() as connection, pytest.raises(PreparedStatementError, match="region"):
        ADD.run(connection, **{name: value for name, value in PERSON.items() if name != "region"})


@pytest.mark.parametrize(
    "statement",
    [
        select(insured_people).where(insured_people.c.person_id.in_(["p-1", "p-2"])),
        insert(
            Table("defaulted", metadata.__class__(), Column("x", String, default=lambda: "made in Python"))
        ).values(),
    ],
)
def test_what_only_core_can_do_is_refused(database: Database, statement: Statement) -> None:
    with database.engine.begin() as connection, pytest.raises(PreparedStatementError):
        Prepared(statement).run(connection)
