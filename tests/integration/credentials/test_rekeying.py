"""A new key for every template, in portions, while people are enrolled; on both databases."""

import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select, update

from face_pipeline.frames import Template
from face_pipeline.templates import key_id_in
from server.config import Config
from server.credentials.rekeying import Rekeying
from server.keyring import make_keys
from server.store.tables.gallery import face_templates
from server.template_keys import TemplateKeyFiles
from tests.support.database import Database
from tests.support.gallery import LAYOUT, OPERATOR, Town, a_face, a_town


@pytest.fixture
def keys(tmp_path: Path) -> TemplateKeyFiles:
    make_keys(Config(data_dir=tmp_path))
    return TemplateKeyFiles(tmp_path / "keys")


@pytest.fixture
def town(database: Database, keys: TemplateKeyFiles) -> Town:
    town = a_town(keys=keys)
    with database.engine.begin() as connection:
        town.furnish(connection)
    return town


def test_an_interrupted_run_goes_on_and_everything_opens_at_every_moment(
    database: Database, keys: TemplateKeyFiles, town: Town
) -> None:
    with database.engine.begin() as connection:
        people = [town.enroll(connection, seed).person_id for seed in range(10)]
    keys.make()
    work = Rekeying(keys=keys, audit=town.audit, portion=4)

    def everything_opens() -> bool:
        with database.engine.begin() as connection:
            return all(town.people.template(connection, person_id) is not None for person_id in people)

    with database.engine.begin() as connection:
        first = work.portion(connection)
    with database.engine.connect() as connection, connection.begin() as begun:  # kill -9 in the middle of the next
        work.portion(connection, first.after or (0, ""))
        begun.rollback()
    between = _left(database, work)
    opened_between = everything_opens()
    with database.engine.begin() as connection:
        people.append(town.enroll(connection, 77).person_id)  # enrolled meanwhile: under the newest key already
    resealed = _run(database, work)

    assert (first.resealed, between, opened_between) == (4, 6, True)
    assert (resealed, _left(database, work), everything_opens()) == (6, 0, True)
    assert _run(database, work) == 0


def test_a_template_that_was_replaced_meanwhile_is_not_overwritten_by_the_older_one(
    database: Database, keys: TemplateKeyFiles, town: Town
) -> None:
    with database.engine.begin() as connection:
        person_id = town.enroll(connection, 1).person_id
    keys.make()
    with database.engine.begin() as connection:
        anew = Template(embedding=a_face(2), model_id=LAYOUT.model_id)
        town.people.remember_face(connection, person_id=person_id, template=anew, actor=OPERATOR)

    _run(database, Rekeying(keys=keys, audit=town.audit))

    with database.engine.begin() as connection:
        kept = town.people.template(connection, person_id)
    assert kept is not None
    assert (kept.embedding == a_face(2)).all()


def test_templates_of_the_first_format_are_counted_and_sealed_anew(
    database: Database, keys: TemplateKeyFiles, town: Town
) -> None:
    """They name no key, so as long as there is one, no key may go."""
    with database.engine.begin() as connection:
        person_id = town.enroll(connection, 1).person_id
        person, model = person_id.encode(), LAYOUT.model_id.encode()
        bound_to = b"\x01" + struct.pack(">H", len(person)) + person + struct.pack(">H", len(model)) + model
        numbers = AESGCM(keys.all()[0]).encrypt(bytes(12), a_face(1).tobytes(), bound_to)
        old = b"\x01" + struct.pack(">H", len(model)) + model + bytes(12) + numbers
        connection.execute(update(face_templates).values(sealed=old))
    work = Rekeying(keys=keys, audit=town.audit)
    with database.engine.begin() as connection:
        before = work.usage(connection)

    resealed = _run(database, work)

    with database.engine.begin() as connection:
        after = work.usage(connection)
        sealed = connection.scalar(select(face_templates.c.sealed))
    assert (before.unnamed, before.left, resealed) == (1, 1, 1)
    assert (after.unnamed, after.left, [key.templates for key in after.keys]) == (0, 0, [1])
    assert key_id_in(sealed or b"") is not None


def _run(database: Database, work: Rekeying) -> int:
    resealed = 0
    after: tuple[int, str] | None = (0, "")
    while after is not None:
        with database.engine.begin() as connection:
            portion = work.portion(connection, after)
        resealed += portion.resealed
        after = portion.after
    return resealed


def _left(database: Database, work: Rekeying) -> int:
    with database.engine.begin() as connection:
        return work.usage(connection).left
