"""A credential is activated once, issued anew after a change, and dies with everything that hangs on it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from server.credentials.errors import (
    ActivationOvertakenError,
    AssertionExpiredError,
    AssertionForeignError,
    AssertionInvalidError,
    AssertionUsedError,
    CredentialNotActiveError,
    PinExistsError,
    PinGuessableError,
    RequestReusedError,
)
from server.settlement import FaceAuthorization
from server.store.tables.credentials import activation_assertions, credentials, family_bindings
from tests.integration.credentials.made_up import a_template
from tests.support.credentials import (
    CredentialWindow,
    RegisterInMemory,
    a_credential_window,
    an_action,
    registered,
)
from tests.support.database import Database, SqliteDatabase
from tests.support.money import ANOTHER_TERMINAL, a_bill, a_settlement_desk

NEW_PIN = "582931"


@pytest.fixture
async def window(sqlite_database: SqliteDatabase) -> AsyncIterator[CredentialWindow]:
    """Return the desks, without a person in the register yet."""
    async with a_settlement_desk(sqlite_database.engine) as money:
        yield a_credential_window(money, register=RegisterInMemory())


@pytest.fixture
async def raced(database: Database) -> AsyncIterator[CredentialWindow]:
    """Return the same on each engine, for what happens at once."""
    async with a_settlement_desk(database.engine) as money:
        yield a_credential_window(money, register=RegisterInMemory())


async def test_somebody_new_becomes_one_of_our_people_with_their_face_in_the_same_transaction(
    raced: CredentialWindow,
) -> None:
    who = registered(name="沈知秋", template=a_template())

    done = await raced.activated(who, pin=NEW_PIN)

    people = raced.money.people
    person_id = await raced.money.unit_of_work.read(lambda c: people.id_by_number(c, who.id_number))
    assert person_id is not None
    assert await raced.money.unit_of_work.read(lambda c: people.template(c, person_id)) is not None
    await raced.money.pins.verify(person_id, NEW_PIN, terminal_id=raced.caller.terminal_id)
    assert (done.masked_name, done.is_reissued, done.is_repeated) == ("沈**", False, False)


async def test_the_same_request_gets_the_same_answer_and_another_body_is_refused(raced: CredentialWindow) -> None:
    who = registered(template=a_template())
    assertion, request_id = await raced.a_face_in_the_register(who), an_action()

    answers = await asyncio.gather(
        *(raced.desk.activate(raced.caller, request_id=request_id, assertion=assertion, pin=None) for _ in range(4))
    )

    assert len({answer.credential_id for answer in answers}) == 1
    other = await raced.a_face_in_the_register(who)
    with pytest.raises(RequestReusedError):
        await raced.desk.activate(raced.caller, request_id=request_id, assertion=other, pin=None)
    with pytest.raises(AssertionUsedError):
        await raced.desk.activate(raced.caller, request_id=an_action(), assertion=assertion, pin=None)


async def test_activating_again_is_harmless(window: CredentialWindow) -> None:
    who = registered(template=a_template())
    first = await window.activated(who)

    again = await window.activated(who)

    assert (again.credential_id, again.is_reissued) == (first.credential_id, False)


@pytest.mark.parametrize("changes", ["name", "number"])
async def test_a_change_in_the_register_kills_the_old_credential_its_codes_and_its_bindings(
    window: CredentialWindow, changes: str
) -> None:
    money, old = window.money, registered(name="沈知秋", template=a_template())
    first = await window.activated(old)
    holder_id = await money.unit_of_work.read(lambda c: money.people.id_by_number(c, old.id_number))
    holder = await money.unit_of_work.read(lambda c: money.people.get(c, holder_id or ""))
    code = await window.a_code(person=holder)
    await money.unit_of_work.write(
        lambda c: money.family.bind(
            c,
            credential=money.credentials.active(c, holder_id or ""),
            relative_id=money.person.person_id,
            good_until=None,
            actor="terminal:test",
            request_id="",
        )
    )

    if changes == "name":
        new = replace(old, name="沈知夏")
    else:
        new = registered(name=old.name, former=(old.id_number,), template=a_template())
    done = await window.activated(new)

    assert done.is_reissued
    assert done.credential_id != first.credential_id
    assert await money.unit_of_work.read(lambda c: money.people.id_by_number(c, new.id_number)) == holder_id
    with pytest.raises(CredentialNotActiveError):
        await window.desk.resolve_code(code.code)
    left = select(func.count()).select_from(family_bindings).where(family_bindings.c.ended_at.is_(None))
    states = (
        select(credentials.c.state).where(credentials.c.person_id == holder_id).order_by(credentials.c.credential_id)
    )
    assert await money.unit_of_work.read(lambda c: c.scalar(left)) == 0
    assert await money.unit_of_work.read(lambda c: list(c.scalars(states))) == ["REPLACED", "ACTIVE"]


async def test_a_pin_is_set_once_and_never_an_easy_one(window: CredentialWindow) -> None:
    who = registered(template=a_template())
    with pytest.raises(PinGuessableError):
        await window.activated(who, pin="123456")
    await window.activated(who, pin=NEW_PIN)

    with pytest.raises(PinExistsError):
        await window.activated(who, pin="703914")


async def test_i04_an_activation_of_another_terminal_late_or_no_activation_at_all_activates_nobody(
    window: CredentialWindow,
) -> None:
    who = registered(template=a_template())
    foreign = await window.a_face_in_the_register(who, terminal_id=ANOTHER_TERMINAL)
    late = await window.a_face_in_the_register(who)
    face = (await window.money.a_face()).assertion

    for assertion, error in ((foreign, AssertionForeignError), (face, AssertionInvalidError)):
        with pytest.raises(error):
            await window.desk.activate(window.caller, request_id=an_action(), assertion=assertion, pin=None)
    window.money.clock.advance(timedelta(seconds=120))
    with pytest.raises(AssertionExpiredError):
        await window.desk.activate(window.caller, request_id=an_action(), assertion=late, pin=None)


async def test_i04_what_activates_pays_for_nothing(window: CredentialWindow) -> None:
    assertion = await window.a_face_in_the_register(registered(template=a_template()))

    with pytest.raises(AssertionInvalidError):
        await window.money.a_quote(a_bill(), FaceAuthorization(assertion=assertion))
    with pytest.raises(AssertionForeignError):
        await window.money.a_quote(a_bill(), await window.money.a_face(purpose="PURPOSE_ACTIVATE"))


async def test_i07_what_the_register_said_is_emptied_when_used_and_when_its_time_is_over(
    window: CredentialWindow,
) -> None:
    kept = select(func.count()).select_from(activation_assertions)
    kept = kept.where(
        activation_assertions.c.name_sealed.is_not(None) | activation_assertions.c.template_sealed.is_not(None)
    )
    await window.activated(registered(template=a_template()))
    assert await window.money.unit_of_work.read(lambda c: c.scalar(kept)) == 0
    await window.a_face_in_the_register(registered(template=a_template()))
    assert await window.money.unit_of_work.read(lambda c: c.scalar(kept)) == 1

    window.money.clock.advance(timedelta(seconds=121))
    await window.desk.forget_expired()

    assert await window.money.unit_of_work.read(lambda c: c.scalar(kept)) == 0


async def test_two_terminals_that_take_somebody_in_at_once_take_them_in_once(window: CredentialWindow) -> None:
    who = registered(template=a_template())
    first, second = [await window.a_face_in_the_register(who) for _ in range(2)]
    await window.desk.activate(window.caller, request_id=an_action(), assertion=first, pin=None)

    with pytest.raises(ActivationOvertakenError):
        await window.desk.activate(window.caller, request_id=an_action(), assertion=second, pin=None)


async def test_ending_is_safe_to_repeat(window: CredentialWindow) -> None:
    proof = await window.a_proof()
    ended_at = await window.desk.end(window.caller, proof)
    window.money.clock.advance(timedelta(seconds=5))

    assert await window.desk.end(window.caller, proof) == ended_at
    with pytest.raises(AssertionUsedError):
        await window.relatives.list(window.caller, proof)


async def test_an_end_that_is_sent_again_does_not_end_the_credential_that_came_after(window: CredentialWindow) -> None:
    who = registered(template=a_template())
    await window.activated(who)
    people = window.money.people
    person_id = await window.money.unit_of_work.read(lambda c: people.id_by_number(c, who.id_number))
    person = await window.money.unit_of_work.read(lambda c: people.get(c, person_id or ""))
    proof = await window.a_proof(person)
    ended_at = await window.desk.end(window.caller, proof)
    window.money.clock.advance(timedelta(seconds=30))
    await window.activated(who)

    assert await window.desk.end(window.caller, proof) == ended_at
    assert await window.desk.issue_code(window.caller, await window.a_proof(person))


async def test_the_active_credential_is_ended_also_when_a_dead_one_seems_newer(raced: CredentialWindow) -> None:
    """Ids are ordered by the clocks of those who made them, and a clock may have been ahead."""
    money, ahead = raced.money, "ffffffff-ffff-7fff-bfff-ffffffffffff"
    dead = {"credential_id": ahead, "person_id": money.person.person_id, "state": "ENDED", "identity_digest": b"0" * 32}
    at = money.clock.now() - timedelta(days=1)
    await money.unit_of_work.write(
        lambda connection: connection.execute(insert(credentials).values(**dead, activated_at=at, ended_at=at))
    )

    ended_at = await raced.desk.end(raced.caller, await raced.a_proof())

    assert ended_at == money.clock.now()
    with pytest.raises(CredentialNotActiveError):
        await raced.desk.issue_code(raced.caller, await raced.a_proof())
    assert await raced.desk.end(raced.caller, await raced.a_proof()) == ended_at
