"""One suite for the port `TemplateStore`, run against each implementation."""

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import insert, update

from face_pipeline.errors import TemplateSealError
from face_pipeline.frames import Template
from face_pipeline.gallery import MemoryTemplateStore, TemplateStore
from face_pipeline.template_keys import HeldKeys
from server.store.gallery import SqlTemplateStore
from server.store.tables.gallery import face_templates
from server.store.tables.people import insured_people
from tests.support.clock import Clock
from tests.support.database import Database, PostgresqlDatabase, SqliteDatabase

KEYS = HeldKeys(bytes(range(32)))


def a_template(seed: int = 1) -> Template:
    numbers = np.random.default_rng(seed).normal(size=128).astype(np.float32)
    return Template(embedding=numbers / np.linalg.norm(numbers), model_id="sface-2021dec")


@pytest.fixture(params=["memory", "sqlite_database", "postgresql_database"])
def gallery(request: pytest.FixtureRequest) -> Iterator[TemplateStore]:
    if request.param == "memory":
        yield MemoryTemplateStore(keys=KEYS)
        return
    database: SqliteDatabase | PostgresqlDatabase = request.getfixturevalue(request.param)
    with database.engine.begin() as connection:
        for person_id in ("p-1", "p-2"):
            connection.execute(insert(insured_people).values(**a_person_row(person_id)))
        yield SqlTemplateStore(connection, keys=KEYS, now=Clock().now)


def a_person_row(person_id: str) -> dict[str, object]:
    sealed = person_id.encode()
    return {
        "person_id": person_id,
        "region": "110000",
        "id_number_index": sealed,
        "id_number_sealed": sealed,
        "name_sealed": sealed,
        "added_at": Clock().now(),
    }


def test_a_template_comes_back_as_it_was(gallery: TemplateStore) -> None:
    gallery.put("p-1", a_template())

    found = gallery.get("p-1")
    assert found is not None
    assert found.model_id == "sface-2021dec"
    np.testing.assert_array_equal(found.embedding, a_template().embedding)


def test_a_new_template_takes_the_place_of_the_old_one(gallery: TemplateStore) -> None:
    gallery.put("p-1", a_template(1))
    gallery.put("p-1", a_template(2))

    found = gallery.get("p-1")
    assert found is not None
    np.testing.assert_array_equal(found.embedding, a_template(2).embedding)


def test_a_person_without_a_template_has_none(gallery: TemplateStore) -> None:
    gallery.put("p-1", a_template())

    assert gallery.get("p-2") is None


def test_a_forgotten_template_is_gone(gallery: TemplateStore) -> None:
    gallery.put("p-1", a_template())

    assert gallery.delete("p-1")
    assert not gallery.delete("p-1")
    assert gallery.get("p-1") is None


def test_i07_a_template_rests_encrypted_and_bound_to_its_person(database: Database) -> None:
    with database.engine.begin() as connection:
        for person_id in ("p-1", "p-2"):
            connection.execute(insert(insured_people).values(**a_person_row(person_id)))
        SqlTemplateStore(connection, keys=KEYS, now=Clock().now).put("p-1", a_template())
    written = database.bytes_on_disk()
    with database.engine.begin() as connection:
        connection.execute(update(face_templates).values(person_id="p-2"))
        with pytest.raises(TemplateSealError):
            SqlTemplateStore(connection, keys=KEYS, now=Clock().now).get("p-2")

    numbers = a_template().embedding
    assert b"sface-2021dec" in written  # the row is there
    for pattern in (
        numbers[:4].tobytes(),
        numbers[:4].astype(np.float64).tobytes(),
        numbers[:4].astype(np.float16).tobytes(),
    ):
        assert pattern not in written
