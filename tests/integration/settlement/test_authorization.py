"""Whose money a terminal may spend, and on what proof, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from server.credentials.errors import (
    AssertionExpiredError,
    AssertionForeignError,
    AssertionInvalidError,
    AssertionUsedError,
    PinWrongError,
)
from server.errors import reply_to
from server.settlement import (
    BareIdNumber,
    CardAuthorization,
    FaceAuthorization,
)
from server.settlement.errors import (
    AmountOverLimitError,
    AuthorizationMissingError,
    PinRequiredError,
)
from server.store.tables.settlement import settlements
from tests.support.database import Database
from tests.support.money import (
    ANOTHER_TERMINAL,
    CARD_NUMBER,
    PIN,
    Money,
    a_bill,
    a_settlement_desk,
)


@pytest.fixture
async def money(database: Database) -> AsyncIterator[Money]:
    """Return a running desk."""
    async with a_settlement_desk(database.engine) as running:
        yield running


async def test_i04_an_assertion_settles_only_once(money: Money) -> None:
    first, second, face = a_bill(), a_bill(), await money.a_face()
    quotes_of = [await money.a_quote(bill, face) for bill in (first, second)]

    outcomes = await asyncio.gather(
        *(
            money.desk.settle(
                money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
            )
            for bill, quote in zip((first, second), quotes_of, strict=True)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, AssertionUsedError) for outcome in outcomes) == 1
    assert await money.unit_of_work.read(lambda c: c.scalar(select(func.count()).select_from(settlements))) == 1


async def test_i04_an_assertion_of_another_terminal_or_another_business_or_expired_or_forged_pays_nothing(
    money: Money,
) -> None:
    bill = a_bill()
    quote = await money.a_quote(bill, await money.a_face())
    foreign = await money.a_face(terminal_id=ANOTHER_TERMINAL)
    other_business = await money.a_face(business_type=2121)
    expired = await money.a_face()
    forged = FaceAuthorization(assertion=expired.assertion[:-4] + "AAAA")
    other_purpose = await money.a_face(purpose="PURPOSE_OPEN_A_DOOR")
    cases = (
        (foreign, AssertionForeignError),
        (other_business, AssertionForeignError),
        (other_purpose, AssertionForeignError),
        (forged, AssertionInvalidError),
    )

    for face, error in cases:
        with pytest.raises(error):
            await money.desk.settle(
                money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
            )
    money.clock.advance(timedelta(seconds=121))
    with pytest.raises(AssertionExpiredError):
        await money.desk.settle(
            money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=expired
        )
    assert await money.paid_to_site() == 0


async def test_i12_an_id_number_alone_is_refused_with_the_ways_that_work(money: Money) -> None:
    bill = a_bill()
    quote = await money.a_quote(bill, await money.a_face())

    with pytest.raises(AuthorizationMissingError) as quoted:
        await money.desk.pre_settle(money.caller, bill, BareIdNumber())
    with pytest.raises(AuthorizationMissingError) as settled:
        await money.desk.settle(
            money.caller,
            transaction_id=money.an_id(),
            quote_id=quote.quote_id,
            bill=bill,
            authorization=BareIdNumber(),
        )

    assert (
        quoted.value.ways
        == settled.value.ways
        == (
            "face",
            "dynamic_code",
            "card_with_pin",
            "family_account",
            "counter",
        )
    )
    assert await money.paid_to_site() == 0


async def test_above_the_pin_free_limit_a_face_needs_the_pin_and_is_unused_until_then(money: Money) -> None:
    bill, face = a_bill(total_fen=money.limits.pin_free_fen + 1), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    assert quote.pin_required

    async def settle(pin: str | None) -> object:
        return await money.desk.settle(
            money.caller,
            transaction_id=transaction_id,
            quote_id=quote.quote_id,
            bill=bill,
            authorization=replace(face, pin=pin),
        )

    with pytest.raises(PinRequiredError) as required:
        await settle(None)
    with pytest.raises(PinWrongError):
        await settle("918273")
    assert await money.unused_assertions() == 1
    receipt = await settle(PIN)

    assert required.value.pin_free_fen == money.limits.pin_free_fen
    # The PIN is no part of the body: a repetition needs none, and no attempt is spent on it.
    assert await settle(None) == await settle("918273") == receipt


async def test_at_the_pin_free_limit_a_face_is_enough(money: Money) -> None:
    bill, face = a_bill(total_fen=money.limits.pin_free_fen), await money.a_face()
    quote = await money.a_quote(bill, face)

    receipt = await money.desk.settle(
        money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
    )

    assert not quote.pin_required
    assert receipt.shares.total_fen == money.limits.pin_free_fen


async def test_card_and_pin_pay_without_a_face(money: Money) -> None:
    bill, card = a_bill(total_fen=60_000), CardAuthorization(card_number=CARD_NUMBER, pin=PIN)
    quote = await money.a_quote(bill, card)

    receipt = await money.desk.settle(
        money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=card
    )

    assert not quote.pin_required  # beside a face; a card always comes with one
    assert receipt.shares == quote.shares


async def test_an_unknown_card_is_answered_exactly_as_a_wrong_pin(money: Money) -> None:
    bill = a_bill()
    known, unknown = (CardAuthorization(card_number=number, pin="918273") for number in (CARD_NUMBER, "HZ000000000"))
    quote = await money.a_quote(bill, replace(known, pin=PIN))
    refused = []
    for card in (known, unknown):
        with pytest.raises(PinWrongError) as quoting:
            await money.a_quote(bill, card)
        with pytest.raises(PinWrongError) as settling:
            await money.desk.settle(
                money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=card
            )
        refused += [reply_to(quoting.value), reply_to(settling.value)]

    assert all(reply == refused[0] for reply in refused)
    assert refused[0].metadata == {"next_action": "CHANGE_REQUEST"}
    assert await money.paid_to_site() == 0


async def test_a_bill_above_the_assertions_limit_is_refused(money: Money) -> None:
    bill, face = a_bill(total_fen=8_320), await money.a_face(amount_limit_fen=8_319)
    quote = await money.a_quote(bill, await money.a_face())

    with pytest.raises(AmountOverLimitError):
        await money.a_quote(bill, face)
    with pytest.raises(AmountOverLimitError) as refused:
        await money.desk.settle(
            money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
        )

    assert refused.value.limit_fen == 8_319
    assert await money.unused_assertions() == 2
