"""Insured people in a real database: found by those who may, readable by nobody else."""

from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError

from server.credentials import consent_counts, record_consent
from server.credentials.errors import (
    CardNumberInvalidError,
    CardTakenError,
    IdNumberInvalidError,
    PersonExistsError,
    PersonUnknownError,
    PinFormatError,
)
from server.store.tables.people import consents
from tests.integration.credentials.made_up import (
    CARD_NUMBER,
    NAME,
    OPERATOR,
    PIN,
    CredentialsBench,
    a_credentials_bench,
    a_person,
    a_template,
    an_id_number,
)
from tests.support.database import Database


@pytest.fixture
def engine(database: Database) -> Engine:
    return database.engine


@pytest.fixture
def bench() -> CredentialsBench:
    return a_credentials_bench()


def test_a_person_is_found_by_claim_card_and_id(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        person = a_person(bench.people, connection, card_number=CARD_NUMBER)
        people = bench.people

        assert person.masked_name == "某**"
        assert people.by_claim(connection, id_number=an_id_number().lower(), name=f" {NAME} ") == person
        assert people.id_by_card(connection, CARD_NUMBER.lower()) == person.person_id
        assert people.get(connection, person.person_id) == person


def test_a_claim_with_another_name_finds_nobody(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        a_person(bench.people, connection)

        assert bench.people.by_claim(connection, id_number=an_id_number(), name="某丙") is None
        assert bench.people.by_claim(connection, id_number=an_id_number(2), name=NAME) is None
        assert bench.people.id_by_card(connection, CARD_NUMBER) is None
        assert bench.people.get(connection, "nobody") is None


def test_the_same_id_number_or_card_is_taken_once(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        a_person(bench.people, connection, card_number=CARD_NUMBER)

        with pytest.raises(PersonExistsError):
            a_person(bench.people, connection, name="某丙")
    with pytest.raises(CardTakenError), engine.begin() as connection:
        a_person(bench.people, connection, serial=2, card_number=CARD_NUMBER)
    with engine.begin() as connection:
        assert bench.people.by_claim(connection, id_number=an_id_number(2), name=NAME) is None


@pytest.mark.parametrize(
    ("wrong", "refused"),
    [
        ({"id_number": "999999190001010010"}, IdNumberInvalidError),
        ({"card_number": "no card"}, CardNumberInvalidError),
        ({"pin": "12345"}, PinFormatError),
        ({"pin": "12345a"}, PinFormatError),
    ],
)
def test_what_has_the_wrong_form_is_refused(
    engine: Engine, bench: CredentialsBench, wrong: dict[str, str], refused: type[Exception]
) -> None:
    given: dict[str, str | None] = {
        "name": NAME, "id_number": an_id_number(), "region": "999900", "card_number": None, "pin": None, **wrong
    }  # fmt: skip

    with engine.begin() as connection, pytest.raises(refused):
        bench.people.add(connection, template=None, actor=OPERATOR, **given)  # type: ignore[arg-type]  # by name


def test_i03_i07_nothing_personal_can_be_read_from_the_file(database: Database, bench: CredentialsBench) -> None:
    """PIN, name, ID number, card number and face: none of them rests in clear, in any likely form."""
    with database.engine.begin() as connection:
        a_person(bench.people, connection, card_number=CARD_NUMBER, pin=PIN, template=a_template())
    written = database.bytes_on_disk()

    assert b"person_added" in written
    secrets_in_clear = [NAME, NAME[1:], an_id_number(), an_id_number()[6:14], CARD_NUMBER, PIN]
    for secret in secrets_in_clear:
        for encoding in ("utf-8", "utf-16-le", "gb18030"):
            assert secret.encode(encoding) not in written, encoding
    embedding = a_template().embedding
    for kind in (np.float16, np.float32, np.float64):
        assert embedding[:3].astype(kind).tobytes() not in written


def test_a_face_can_be_replaced_and_forgotten_and_that_is_audited(database: Database, bench: CredentialsBench) -> None:
    with database.engine.begin() as connection:
        person_id = a_person(bench.people, connection, template=a_template(1)).person_id
        bench.people.remember_face(connection, person_id=person_id, template=a_template(2), actor=OPERATOR)
        kept = bench.people.template(connection, person_id)
        forgotten = bench.people.forget_face(connection, person_id=person_id, actor=OPERATOR, reason="asked for")

        assert kept is not None
        np.testing.assert_array_equal(kept.embedding, a_template(2).embedding)
        assert forgotten
        assert bench.people.template(connection, person_id) is None
        assert not bench.people.forget_face(connection, person_id=person_id, actor=OPERATOR)
        report = bench.audit.verify(connection)
        assert (report.entries, report.broken_at) == (4, None)
    assert b"face_forgotten" in database.bytes_on_disk()


def test_a_face_belongs_to_somebody(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection, pytest.raises(PersonUnknownError):
        bench.people.remember_face(connection, person_id="nobody", template=a_template(), actor=OPERATOR)


def test_i08_consents_are_recorded_once_and_refusals_without_the_person(
    engine: Engine, bench: CredentialsBench
) -> None:
    now = bench.clock.now()
    with engine.begin() as connection:
        person_id = a_person(bench.people, connection).person_id
        for session_id, granted in (("s-1", True), ("s-2", False), ("s-3", False)):
            record_consent(
                connection, session_id=session_id, terminal_id="t-1", site_id="site-1", person_id=person_id,
                granted=granted, text_version="2026-01", given_at=now, recorded_at=now,
            )  # fmt: skip

        rows = connection.execute(
            select(consents.c.granted, consents.c.person_id).order_by(consents.c.session_id)
        ).all()
        assert [tuple(row) for row in rows] == [(True, person_id), (False, None), (False, None)]
        (count,) = consent_counts(connection, since=now)
        assert (count.site_id, count.granted, count.refused) == ("site-1", 1, 2)
        assert consent_counts(connection, since=now + timedelta(seconds=1)) == []
        with pytest.raises(IntegrityError):
            record_consent(
                connection, session_id="s-1", terminal_id="t-1", site_id="site-1", person_id=None,
                granted=True, text_version="2026-01", given_at=now, recorded_at=now,
            )  # fmt: skip
