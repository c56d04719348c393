"""A prepared statement gives what SQLAlchemy gives, only sooner."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, String, Table, bindparam, create_engine, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError, OperationalError

from device_registry.tables import UtcTime, metadata
from server.store.prepared import Prepared, PreparedStatementError, Statement
from server.store.tables.people import insured_people
from tests.support.database import a_database

NOON = datetime(2026, 3, 2, 12, 0, 0, 123456, tzinfo=UTC)
PERSON = {
    "person_id": "p-1",
    "region": "110000",
    "id_number_index": b"\x00index",
    "id_number_sealed": b"sealed",
    "name_sealed": b"\xffsealed",
    "added_at": NOON,
}
ADD = Prepared(insert(insured_people).values({name: bindparam(name) for name in PERSON}))
FIND = Prepared(select(insured_people).where(insured_people.c.person_id == bindparam("id")))
MOVE = Prepared(
    update(insured_people)
    .where(insured_people.c.person_id == bindparam("id"), insured_people.c.region == "110000")
    .values(region=bindparam("to"))
)


def test_values_go_in_and_come_out_as_core_has_them(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection:
        assert ADD.run(connection, **PERSON) == 1

        assert FIND.row(connection, id="p-1") == tuple(PERSON.values())
        assert FIND.rows(connection, id="p-1") == [tuple(connection.execute(select(insured_people)).one())]
        assert FIND.row(connection, id="nobody") is None
        assert FIND.rows(connection, id="nobody") == []
    engine.dispose()


def test_a_guarded_update_says_how_many_rows_it_changed(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection:
        ADD.run(connection, **PERSON)

        assert MOVE.run(connection, id="p-1", to="310000") == 1
        assert MOVE.run(connection, id="p-1", to="440000") == 0
    engine.dispose()


def test_returning_literals_and_deletes_work(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    added = Prepared(
        insert(insured_people).values({name: bindparam(name) for name in PERSON}).returning(insured_people.c.added_at)
    )
    constant = Prepared(select(literal(NOON, UtcTime)).limit(1))
    removed = Prepared(delete(insured_people).where(insured_people.c.added_at <= bindparam("until")))
    with engine.begin() as connection:
        assert added.row(connection, **PERSON) == (NOON,)
        assert constant.row(connection) == (NOON,)
        assert removed.run(connection, until=NOON) == 1
    engine.dispose()


def test_it_begins_a_transaction_as_core_does(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.connect() as connection:
        ADD.run(connection, **PERSON)
        connection.rollback()

        assert FIND.row(connection, id="p-1") is None
    engine.dispose()


def test_errors_have_the_classes_of_core_and_tell_no_values(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection:
        ADD.run(connection, **PERSON)
        with pytest.raises(IntegrityError) as caught:
            ADD.run(connection, **PERSON)
    gone = Prepared(select(Table("no_such_table", metadata.__class__(), Column("x", Integer))))
    with engine.begin() as connection, pytest.raises(OperationalError):
        gone.rows(connection)

    assert "p-1" not in str(caught.value)
    engine.dispose()


def test_it_speaks_to_drivers_with_named_parameters_too(tmp_path: Path) -> None:
    a_database(tmp_path).dispose()
    engine = create_engine(f"sqlite:///{tmp_path / 'shualian.db'}", paramstyle="named")
    add = Prepared(insert(insured_people).values({name: bindparam(name) for name in PERSON}))
    regions = Prepared(select(insured_people.c.region).where(insured_people.c.added_at <= bindparam("until")))
    with engine.begin() as connection:
        add.run(connection, **PERSON)

        assert regions.rows(connection, until=NOON) == [("110000",)]
    engine.dispose()


def test_a_forgotten_value_is_an_error_and_not_null(tmp_path: Path) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection, pytest.raises(PreparedStatementError, match="region"):
        ADD.run(connection, **{name: value for name, value in PERSON.items() if name != "region"})
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        select(insured_people).where(insured_people.c.person_id.in_(["p-1", "p-2"])),
        insert(
            Table("defaulted", metadata.__class__(), Column("x", String, default=lambda: "made in Python"))
        ).values(),
    ],
)
def test_what_only_core_can_do_is_refused(tmp_path: Path, statement: Statement) -> None:
    engine = a_database(tmp_path)
    with engine.begin() as connection, pytest.raises(PreparedStatementError):
        Prepared(statement).run(connection)
    engine.dispose()
