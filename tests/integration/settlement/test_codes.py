"""A dynamic code pays once, soon, wherever it is scanned, and no more than what it was issued for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from server.credentials.building import limits_anywhere
from server.credentials.errors import (
    AssertionForeignError,
    CodeExpiredError,
    CodeInvalidError,
    CodeUsedError,
    CredentialNotActiveError,
    PinWrongError,
)
from server.errors import reply_to
from server.faces.rules_file import load_rule_book
from server.settlement import Bill, CodeAuthorization, Quote, Receipt
from server.settlement.errors import PinRequiredError, TransactionIdReusedError
from server.settlement.insurers import EntitlementKind
from tests.support.credentials import BY_CARD, CredentialWindow, a_credential_window
from tests.support.database import Database, SqliteDatabase
from tests.support.insurer import RemoteInsurerInMemory
from tests.support.money import ANOTHER_TERMINAL, PIN, a_bill, a_settlement_desk


@pytest.fixture
async def window(sqlite_database: SqliteDatabase) -> AsyncIterator[CredentialWindow]:
    """Return desks of money and credentials, and one person whose credential is active."""
    async with a_settlement_desk(sqlite_database.engine) as money:
        yield a_credential_window(money)


@pytest.fixture
async def raced(database: Database) -> AsyncIterator[CredentialWindow]:
    """Return the same on each engine, for what happens at once."""
    async with a_settlement_desk(database.engine) as money:
        yield a_credential_window(money)


async def pay(
    window: CredentialWindow,
    bill: Bill,
    quote: Quote,
    code: CodeAuthorization,
    *,
    transaction_id: str = "",
    terminal_id: str = "",
) -> Receipt:
    caller = replace(window.caller, terminal_id=terminal_id or window.caller.terminal_id)
    return await window.money.desk.settle(
        caller,
        transaction_id=transaction_id or window.money.an_id(),
        quote_id=quote.quote_id,
        bill=bill,
        authorization=code,
    )


async def test_a_code_pays_a_bill_and_the_repetition_gets_the_same_receipt(window: CredentialWindow) -> None:
    bill, code = a_bill(), await window.a_code()
    quote, transaction_id = await window.money.a_quote(bill, code), window.money.an_id()

    receipt = await pay(window, bill, quote, code, transaction_id=transaction_id)

    assert await pay(window, bill, quote, code, transaction_id=transaction_id) == receipt
    assert receipt.masked_payer_name == receipt.masked_patient_name == "苏*"
    assert not quote.pin_required
    assert await window.unused_codes() == 0


async def test_i04_a_code_at_two_terminals_at_once_pays_once(raced: CredentialWindow) -> None:
    bills, code = [a_bill(total_fen=1_000) for _ in range(6)], await raced.a_code()
    terminals = [raced.caller.terminal_id, ANOTHER_TERMINAL] * 3
    quotes = [
        await raced.money.desk.pre_settle(replace(raced.caller, terminal_id=terminal), bill, code)
        for terminal, bill in zip(terminals, bills, strict=True)
    ]

    outcomes = await asyncio.gather(
        *(
            pay(raced, bill, quote, code, terminal_id=terminal)
            for terminal, bill, quote in zip(terminals, bills, quotes, strict=True)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, CodeUsedError) for outcome in outcomes) == len(bills) - 1
    assert await raced.money.books_are_sound()


async def test_i04_a_code_that_is_late_forged_or_an_assertion_pays_nothing(window: CredentialWindow) -> None:
    bill, code = a_bill(), await window.a_code()
    quote = await window.money.a_quote(bill, code)
    face = await window.money.a_face()
    forged = CodeAuthorization(code=code.code[:-4] + "AAAA")

    for wrong in (forged, CodeAuthorization(code=face.assertion), CodeAuthorization(code="x" * 1024)):
        with pytest.raises(CodeInvalidError):
            await pay(window, bill, quote, wrong)
    window.money.clock.advance(timedelta(seconds=30))
    with pytest.raises(CodeExpiredError):
        await pay(window, bill, quote, code)
    assert await window.money.paid_to_site() == 0


async def test_a_settlement_that_fails_leaves_the_code_unused(raced: CredentialWindow) -> None:
    bill, code = a_bill(), await raced.a_code()
    quote, transaction_id = await raced.money.a_quote(bill, code), raced.money.an_id()

    with pytest.raises(TransactionIdReusedError):
        await pay(raced, bill, quote, code, transaction_id=await _taken(raced, transaction_id))
    assert await raced.unused_codes() == 1
    await pay(raced, bill, quote, code)


async def test_i03_a_code_is_dead_with_its_credential(window: CredentialWindow) -> None:
    bill, code = a_bill(), await window.a_code()
    quote = await window.money.a_quote(bill, code)

    await window.desk.end(window.caller, await window.a_proof())

    with pytest.raises(CredentialNotActiveError):
        await pay(window, bill, quote, code)
    with pytest.raises(CredentialNotActiveError):
        await window.desk.resolve_code(code.code)
    with pytest.raises(CredentialNotActiveError):
        await window.a_code()
    assert await window.money.paid_to_site() == 0


async def test_above_its_pin_free_limit_a_code_needs_the_pin_and_is_unused_until_then(window: CredentialWindow) -> None:
    bill, code = a_bill(total_fen=window.money.limits.code_pin_free_fen + 1), await window.a_code()
    quote = await window.money.a_quote(bill, code)

    with pytest.raises(PinRequiredError) as required:
        await pay(window, bill, quote, code)
    with pytest.raises(PinWrongError):
        await pay(window, bill, quote, replace(code, pin="918273"))
    assert await window.unused_codes() == 1
    await pay(window, bill, quote, replace(code, pin=PIN))

    assert (quote.pin_required, quote.staff_may_confirm) == (True, False)
    assert required.value.pin_free_fen == window.money.limits.code_pin_free_fen
    assert reply_to(required.value).violations[0].field == "authorization.code.pin"


async def test_a_face_that_never_pays_without_a_pin_gets_no_code_that_does(window: CredentialWindow) -> None:
    bill, code = a_bill(total_fen=1), await window.a_code(pin_free_limit_fen=0)
    quote = await window.money.a_quote(bill, code)

    with pytest.raises(PinRequiredError):
        await pay(window, bill, quote, code)

    assert (await window.desk.resolve_code(code.code)).pin_free_limit_fen == 0
    await pay(window, bill, quote, replace(code, pin=PIN))


async def test_the_same_face_again_gets_the_same_code_and_proves_nothing_else(window: CredentialWindow) -> None:
    proof = await window.a_proof()
    first, again = [await window.desk.issue_code(window.caller, proof) for _ in range(2)]
    assert await window.unused_codes() == 1

    await window.desk.resolve_code(first.code)
    assert again.expires_at == first.expires_at
    bill = a_bill()
    await pay(
        window,
        bill,
        await window.money.a_quote(bill, CodeAuthorization(code=first.code)),
        CodeAuthorization(code=first.code),
    )
    with pytest.raises(CodeUsedError):
        await window.desk.resolve_code(again.code)


async def test_a_code_is_had_with_card_and_pin_but_not_with_another_terminals_or_a_practitioners_face(
    window: CredentialWindow,
) -> None:
    await window.desk.issue_code(window.caller, BY_CARD)

    elsewhere = await window.a_proof(terminal_id=ANOTHER_TERMINAL)
    practitioner = await window.a_proof(purpose="PURPOSE_PRACTITIONER")
    for proof in (elsewhere, practitioner):
        with pytest.raises(AssertionForeignError):
            await window.desk.issue_code(window.caller, proof)
    with pytest.raises(PinWrongError):
        await window.desk.issue_code(window.caller, replace(BY_CARD, pin="918273"))
    assert await window.unused_codes() == 1


async def test_i03_no_code_is_on_disk(window: CredentialWindow, sqlite_database: SqliteDatabase) -> None:
    code = (await window.a_code()).code

    assert code.rsplit(".", 1)[-1].encode() not in sqlite_database.bytes_on_disk()


async def test_a_remote_insurer_is_asked_with_the_token_of_an_active_credential(
    sqlite_database: SqliteDatabase,
) -> None:
    insurer = RemoteInsurerInMemory()
    async with a_settlement_desk(sqlite_database.engine, insurer=insurer) as money:
        window = a_credential_window(money)
        bill, code = a_bill(), await window.a_code()
        token = await money.unit_of_work.read(lambda c: money.credentials.token_of(c, money.person.person_id))

        await pay(window, bill, await money.a_quote(bill, code), code)
        entitlements = list(insurer.entitlements)
        face = await money.a_face()
        await window.desk.end(window.caller, await window.a_proof())
        with pytest.raises(CredentialNotActiveError):
            await money.a_quote(bill, face)

    assert [(it.kind, it.number) for it in entitlements if it] == [(EntitlementKind.CREDENTIAL, token)] * 2
    assert len(token) == 40


async def _taken(window: CredentialWindow, transaction_id: str) -> str:
    """Have an id taken by another payment, and return it."""
    bill, code = a_bill(total_fen=500), await window.a_code()
    await pay(window, bill, await window.money.a_quote(bill, code), code, transaction_id=transaction_id)
    return transaction_id


async def test_a_code_of_a_face_pays_no_more_than_such_a_face_pays_whatever_the_business(
    window: CredentialWindow,
) -> None:
    """Or a face shown for a registration would pay at the pharmacy what the pharmacy's own rules do not let it."""
    window = a_credential_window(window.money, anywhere=partial(limits_anywhere, load_rule_book()))
    colour = await window.desk.resolve_code(
        (await window.a_code(amount_limit_fen=100_000, pin_free_limit_fen=20_000)).code
    )
    bill = a_bill(total_fen=15_000)
    code = await window.a_code(amount_limit_fen=100_000, pin_free_limit_fen=20_000)
    quote = await window.money.a_quote(bill, code)
    with pytest.raises(PinRequiredError):
        await pay(window, bill, quote, code)
    solid = await window.desk.resolve_code((await window.a_code()).code)

    assert colour.pin_free_limit_fen == 10_000
    assert solid.pin_free_limit_fen == window.money.limits.code_pin_free_fen
