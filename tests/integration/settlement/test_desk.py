"""What a terminal gets from the settlement desk with the embedded insurer, on a real database."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select

from server.settlement import (
    AccountKind,
    CardAuthorization,
    SettlementState,
)
from server.settlement.errors import (
    InsufficientFundError,
    SettlementNotFoundError,
    TransactionIdReusedError,
)
from server.store.tables.settlement import quotes
from tests.support.database import Database, break_inserts, mend_inserts
from tests.support.money import (
    ANOTHER_TERMINAL,
    CARD_NUMBER,
    PIN,
    Money,
    a_bill,
    a_caller,
    a_settlement_desk,
)


@pytest.fixture
async def money(database: Database) -> AsyncIterator[Money]:
    """Return a running desk."""
    async with a_settlement_desk(database.engine) as running:
        yield running


async def test_a_face_pays_a_bill_as_quoted(money: Money) -> None:
    bill, face = a_bill(total_fen=20_000, not_covered_fen=1_000), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()

    receipt = await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )

    assert receipt.shares == quote.shares
    # 70 % of the covered 190.00, the account's 50.00, the rest from the pocket.
    assert (receipt.shares.pooled_fund_fen, receipt.shares.personal_account_fen) == (13_300, 5_000)
    assert receipt.shares.self_pay_fen == 1_700
    assert receipt.personal_account_balance_fen == 0
    assert (receipt.transaction_id, receipt.bill_number) == (transaction_id, bill.bill_number)
    assert receipt.settled_at == money.clock.now()
    assert await money.paid_to_site() == 18_300
    assert await money.books_are_sound()


async def test_the_same_request_gets_the_same_receipt_after_assertion_and_quote_are_gone(money: Money) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    first = await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )
    money.clock.advance(timedelta(days=40))

    again = await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )

    assert again == first
    assert await money.paid_to_site() == first.shares.pooled_fund_fen + first.shares.personal_account_fen


async def test_i05_two_hundred_concurrent_repeats_move_money_once(money: Money) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()

    receipts = await asyncio.gather(
        *(
            money.desk.settle(
                money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
            )
            for _ in range(200)
        )
    )

    assert len(set(receipts)) == 1
    moved = receipts[0].shares.pooled_fund_fen + receipts[0].shares.personal_account_fen
    assert await money.paid_to_site() == moved > 0
    assert await money.books_are_sound()


async def test_i05_two_hundred_concurrent_repeats_with_card_and_pin_move_money_once_and_check_the_pin_once(
    money: Money,
) -> None:
    bill, card = a_bill(), CardAuthorization(card_number=CARD_NUMBER, pin=PIN)
    quote = await money.a_quote(bill, card)
    transaction_id = money.an_id()

    receipts = await asyncio.gather(
        *(
            money.desk.settle(
                money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=card
            )
            for _ in range(200)
        )
    )

    assert len(set(receipts)) == 1
    assert await money.paid_to_site() == receipts[0].shares.pooled_fund_fen + receipts[0].shares.personal_account_fen


async def test_i05_the_same_id_with_another_body_is_refused(money: Money) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )
    other_face = await money.a_face()

    for bill_then, quote_then, face_then in (
        (replace(bill, total_fen=bill.total_fen + 1), quote.quote_id, face),
        (replace(bill, bill_number="another"), quote.quote_id, face),
        (bill, money.an_id(), face),
        (bill, quote.quote_id, other_face),
    ):
        with pytest.raises(TransactionIdReusedError):
            await money.desk.settle(
                money.caller,
                transaction_id=transaction_id,
                quote_id=quote_then,
                bill=bill_then,
                authorization=face_then,
            )
    assert await money.unused_assertions() == 1


async def test_i05_another_body_meanwhile_is_refused_too(money: Money) -> None:
    bill, card = a_bill(), CardAuthorization(card_number=CARD_NUMBER, pin=PIN)
    quote = await money.a_quote(bill, card)
    transaction_id = money.an_id()
    paying = asyncio.create_task(
        money.desk.settle(
            money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=card
        )
    )
    other = replace(bill, bill_number="another")

    outcomes = await asyncio.gather(
        paying,
        money.desk.settle(
            money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=other, authorization=card
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, TransactionIdReusedError) for outcome in outcomes) == 1


async def test_i05_an_id_of_another_terminal_is_refused_and_nothing_is_said_about_it(money: Money) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )
    stranger = a_caller(terminal_id=ANOTHER_TERMINAL)

    with pytest.raises(TransactionIdReusedError) as refused:
        await money.desk.settle(
            stranger, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
        )

    assert str(refused.value) == ""


@pytest.mark.parametrize("table", ["ledger_postings", "ledger_entries", "settlements", "audit_log"])
async def test_i04_when_any_later_step_fails_the_assertion_stays_unused(money: Money, table: str) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    # A trigger is a real failure of a real statement, after the assertion was used up in the same transaction.
    await money.unit_of_work.write(lambda connection: break_inserts(connection, table))

    with pytest.raises(Exception, match="broken"):
        await money.desk.settle(
            money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
        )

    assert await money.unused_assertions() == 1
    assert await money.paid_to_site() == 0
    await money.unit_of_work.write(lambda connection: mend_inserts(connection, table))
    receipt = await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )
    assert receipt.shares == quote.shares
    assert await money.books_are_sound()


async def test_i04_a_fund_that_cannot_pay_leaves_assertion_and_quote_as_they_were(database: Database) -> None:
    async with a_settlement_desk(database.engine, fund_fen=0) as money:
        bill, face = a_bill(), await money.a_face()
        quote = await money.a_quote(bill, face)

        with pytest.raises(InsufficientFundError) as refused:
            await money.desk.settle(
                money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
            )

        assert refused.value.account_kind == AccountKind.POOLED_FUND
        assert await money.unused_assertions() == 1
        assert await money.unit_of_work.read(lambda c: c.scalar(select(func.count()).select_from(quotes))) == 1
        assert await money.balance(AccountKind.PERSON, money.person.person_id) == 5_000
        assert await money.books_are_sound()


async def test_i04_a_commit_that_fails_leaves_the_assertion_unused(money: Money) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    failures = iter([True])

    @event.listens_for(money.engine, "commit")
    def fail_once(_: object) -> None:
        if next(failures, False):
            raise OSError(28, "No space left on device")

    with pytest.raises(Exception, match="batch failed"):
        await money.desk.settle(
            money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
        )

    assert await money.unused_assertions() == 1
    receipt = await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )
    assert await money.paid_to_site() == receipt.shares.pooled_fund_fen + receipt.shares.personal_account_fen


async def test_i01_a_terminal_reads_only_its_own_settlements(money: Money) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    receipt = await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )
    stranger = a_caller(terminal_id=ANOTHER_TERMINAL)

    own = await money.desk.get(money.caller, transaction_id)
    refusals = []
    for caller, asked in ((stranger, transaction_id), (stranger, money.an_id()), (money.caller, money.an_id())):
        with pytest.raises(SettlementNotFoundError) as refused:
            await money.desk.get(caller, asked)
        refusals.append((type(refused.value), str(refused.value)))

    assert (own.state, own.receipt) == (SettlementState.SETTLED, receipt)
    assert len(set(refusals)) == 1
