"""A stay from its first prepayment to the bedside settlement, as a terminal asks for it; what the plain path costs."""

from collections.abc import AsyncIterator

import pytest

from server.settlement import AccountKind, Bill, Receipt
from server.settlement.books import verify_settlements
from server.settlement.errors import QuoteOutdatedError
from server.settlement.insurers.local.errors import StaySettledError
from server.settlement.ledger import OUTSIDE
from tests.support.database import Database, SqliteDatabase
from tests.support.local_scheme import a_prepayment, a_scheme, a_stay
from tests.support.money import REGION, Money, a_bill, a_settlement_desk

FUND_FEN = 100_000_000


@pytest.fixture
async def money(database: Database) -> AsyncIterator[Money]:
    """Return a running desk."""
    async with a_settlement_desk(database.engine, fund_fen=FUND_FEN, personal_account_fen=5_000) as running:
        yield running


async def pay(money: Money, bill: Bill) -> tuple[Receipt, list[str]]:
    """Pay a bill by face; return the receipt and the steps of its quote."""
    face = await money.a_face(business_type=bill.business_type)
    quote = await money.a_quote(bill, face)
    receipt = await money.desk.settle(
        money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
    )
    return receipt, [line.step for line in quote.reckoning]


async def cancel(money: Money, receipt: Receipt) -> None:
    """Cancel a settlement."""
    await money.desk.cancel(
        money.caller, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
    )


async def outside(money: Money) -> int:
    """Return what the world outside has brought in, less what it took."""
    return -await money.balance(OUTSIDE.kind, OUTSIDE.owner)


async def test_i06_a_stay_is_prepaid_settled_and_undone_to_the_fen(money: Money) -> None:
    brought_in = await outside(money)
    prepaid, _ = await pay(money, a_prepayment(total_fen=40_000))
    held = await outside(money)

    settled, steps = await pay(money, a_stay(total_fen=45_000))

    # 45,000 below the deductible of the stay: the account pays its 5,000, the rest was prepaid, all but nothing.
    assert held - brought_in == 40_000
    assert (settled.shares.personal_account_fen, settled.shares.prepaid_fen) == (5_000, 40_000)
    assert steps == ["DEDUCTIBLE", "PERSONAL_ACCOUNT", "PREPAID", "SELF_PAY"]
    assert settled.self_pay == ()  # nothing is left for any channel
    with pytest.raises(StaySettledError):
        await cancel(money, prepaid)
    await cancel(money, settled)
    await cancel(money, prepaid)
    assert await outside(money) == brought_in
    assert await money.balance(AccountKind.POOLED_FUND, REGION) == FUND_FEN
    assert await money.books_are_sound()


async def test_i06_the_books_of_a_stay_that_stands_are_sound(money: Money) -> None:
    prepaid, steps = await pay(money, a_prepayment(total_fen=30_000))
    settled, _ = await pay(money, a_stay(total_fen=20_000))

    assert steps == ["SELF_PAY"]
    assert prepaid.shares.self_pay_fen == 30_000
    assert settled.shares.prepaid_fen == 15_000
    assert await money.paid_to_site() == 5_000
    report = await money.unit_of_work.read(verify_settlements)
    assert (report.unposted, report.unexplained) == ((), ())


async def test_a_quote_holds_only_as_long_as_what_it_promised_to_give_back_is_what_is_there(money: Money) -> None:
    """The shares are the same; but the cashier gives back by the quote, and the rest would be nobody's."""
    await pay(money, a_prepayment(total_fen=30_000))
    bill = a_stay(total_fen=20_000)
    face = await money.a_face(business_type=bill.business_type)
    quote = await money.a_quote(bill, face)
    await pay(money, a_prepayment(total_fen=10_000))

    with pytest.raises(QuoteOutdatedError):
        await money.desk.settle(
            money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
        )

    again = await money.a_quote(bill, face)
    assert [line.amount_fen for line in quote.reckoning if line.step == "PREPAID_BACK"] == [15_000]
    assert [line.amount_fen for line in again.reckoning if line.step == "PREPAID_BACK"] == [25_000]


def test_a_plain_bill_is_booked_with_no_statement_more_than_money_and_year_need(
    sqlite_database: SqliteDatabase,
) -> None:
    with a_scheme(sqlite_database.engine) as scheme:
        person = scheme.a_person(balance_fen=1_000)
        bill = a_bill(total_fen=70_000)
        claim, quotation = scheme.a_claim(person, bill), scheme.quote(person, bill)
        asked: list[str] = []
        sqlite = scheme.connection.connection.driver_connection
        sqlite.set_trace_callback(asked.append)  # type: ignore[union-attr]  # it is SQLite's connection
        scheme.insurer.book(
            scheme.connection,
            transaction_id="01980000-0000-7000-8000-00000000c001",
            claim=claim,
            quoted=quotation.shares,
        )
        sqlite.set_trace_callback(None)  # type: ignore[union-attr]  # as above

    words = [statement.split()[0] for statement in asked]
    assert words == ["SELECT", "UPDATE", "INSERT", "INSERT", "UPDATE"], asked
