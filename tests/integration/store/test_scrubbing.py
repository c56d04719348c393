"""What was deleted is gone from the disk too, as far as each engine can say."""

from datetime import timedelta

from sqlalchemy import insert

from face_pipeline.frames import Template
from face_pipeline.template_keys import HeldKeys
from server.store.gallery import SqlTemplateStore, delete_sealed
from server.store.scrubbing import scrub, template_remnants
from server.store.tables.people import insured_people
from tests.integration.store.test_gallery import a_person_row, a_template
from tests.support.clock import Clock
from tests.support.database import Database, SqliteDatabase

KEYS = HeldKeys(b"t" * 32)
PERSON = "01a202b6-ae91-75b3-83f5-af9819534987"


def enrolled(database: Database, template: Template) -> None:
    with database.engine.begin() as connection:
        connection.execute(insert(insured_people).values(**a_person_row(PERSON)))
        SqlTemplateStore(connection, keys=KEYS, now=Clock().now).put(PERSON, template)


def test_after_a_deletion_the_files_hold_no_remnant_of_a_template(database: Database) -> None:
    enrolled(database, a_template())
    before = template_remnants(database.engine, PERSON)
    with database.engine.begin() as connection:
        digest = delete_sealed(connection, PERSON)

    scrubbed = scrub(database.engine)

    assert digest is not None
    assert scrubbed.is_complete
    if database.kind == "sqlite":
        assert before
        assert template_remnants(database.engine, PERSON) == 0
    else:
        assert (before, template_remnants(database.engine, PERSON)) == (None, None)
    with database.engine.begin() as connection:  # the engine goes on as before
        assert delete_sealed(connection, PERSON) is None


def test_a_reader_who_holds_an_older_state_is_waited_for_and_then_told_of(sqlite_database: SqliteDatabase) -> None:
    enrolled(sqlite_database, a_template())
    reader = sqlite_database.outside()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM face_templates").fetchone()
    with sqlite_database.engine.begin() as connection:
        delete_sealed(connection, PERSON)

    while_reading = scrub(sqlite_database.engine, patience=timedelta(milliseconds=100))
    reader.execute("ROLLBACK")
    afterwards = scrub(sqlite_database.engine)

    assert (while_reading.is_complete, afterwards.is_complete) == (False, True)
    assert template_remnants(sqlite_database.engine, PERSON) == 0


def test_a_template_of_either_format_is_recognised_wherever_it_lies(sqlite_database: SqliteDatabase) -> None:
    enrolled(sqlite_database, a_template())
    scrub(sqlite_database.engine)
    once = template_remnants(sqlite_database.engine, PERSON)
    first_format = PERSON.encode() + b"\x01\x00\x0bsface@01234" + bytes(40)
    with sqlite_database.path.open("ab") as file:
        file.write(first_format + PERSON.encode() + b"\x01\x00\x00" + PERSON.encode() + b"\x02\x00" + PERSON.encode())

    assert once == 1
    assert template_remnants(sqlite_database.engine, PERSON) == 2
