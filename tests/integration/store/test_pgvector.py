"""The gallery in PostgreSQL: the same suite as those in memory, and what is true of it alone."""

from functools import cache

import numpy as np
import pytest
from sqlalchemy import insert, text

from face_pipeline.gallery import Layout
from face_pipeline.template_keys import HeldKeys
from server.store.gallery import delete_sealed
from server.store.pgvector import PgvectorIndex, Rotation, prepare
from server.store.tables.gallery import face_templates
from server.store.tables.people import insured_people
from tests.integration.store.test_gallery import a_person_row
from tests.support.clock import Clock
from tests.support.database import PostgresqlDatabase
from tests.support.gallery_contract import (
    FUSED,
    ONE_PART,
    PEOPLE,
    GalleryIndexContract,
    Make,
    a_face,
    a_template,
    another_look,
)

KEYS = HeldKeys(b"t" * 32)


@pytest.fixture
def layout() -> Layout:
    return ONE_PART


@pytest.fixture
def enrolled(postgresql_database: PostgresqlDatabase) -> PostgresqlDatabase:
    """Return a database whose people have templates; a rotated face without one there cannot be."""
    with postgresql_database.engine.begin() as connection:
        for person_id in (f"p-{seed}" for seed in range(PEOPLE)):
            row = a_person_row(person_id) | {"id_number_index": person_id.encode().ljust(32)}
            connection.execute(insert(insured_people), row)
            connection.execute(
                insert(face_templates).values(person_id=person_id, sealed=b"x", enrolled_at=Clock().now())
            )
    return postgresql_database


@cache
def a_rotation(layout: Layout, keys: HeldKeys) -> Rotation:
    return Rotation(layout, keys)


def an_index(
    database: PostgresqlDatabase, layout: Layout, *, keys: HeldKeys = KEYS, place: str = "site-1"
) -> PgvectorIndex:
    rotation = a_rotation(layout, keys)
    with database.engine.begin() as connection:
        prepare(connection, rotation)
    return PgvectorIndex(place, layout, rotation=rotation, writing=database.engine, reading=database.another_reader())


@pytest.fixture
def make(enrolled: PostgresqlDatabase) -> Make:
    return lambda layout: an_index(enrolled, layout)


class TestInPostgresql(GalleryIndexContract):
    """The suite of the port."""


def test_what_lies_in_the_table_is_not_the_face_and_differs_by_key() -> None:
    one, other = a_rotation(FUSED, KEYS), a_rotation(FUSED, HeldKeys(b"u" * 32))
    turned = np.array([rotation_of(one, seed) for seed in range(6)])

    lengths = np.linalg.norm(turned, axis=1)
    cosines = turned @ turned.T
    faces = np.array([a_face(seed, FUSED) for seed in range(6)])

    np.testing.assert_allclose(lengths, 1, atol=1e-3)
    np.testing.assert_allclose(cosines, faces @ faces.T, atol=1e-3)
    assert abs(float(turned[0] @ a_face(0, FUSED))) < 0.3
    assert abs(float(turned[0] @ rotation_of(other, 0))) < 0.3
    np.testing.assert_array_equal(rotation_of(Rotation(FUSED, KEYS), 0), turned[0])


def test_with_the_template_goes_the_rotated_face_in_the_same_transaction(enrolled: PostgresqlDatabase) -> None:
    index = an_index(enrolled, FUSED)
    index.add("p-1", a_template(1, FUSED))
    with enrolled.engine.begin() as connection:
        delete_sealed(connection, "p-1")

    assert len(index) == 0
    index.add("p-1", a_template(1, FUSED))  # comes too late: there is no template any more
    assert index.search(a_face(1, FUSED), k=1) == []


def test_each_place_has_its_own_people_and_a_new_key_begins_anew(enrolled: PostgresqlDatabase) -> None:
    here, there = an_index(enrolled, FUSED), an_index(enrolled, FUSED, place="site-2")
    here.add("p-1", a_template(1, FUSED))
    there.add("p-2", a_template(2, FUSED))

    assert [each.person_id for each in here.search(another_look(2, FUSED), k=5)] == ["p-1"]
    anew = an_index(enrolled, FUSED, keys=HeldKeys(b"n" * 32, b"t" * 32))
    assert (len(anew), len(here), len(there)) == (0, 0, 0)
    with enrolled.engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM rotated_faces")) == 0


def rotation_of(rotation: Rotation, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([float(number) for number in rotation.of(a_face(seed, FUSED))[1:-1].split(",")])
