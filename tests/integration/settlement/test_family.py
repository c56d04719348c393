"""The holder's credential pays for five relatives at most: bound on the word of who may give it, ended by either."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Connection

from server.credentials import InsuredPerson
from server.credentials.errors import (
    AssertionForeignError,
    AssertionUsedError,
    BindingExistsError,
    BindingSelfError,
    BindingsFullError,
    BindingUnknownError,
    CredentialNotActiveError,
    PersonNotInRegisterError,
    RegisterTriesSpentError,
    RegisterUnavailableError,
    RelativeFaceMissingError,
)
from server.credentials.register import Registered
from server.credentials.relatives import WRONG_PER_TERMINAL_MAX
from server.settlement import AccountKind, FaceAuthorization
from server.settlement.errors import QuoteMismatchError
from tests.support.credentials import (
    CredentialWindow,
    RegisterInMemory,
    a_credential_window,
    a_wish,
    an_action,
    an_id_number_of,
    registered,
)
from tests.support.database import Database, SqliteDatabase, locked
from tests.support.money import ANOTHER_TERMINAL, REGION, a_bill, a_settlement_desk

CHILD = date(2018, 6, 1)


@pytest.fixture
async def window(sqlite_database: SqliteDatabase) -> AsyncIterator[CredentialWindow]:
    """Return the desks, and a register elsewhere that tests put people into."""
    async with a_settlement_desk(sqlite_database.engine) as money:
        yield a_credential_window(money, register=RegisterInMemory())


@pytest.fixture
async def raced(database: Database) -> AsyncIterator[CredentialWindow]:
    """Return the same on each engine, for what happens at once."""
    async with a_settlement_desk(database.engine) as money:
        yield a_credential_window(money, register=RegisterInMemory())


def known(window: CredentialWindow, *, born: date = CHILD, name: str = "苏小溪") -> Registered:
    """Put somebody into the register."""
    who = registered(name=name, id_number=an_id_number_of(born))
    register = window.relatives._register  # noqa: SLF001 - the fake that the fixture put there
    assert isinstance(register, RegisterInMemory)
    register.people.append(who)
    return who


async def taken_in(window: CredentialWindow, who: Registered) -> InsuredPerson:
    """Make somebody of the register one of our people."""

    def write(connection: Connection) -> InsuredPerson:
        return window.money.people.add(
            connection, name=who.name, id_number=who.id_number, region=REGION, card_number=None, pin=None,
            template=None, actor="operator:test",
        )  # fmt: skip

    return await window.money.unit_of_work.write(write)


async def test_a_family_account_pays_for_a_child_who_never_was_here_before(raced: CredentialWindow) -> None:
    money, bound = raced.money, await raced.bound(known(raced))
    bill, face = a_bill(total_fen=9_000), await money.a_face()
    holder_before = await money.balance(AccountKind.PERSON, money.person.person_id)

    quote = await money.desk.pre_settle(money.caller, bill, face, binding_id=bound.binding_id)
    receipt = await money.desk.settle(
        money.caller,
        transaction_id=money.an_id(),
        quote_id=quote.quote_id,
        bill=bill,
        authorization=face,
        binding_id=bound.binding_id,
    )

    paid = holder_before - await money.balance(AccountKind.PERSON, money.person.person_id)
    assert (receipt.masked_payer_name, receipt.masked_patient_name) == ("苏*", "苏**")
    # The holder's year has its deductible behind it; the child's has not, so the pooled fund pays nothing.
    assert receipt.shares.pooled_fund_fen == 0
    assert paid == receipt.shares.personal_account_fen > 0
    assert await money.books_are_sound()


async def test_the_quote_of_a_relative_pays_for_nobody_else(window: CredentialWindow) -> None:
    money, bound = window.money, await window.bound(known(window))
    bill, face = a_bill(), await money.a_face()
    for_child = await money.desk.pre_settle(money.caller, bill, face, binding_id=bound.binding_id)
    for_holder = await money.a_quote(bill, face)

    for quote, binding_id in ((for_child, ""), (for_holder, bound.binding_id)):
        with pytest.raises(QuoteMismatchError):
            await money.desk.settle(
                money.caller,
                transaction_id=money.an_id(),
                quote_id=quote.quote_id,
                bill=bill,
                authorization=face,
                binding_id=binding_id,
            )


@pytest.mark.parametrize("by", ["holder", "relative"])
async def test_a_binding_ended_by_either_side_pays_no_more_even_as_quoted(window: CredentialWindow, by: str) -> None:
    money, child = window.money, known(window)
    relative, bound = await taken_in(window, child), await window.bound(child)
    bill, face = a_bill(), await money.a_face()
    quote = await money.desk.pre_settle(money.caller, bill, face, binding_id=bound.binding_id)

    proof = await window.a_proof(relative if by == "relative" else None)
    ended_at = await window.relatives.unbind(window.caller, proof, binding_id=bound.binding_id)

    assert await window.relatives.unbind(window.caller, proof, binding_id=bound.binding_id) == ended_at
    with pytest.raises(BindingUnknownError):
        await money.desk.settle(
            money.caller,
            transaction_id=money.an_id(),
            quote_id=quote.quote_id,
            bill=bill,
            authorization=face,
            binding_id=bound.binding_id,
        )
    assert await money.unused_assertions() == 1


async def test_a_stranger_neither_uses_nor_ends_a_binding(window: CredentialWindow) -> None:
    bound = await window.bound(known(window))
    stranger = await taken_in(window, known(window, name="陌路人"))

    with pytest.raises(BindingUnknownError):
        await window.money.desk.pre_settle(
            window.caller, a_bill(), await window.money.a_face(person=stranger), binding_id=bound.binding_id
        )
    with pytest.raises(BindingUnknownError):
        await window.relatives.unbind(window.caller, await window.a_proof(stranger), binding_id=bound.binding_id)


async def test_five_relatives_and_no_sixth_also_when_all_come_at_once(raced: CredentialWindow) -> None:
    wishes = [a_wish(known(raced, name=f"某{n}"), holder=await raced.a_proof()) for n in range(7)]

    outcomes = await asyncio.gather(
        *(raced.relatives.bind(raced.caller, wish) for wish in wishes), return_exceptions=True
    )

    assert sum(isinstance(outcome, BindingsFullError) for outcome in outcomes) == 2
    listed = await raced.relatives.list(raced.caller, await raced.a_proof())
    assert len(listed) == 5
    assert await raced.money.unused_assertions() == 2  # those of the two that were refused
    await raced.relatives.unbind(raced.caller, await raced.a_proof(), binding_id=listed[2].binding_id)
    await raced.bound(known(raced))  # the place is free again


async def test_the_same_wish_gets_the_same_binding(window: CredentialWindow) -> None:
    wish = a_wish(known(window), holder=await window.a_proof())

    first, again = await asyncio.gather(*(window.relatives.bind(window.caller, wish) for _ in range(2)))

    assert first == again
    assert await window.relatives.bind(window.caller, wish) == first
    with pytest.raises(AssertionUsedError):
        await window.relatives.bind(window.caller, replace(wish, request_id=an_action()))


async def test_from_sixteen_on_nobody_is_bound_without_their_own_face(window: CredentialWindow) -> None:
    # At 23:59 of the eve in Shanghai a guardian's word is enough; a minute later it is not.
    window.money.clock.set(datetime(2026, 3, 1, 15, 59, tzinfo=UTC))
    child, sibling = (known(window, born=date(2010, 3, 2), name=name) for name in ("苏晨", "苏曦"))
    await window.bound(child)
    window.money.clock.set(datetime(2026, 3, 1, 16, 0, tzinfo=UTC))
    relative = await taken_in(window, sibling)

    with pytest.raises(RelativeFaceMissingError):
        await window.bound(sibling)
    with pytest.raises(PersonNotInRegisterError):  # the holder's own second face is not the relative's
        await window.bound(sibling, face=(await window.a_proof()).assertion)
    elsewhere = await window.a_proof(relative, terminal_id=ANOTHER_TERMINAL)
    with pytest.raises(AssertionForeignError):
        await window.bound(sibling, face=elsewhere.assertion)
    await window.bound(sibling, face=(await window.a_proof(relative)).assertion)


async def test_a_guardians_word_is_good_until_the_sixteenth_birthday(window: CredentialWindow) -> None:
    window.money.clock.set(datetime(2026, 3, 1, 15, 59, tzinfo=UTC))
    child = known(window, born=date(2010, 3, 2))
    relative, bound = await taken_in(window, child), await window.bound(child)
    window.money.clock.set(datetime(2026, 3, 1, 16, 0, tzinfo=UTC))

    assert await window.relatives.list(window.caller, await window.a_proof()) == ()
    with pytest.raises(BindingUnknownError):
        await window.money.desk.pre_settle(
            window.money.caller, a_bill(), await window.money.a_face(), binding_id=bound.binding_id
        )
    await window.bound(child, face=(await window.a_proof(relative)).assertion)
    assert len(await window.relatives.list(window.caller, await window.a_proof())) == 1


async def test_nobody_binds_themselves_or_twice_or_whom_the_register_does_not_know(window: CredentialWindow) -> None:
    money, child = window.money, known(window)
    own = await money.unit_of_work.read(lambda c: money.people.identity(c, money.person.person_id))
    register = window.relatives._register  # noqa: SLF001 - as above
    assert isinstance(register, RegisterInMemory)
    myself = registered(name=own.name, id_number=own.id_number)
    register.people.append(myself)
    await window.bound(child)

    with pytest.raises(BindingExistsError):
        await window.bound(child)
    with pytest.raises(BindingSelfError):
        await window.bound(myself, face=(await window.a_proof()).assertion)
    with pytest.raises(PersonNotInRegisterError):
        await window.bound(replace(child, name="别人"))
    register.is_down = True
    with pytest.raises(RegisterUnavailableError):
        await window.bound(known(window))


async def test_names_cannot_be_found_by_trying(window: CredentialWindow) -> None:
    proof = await window.a_proof()
    for _ in range(WRONG_PER_TERMINAL_MAX):
        with pytest.raises(PersonNotInRegisterError):
            await window.relatives.bind(
                window.caller, a_wish(registered(id_number=an_id_number_of(CHILD)), holder=proof)
            )

    with pytest.raises(RegisterTriesSpentError):
        await window.relatives.bind(window.caller, a_wish(known(window), holder=proof))


async def test_a_face_of_a_small_bills_session_pays_and_does_nothing_to_a_credential(window: CredentialWindow) -> None:
    """It reached a laxer threshold, for a bill of which a wrong accept costs little."""
    proof = await window.a_proof(amount_limit_fen=5_000, pin_free_limit_fen=5_000, proves_holder=False)
    child, relative = known(window), await taken_in(window, known(window, born=date(1962, 5, 4)))
    bound = await window.bound(child)

    for refused in (
        window.desk.issue_code(window.caller, proof),
        window.desk.end(window.caller, proof),
        window.relatives.list(window.caller, proof),
        window.relatives.bind(window.caller, a_wish(child, holder=proof)),
        window.relatives.unbind(window.caller, proof, binding_id=bound.binding_id),
    ):
        with pytest.raises(AssertionForeignError):
            await refused
    adults = known(window, born=date(1962, 5, 4))
    theirs = await window.a_proof(relative, proves_holder=False)
    with pytest.raises(AssertionForeignError):
        await window.bound(adults, face=theirs.assertion)
    quote = await window.money.a_quote(a_bill(total_fen=4_000), FaceAuthorization(assertion=proof.assertion))

    assert not quote.pin_required


@pytest.mark.parametrize("staff_may_confirm", [True, False])  # as an operator's rules have it
async def test_a_face_that_may_be_a_picture_neither_ends_nor_binds_nor_lists(
    window: CredentialWindow, *, staff_may_confirm: bool
) -> None:
    """It pays with a PIN or a practitioner beside it alone, and here nothing stands beside it."""
    proof = await window.a_proof(
        amount_limit_fen=30_000, pin_free_limit_fen=0, staff_may_confirm=staff_may_confirm, proves_holder=False
    )
    child = known(window)

    with pytest.raises(AssertionForeignError):
        await window.desk.end(window.caller, proof)
    with pytest.raises(AssertionForeignError):
        await window.relatives.list(window.caller, proof)
    with pytest.raises(AssertionForeignError):
        await window.relatives.bind(window.caller, a_wish(child, holder=proof))
    code = await window.desk.issue_code(window.caller, proof)

    assert (await window.desk.resolve_code(code.code)).pin_free_limit_fen == 0


async def test_an_adult_who_did_not_come_is_not_looked_up(window: CredentialWindow) -> None:
    """Or the refusal would tell whether name and number agree, as often as anybody likes."""
    proof = await window.a_proof()
    adult = known(window, born=date(1962, 5, 4))

    for who in (adult, replace(adult, name="别人")):
        with pytest.raises(RelativeFaceMissingError):
            await window.relatives.bind(window.caller, a_wish(who, holder=proof))


async def test_a_question_that_ends_in_no_binding_counts_whatever_it_failed_for(window: CredentialWindow) -> None:
    proof, adult = await window.a_proof(), known(window, born=date(1962, 5, 4))
    await taken_in(window, adult)
    for who in [adult, replace(adult, name="别人")] * (WRONG_PER_TERMINAL_MAX // 2):
        with pytest.raises(PersonNotInRegisterError):  # the holder's face as the relative's: no word on the name
            await window.relatives.bind(window.caller, a_wish(who, holder=proof, face=proof.assertion))

    with pytest.raises(RegisterTriesSpentError):
        await window.relatives.bind(window.caller, a_wish(adult, holder=proof, face=proof.assertion))


async def test_i09_whether_the_register_knows_whom_a_face_is_not_takes_no_turn_of_the_writer(
    window: CredentialWindow, sqlite_database: SqliteDatabase
) -> None:
    """Else a terminal could measure what the refusal does not say, with nobody there but the holder."""
    proof, adult = await window.a_proof(), known(window, born=date(1962, 5, 4))
    refusals = set[str]()

    with locked(sqlite_database):
        for who in (adult, replace(adult, name="别人")):
            with pytest.raises(PersonNotInRegisterError) as refused:
                await window.relatives.bind(window.caller, a_wish(who, holder=proof, face=proof.assertion))
            refusals.add(repr(refused.value))

    assert len(refusals) == 1


async def test_a_register_that_is_down_and_relatives_who_are_bound_cost_no_question(window: CredentialWindow) -> None:
    register = window.relatives._register  # noqa: SLF001 - as above
    assert isinstance(register, RegisterInMemory)
    child = known(window)
    register.is_down = True
    for _ in range(WRONG_PER_TERMINAL_MAX):
        with pytest.raises(RegisterUnavailableError):
            await window.bound(child)
    register.is_down = False
    for _ in range(WRONG_PER_TERMINAL_MAX):
        relative = await window.bound(child)
        await window.relatives.unbind(window.caller, await window.a_proof(), binding_id=relative.binding_id)

    assert (await window.bound(child)).masked_name == "苏**"


async def test_i11_questions_at_once_do_not_pass_the_bound_together(window: CredentialWindow) -> None:
    class Slow(RegisterInMemory):
        async def find(self, *, id_number: str, name: str, with_face: bool) -> Registered | None:
            await asyncio.sleep(0.05)
            return await super().find(id_number=id_number, name=name, with_face=with_face)

    asking, proof = a_credential_window(window.money, register=Slow()), await window.a_proof()
    outcomes = await asyncio.gather(
        *(
            asking.relatives.bind(asking.caller, a_wish(registered(id_number=an_id_number_of(CHILD)), holder=proof))
            for _ in range(2 * WRONG_PER_TERMINAL_MAX)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, PersonNotInRegisterError) for outcome in outcomes) == WRONG_PER_TERMINAL_MAX
    assert sum(isinstance(outcome, RegisterTriesSpentError) for outcome in outcomes) == WRONG_PER_TERMINAL_MAX


async def test_without_an_active_credential_nobody_is_bound(window: CredentialWindow) -> None:
    child = known(window)
    await window.desk.end(window.caller, await window.a_proof())

    with pytest.raises(CredentialNotActiveError):
        await window.bound(child)
