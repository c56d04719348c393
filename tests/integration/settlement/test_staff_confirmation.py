"""A practitioner may stand in for the PIN of somebody who cannot move: once, here, with that one settlement."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from device_registry.tables import audit_log
from server.credentials.errors import (
    AssertionExpiredError,
    AssertionForeignError,
    AssertionInvalidError,
    AssertionUsedError,
    PinWrongError,
)
from server.settlement import Bill, FaceAuthorization, Quote
from server.settlement.errors import PinRequiredError, QuoteMismatchError
from server.settlement.model import Receipt
from tests.support.confirmations import (
    DOCTOR,
    a_confirmation,
    a_practitioner,
    puts_out_of_service,
    unused_confirmations,
)
from tests.support.database import Database
from tests.support.money import ANOTHER_TERMINAL, PIN, Money, a_bill, a_settlement_desk


@pytest.fixture
async def money(database: Database) -> AsyncIterator[Money]:
    """Return a running desk with a practitioner."""
    async with a_settlement_desk(database.engine) as running:
        await a_practitioner(running)
        yield running


async def a_face_that_cannot_move(money: Money, **changes: str) -> FaceAuthorization:
    return await money.a_face(amount_limit_fen=30_000, pin_free_limit_fen=0, staff_may_confirm=True, **changes)  # type: ignore[arg-type]  # by name


async def pay(
    money: Money, bill: Bill, quote: Quote, face: FaceAuthorization, transaction_id: str | None = None
) -> Receipt:
    return await money.desk.settle(
        money.caller,
        transaction_id=transaction_id or money.an_id(),
        quote_id=quote.quote_id,
        bill=bill,
        authorization=face,
    )


async def test_a_practitioner_confirms_in_the_place_of_the_pin(money: Money) -> None:
    bill, face = a_bill(), await a_face_that_cannot_move(money)
    quote = await money.a_quote(bill, face)
    staff = await a_confirmation(money)

    with pytest.raises(PinRequiredError) as required:
        await pay(money, bill, quote, face)
    receipt = await pay(money, bill, quote, replace(face, staff_assertion=staff))

    assert (quote.pin_required, quote.staff_may_confirm) == (True, True)
    assert (required.value.pin_free_fen, required.value.staff_may_confirm) == (0, True)
    assert receipt.shares == quote.shares
    assert await unused_confirmations(money) == await money.unused_assertions() == 0


async def test_who_confirmed_stands_in_the_audit(money: Money) -> None:
    bill, face = a_bill(), await a_face_that_cannot_move(money)
    quote, transaction_id = await money.a_quote(bill, face), money.an_id()

    await pay(money, bill, quote, replace(face, staff_assertion=await a_confirmation(money)), transaction_id)

    confirmed = select(audit_log.c.subject, audit_log.c.details).where(audit_log.c.action == "settlement.confirmed")
    ((subject, details),) = await money.unit_of_work.read(lambda connection: connection.execute(confirmed).all())
    assert subject == transaction_id
    assert DOCTOR in details
    assert await money.books_are_sound()


async def test_the_pin_does_as_well_and_leaves_the_practitioner_unused(money: Money) -> None:
    bill, face = a_bill(), await a_face_that_cannot_move(money)
    quote, staff = await money.a_quote(bill, face), await a_confirmation(money)

    with pytest.raises(PinWrongError):
        await pay(money, bill, quote, replace(face, pin="918273", staff_assertion=staff))
    await pay(money, bill, quote, replace(face, pin=PIN, staff_assertion=staff))

    assert await unused_confirmations(money) == 1


async def test_an_assertions_own_pin_free_limit_holds_below_the_configured_one(money: Money) -> None:
    face = await money.a_face(pin_free_limit_fen=8_000)
    free, above = a_bill(total_fen=8_000), a_bill(total_fen=8_001)
    quotes = [await money.a_quote(bill, face) for bill in (free, above)]

    with pytest.raises(PinRequiredError) as required:
        await pay(money, above, quotes[1], face)
    await pay(money, free, quotes[0], face)

    assert [quote.pin_required for quote in quotes] == [False, True]
    assert not quotes[1].staff_may_confirm
    assert (required.value.pin_free_fen, required.value.staff_may_confirm) == (8_000, False)


async def test_where_staff_may_not_confirm_a_practitioner_helps_nothing(money: Money) -> None:
    bill = a_bill(total_fen=money.limits.pin_free_fen + 1)
    face = await money.a_face(staff_assertion=await a_confirmation(money))
    quote = await money.a_quote(bill, face)

    with pytest.raises(PinRequiredError):
        await pay(money, bill, quote, face)

    assert await unused_confirmations(money) == await money.unused_assertions() == 1


async def test_i04_a_confirmation_stands_behind_one_settlement_of_many_at_once(money: Money) -> None:
    staff = await a_confirmation(money)
    bills = [a_bill(total_fen=1_000) for _ in range(6)]
    faces = [replace(await a_face_that_cannot_move(money), staff_assertion=staff) for _ in bills]
    quotes = [await money.a_quote(bill, face) for bill, face in zip(bills, faces, strict=True)]

    outcomes = await asyncio.gather(
        *(pay(money, bill, quote, face) for bill, quote, face in zip(bills, quotes, faces, strict=True)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AssertionUsedError) for outcome in outcomes) == len(bills) - 1
    assert await unused_confirmations(money) == 0
    assert await money.unused_assertions() == len(bills) - 1  # whose settlement failed stays unused
    assert await money.paid_to_site() == 1_000


async def test_i04_one_face_with_two_practitioners_settles_once(money: Money) -> None:
    bills = [a_bill(total_fen=1_000) for _ in range(2)]
    face = await a_face_that_cannot_move(money)
    quotes = [await money.a_quote(bill, face) for bill in bills]
    confirmed = [replace(face, staff_assertion=await a_confirmation(money)) for _ in bills]

    outcomes = await asyncio.gather(
        *(pay(money, bill, quote, proof) for bill, quote, proof in zip(bills, quotes, confirmed, strict=True)),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 1
    assert await unused_confirmations(money) == 1


async def test_i05_the_same_transaction_again_gets_the_same_receipt_and_uses_nothing_up(money: Money) -> None:
    bill, face = a_bill(), await a_face_that_cannot_move(money)
    quote, transaction_id = await money.a_quote(bill, face), money.an_id()
    first, second = await a_confirmation(money), await a_confirmation(money)
    confirmed = replace(face, staff_assertion=first)

    at_once = await asyncio.gather(*(pay(money, bill, quote, confirmed, transaction_id) for _ in range(4)))
    money.clock.advance(timedelta(seconds=200))  # the assertions are over; the settlement is not
    later = [
        await pay(money, bill, quote, replace(face, staff_assertion=token), transaction_id)
        for token in (first, second, None)
    ]

    assert {receipt.receipt_id for receipt in (*at_once, *later)} == {at_once[0].receipt_id}
    assert sum(not receipt.is_repeated for receipt in at_once) == 1
    assert await unused_confirmations(money) == 1
    assert await money.paid_to_site() == bill.total_fen


async def test_i04_a_settlement_that_fails_leaves_both_unused(money: Money) -> None:
    bill, face = a_bill(), await a_face_that_cannot_move(money)
    quote = await money.a_quote(bill, face)
    confirmed = replace(face, staff_assertion=await a_confirmation(money))

    with pytest.raises(QuoteMismatchError):  # after both were used in the transaction that is rolled back
        await pay(money, replace(bill, total_fen=bill.total_fen + 1), quote, confirmed)

    assert await unused_confirmations(money) == await money.unused_assertions() == 1
    assert await pay(money, bill, quote, confirmed)


async def test_i04_a_confirmation_of_another_terminal_business_time_or_making_stands_behind_nothing(
    money: Money,
) -> None:
    bill, face = a_bill(), await a_face_that_cannot_move(money)
    quote = await money.a_quote(bill, face)
    late = await a_confirmation(money)
    cases = (
        (await a_confirmation(money, terminal_id=ANOTHER_TERMINAL), AssertionForeignError),
        (await a_confirmation(money, business_type=2121), AssertionForeignError),
        (late[:-4] + "AAAA", AssertionInvalidError),
        (face.assertion, AssertionInvalidError),  # a patient's face is no practitioner's
    )

    for token, error in cases:
        with pytest.raises(error):
            await pay(money, bill, quote, replace(face, staff_assertion=token))
    money.clock.advance(timedelta(seconds=121))
    fresh = await a_face_that_cannot_move(money)
    with pytest.raises(AssertionExpiredError):
        await pay(money, bill, quote, replace(fresh, staff_assertion=late))
    assert await money.paid_to_site() == 0


async def test_a_practitioners_assertion_pays_nothing(money: Money) -> None:
    bill, staff = a_bill(), await a_confirmation(money)
    quote = await money.a_quote(bill, await a_face_that_cannot_move(money))

    with pytest.raises(AssertionInvalidError):
        await pay(money, bill, quote, FaceAuthorization(assertion=staff, pin=PIN))
    with pytest.raises(AssertionForeignError):  # nor does a face that was shown for that purpose
        await pay(money, bill, quote, await money.a_face(purpose="PURPOSE_PRACTITIONER"))

    assert await money.paid_to_site() == 0


async def test_a_practitioner_who_left_confirms_nothing_with_what_they_still_hold(money: Money) -> None:
    bill, face = a_bill(), await a_face_that_cannot_move(money)
    quote = await money.a_quote(bill, face)
    staff = await a_confirmation(money)
    await puts_out_of_service(money)

    with pytest.raises(AssertionForeignError):
        await pay(money, bill, quote, replace(face, staff_assertion=staff))

    assert await money.unused_assertions() == 1


async def test_a_face_found_among_many_pays_like_one_that_was_claimed(money: Money) -> None:
    bill, face = a_bill(), await money.a_face(purpose="PURPOSE_IDENTIFY")

    assert await pay(money, bill, await money.a_quote(bill, face), face)
