"""A child under sixteen is bound by whom the register names as the guardian, and by nobody else who knows the name."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Connection

from device_registry.audit.log import AuditFilter
from server.credentials import InsuredPerson
from server.credentials.errors import (
    BindingUnknownError,
    PersonNotInRegisterError,
    RegisterTriesSpentError,
    RegisterUnavailableError,
)
from server.credentials.guardians import Guardians
from server.credentials.identity import Identity
from server.credentials.register import Registered
from server.credentials.register.local import LocalRegister
from server.credentials.relatives import WRONG_PER_TERMINAL_MAX
from tests.support.credentials import (
    CredentialWindow,
    RegisterInMemory,
    a_credential_window,
    a_wish,
    an_id_number_of,
    registered,
)
from tests.support.database import Database
from tests.support.money import REGION, a_settlement_desk

OPERATOR = "operator:lin"
SEEN = "birth certificate seen"


@pytest.fixture
async def window(database: Database) -> AsyncIterator[CredentialWindow]:
    """Return the desks, over the platform's own register."""
    async with a_settlement_desk(database.engine) as money:
        yield a_credential_window(money)


def guardians_of(window: CredentialWindow) -> Guardians:
    return Guardians(now=window.money.clock.now, audit=window.money.audit)


async def a_child(
    window: CredentialWindow, *, born: date = date(2018, 6, 1), of: InsuredPerson | None = None
) -> tuple[Registered, InsuredPerson]:
    """Have a child in our own register, and a guardian of theirs when one is named."""
    who = registered(name="苏小溪", id_number=an_id_number_of(born))

    def write(connection: Connection) -> InsuredPerson:
        child = window.money.people.add(
            connection, name=who.name, id_number=who.id_number, region=REGION, card_number=None, pin=None,
            template=None, actor=OPERATOR,
        )  # fmt: skip
        if of is not None:
            guardians_of(window).record(
                connection, child_id=child.person_id, guardian_id=of.person_id, actor=OPERATOR, reason=SEEN
            )
        return child

    return who, await window.money.unit_of_work.write(write)


async def test_a_guardian_binds_their_child_and_nobody_else_does(window: CredentialWindow) -> None:
    theirs, _ = await a_child(window, of=window.money.person)
    somebodys, _ = await a_child(window)

    bound = await window.bound(theirs)
    with pytest.raises(PersonNotInRegisterError):
        await window.bound(somebodys)

    assert [it.binding_id for it in await window.relatives.list(window.caller, await window.a_proof())] == [
        bound.binding_id
    ]


async def test_a_guardians_guardian_is_none(window: CredentialWindow) -> None:
    _, young_mother = await a_child(window, of=window.money.person)
    grandchild, _ = await a_child(window, of=young_mother)

    with pytest.raises(PersonNotInRegisterError):
        await window.bound(grandchild)


async def test_who_is_no_guardian_learns_nothing_of_the_child_and_may_not_ask_for_ever(
    window: CredentialWindow,
) -> None:
    """A child of somebody else, a wrong name, and a number of nobody: one answer, one bound for all of them."""
    somebodys, _ = await a_child(window)
    proof, refusals = await window.a_proof(), set[str]()
    nobody = registered(id_number=an_id_number_of(date(2018, 6, 1)))
    asked = [somebodys, replace(somebodys, name="别人"), nobody]
    for number in range(WRONG_PER_TERMINAL_MAX):
        with pytest.raises(PersonNotInRegisterError) as refused:
            await window.relatives.bind(window.caller, a_wish(asked[number % 3], holder=proof))
        refusals.add(repr(refused.value))

    assert len(refusals) == 1
    with pytest.raises(RegisterTriesSpentError):
        await window.relatives.bind(window.caller, a_wish(somebodys, holder=proof))
    assert await window.money.unused_assertions() == 1


async def test_a_childs_own_face_does_not_stand_in_for_the_guardian(window: CredentialWindow) -> None:
    somebodys, child = await a_child(window)
    theirs, own = await a_child(window, of=window.money.person)

    with pytest.raises(PersonNotInRegisterError):
        await window.bound(somebodys, face=(await window.a_proof(child)).assertion)
    bound = await window.bound(theirs, face=(await window.a_proof(own)).assertion)

    (binding,) = await window.money.unit_of_work.read(lambda c: window.money.family.around(c, own.person_id))
    assert (binding.binding_id, binding.good_until) == (bound.binding_id, datetime(2034, 5, 31, 16, 0, tzinfo=UTC))


async def test_a_guardian_who_is_struck_out_binds_no_more(window: CredentialWindow) -> None:
    theirs, child = await a_child(window, of=window.money.person)
    ids = {"child_id": child.person_id, "guardian_id": window.money.person.person_id}

    def strike(connection: Connection) -> list[bool]:
        guardians = guardians_of(window)
        again = guardians.record(connection, **ids, actor=OPERATOR, reason=SEEN)
        ended = [guardians.end(connection, **ids, actor=OPERATOR, reason="court order") for _ in range(2)]
        return [again, *ended, bool(guardians.of(connection, child.person_id))]

    assert await window.money.unit_of_work.write(strike) == [False, True, False, False]
    with pytest.raises(PersonNotInRegisterError):
        await window.bound(theirs)


async def test_a_guardian_who_is_struck_out_while_they_bind_does_not(window: CredentialWindow) -> None:
    """Else the operator has ended every binding that rests on their word, and then there is one more."""
    theirs, child = await a_child(window, of=window.money.person)
    register = LocalRegister(
        unit_of_work=window.money.unit_of_work, people=window.money.people, guardians=guardians_of(window)
    )
    ids = {"child_id": child.person_id, "guardian_id": window.money.person.person_id}

    class StruckOutMeanwhile:
        async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
            return await register.find(id_number=id_number, name=name, with_face=with_face)

        async def find_ward(self, *, id_number: str, name: str, guardian: Identity) -> Registered | None:
            found = await register.find_ward(id_number=id_number, name=name, guardian=guardian)
            await window.money.unit_of_work.write(
                lambda c: guardians_of(window).end(c, **ids, actor=OPERATOR, reason="court order")
            )
            return found

    with pytest.raises(PersonNotInRegisterError):
        await a_credential_window(window.money, register=StruckOutMeanwhile()).bound(theirs)


async def test_an_operator_ends_a_binding_for_a_guardian_who_cannot_come(window: CredentialWindow) -> None:
    theirs, _ = await a_child(window, of=window.money.person)
    bound, family = await window.bound(theirs), window.money.family

    def end(connection: Connection) -> datetime:
        return family.end(connection, bound.binding_id, actor=OPERATOR, reason="custody")

    ended_at = await window.money.unit_of_work.write(end)

    assert await window.money.unit_of_work.write(end) == ended_at
    assert await window.relatives.list(window.caller, await window.a_proof()) == ()
    told = AuditFilter(action="family.unbound")
    (unbound,) = await window.money.unit_of_work.read(lambda c: list(window.money.audit.entries(c, told)))
    assert (unbound.actor, unbound.reason) == (OPERATOR, "custody")
    with pytest.raises(BindingUnknownError):
        await window.money.unit_of_work.write(
            lambda c: family.end(c, window.money.an_id(), actor=OPERATOR, reason="custody")
        )


async def test_i10_a_register_elsewhere_that_does_not_answer_lets_nobody_bind(window: CredentialWindow) -> None:
    child = registered(id_number=an_id_number_of(date(2018, 6, 1)))
    register = RegisterInMemory(child)
    own = await window.money.unit_of_work.read(lambda c: window.money.people.identity(c, window.money.person.person_id))
    asking = a_credential_window(window.money, register=register)
    register.guardians[child.id_number] = set()
    with pytest.raises(PersonNotInRegisterError):
        await asking.bound(child)
    register.guardians[child.id_number] = {own.id_number}
    register.is_down = True
    with pytest.raises(RegisterUnavailableError):
        await asking.bound(child)
    register.is_down = False

    assert (await asking.bound(child)).masked_name == "沈**"
