"""What a quote and a transaction id are good for, on a real database."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from server.settlement import (
    AccountKind,
)
from server.settlement.errors import (
    BillInvalidError,
    BusinessTypeNotPayableError,
    QuoteExpiredError,
    QuoteMismatchError,
    QuoteOutdatedError,
    QuoteUnknownError,
    TransactionIdNotV7Error,
    TransactionIdTimeError,
)
from server.store.tables.settlement import quotes
from tests.support.database import Database
from tests.support.money import (
    ANOTHER_TERMINAL,
    REGION,
    Money,
    a_bill,
    a_caller,
    a_settlement_desk,
    an_id,
)


@pytest.fixture
async def money(database: Database) -> AsyncIterator[Money]:
    """Return a running desk."""
    async with a_settlement_desk(database.engine) as running:
        yield running


@pytest.mark.parametrize(
    "changes",
    [{"total_fen": 0}, {"total_fen": -1}, {"total_fen": 10**12}, {"not_covered_fen": -1}, {"not_covered_fen": 8_321}],
)
async def test_a_bill_that_cannot_be_is_refused(money: Money, changes: dict[str, int]) -> None:
    face = await money.a_face()

    with pytest.raises(BillInvalidError) as refused:
        await money.a_quote(a_bill(**changes), face)

    assert refused.value.field in changes


async def test_a_use_type_that_is_never_paid_for_gets_no_quote(money: Money) -> None:
    inpatient_file = 1102

    with pytest.raises(BusinessTypeNotPayableError):
        await money.a_quote(a_bill(business_type=inpatient_file), await money.a_face(business_type=inpatient_file))


async def test_a_quote_is_good_for_its_terminal_person_and_bill_only_and_not_for_long(money: Money) -> None:
    bill = a_bill()
    quote = await money.a_quote(bill, await money.a_face())
    other_bill = a_bill()
    stranger = a_caller(terminal_id=ANOTHER_TERMINAL)

    with pytest.raises(QuoteMismatchError):
        await money.desk.settle(
            money.caller,
            transaction_id=money.an_id(),
            quote_id=quote.quote_id,
            bill=other_bill,
            authorization=await money.a_face(),
        )
    for caller, quote_id in ((stranger, quote.quote_id), (money.caller, money.an_id())):
        with pytest.raises(QuoteUnknownError):
            await money.desk.settle(
                caller,
                transaction_id=money.an_id(),
                quote_id=quote_id,
                bill=bill,
                authorization=await money.a_face(terminal_id=caller.terminal_id),
            )
    money.clock.advance(timedelta(minutes=10))
    with pytest.raises(QuoteExpiredError):
        await money.desk.settle(
            money.caller,
            transaction_id=money.an_id(),
            quote_id=quote.quote_id,
            bill=bill,
            authorization=await money.a_face(),
        )


async def test_a_quote_pays_one_bill(money: Money) -> None:
    bill = a_bill()
    quote = await money.a_quote(bill, await money.a_face())
    await money.desk.settle(
        money.caller,
        transaction_id=money.an_id(),
        quote_id=quote.quote_id,
        bill=bill,
        authorization=await money.a_face(),
    )

    with pytest.raises(QuoteUnknownError):
        await money.desk.settle(
            money.caller,
            transaction_id=money.an_id(),
            quote_id=quote.quote_id,
            bill=bill,
            authorization=await money.a_face(),
        )


async def test_a_quote_that_something_paid_since_has_changed_is_refused(money: Money) -> None:
    first, second = a_bill(total_fen=20_000), a_bill(total_fen=20_000)
    both = [await money.a_quote(bill, await money.a_face()) for bill in (first, second)]
    await money.desk.settle(
        money.caller,
        transaction_id=money.an_id(),
        quote_id=both[0].quote_id,
        bill=first,
        authorization=await money.a_face(),
    )

    # The first bill has emptied the personal account that the second quote counts on.
    with pytest.raises(QuoteOutdatedError):
        await money.desk.settle(
            money.caller,
            transaction_id=money.an_id(),
            quote_id=both[1].quote_id,
            bill=second,
            authorization=await money.a_face(),
        )


async def test_long_expired_quotes_are_purged_a_few_at_a_time(money: Money) -> None:
    for _ in range(5):
        await money.a_quote(a_bill(), await money.a_face())
    money.clock.advance(timedelta(hours=2))

    counts = []
    for _ in range(3):
        await money.a_quote(a_bill(), await money.a_face())
        counts.append(await money.unit_of_work.read(lambda c: c.scalar(select(func.count()).select_from(quotes))))

    assert counts == [4, 3, 3]


@pytest.mark.parametrize(
    "transaction_id",
    [
        "",
        "not an id",
        "01890a5d-ac96-474b-bcce-b302099a8057",  # version 4
        "01890a5d-ac96-774b-0cce-b302099a8057",  # another variant
        "01890A5D-AC96-774B-BCCE-B302099A8057",  # another spelling of the same
        "01890a5dac96774bbcceb302099a8057",
    ],
)
async def test_an_id_that_is_no_uuid_version_7_is_refused(money: Money, transaction_id: str) -> None:
    bill, face = a_bill(), await money.a_face()

    with pytest.raises(TransactionIdNotV7Error):
        await money.desk.settle(
            money.caller, transaction_id=transaction_id, quote_id=money.an_id(), bill=bill, authorization=face
        )


async def test_an_id_made_far_in_the_future_or_long_ago_is_refused_unless_it_was_seen(money: Money) -> None:
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    now = money.clock.now()

    for transaction_id, ahead in (
        (an_id(now + timedelta(days=2)), timedelta(days=2)),
        (an_id(now - timedelta(days=31)), timedelta(days=-31)),
        ("ffffffff-ffff-7fff-bfff-ffffffffffff", None),
    ):
        with pytest.raises(TransactionIdTimeError) as refused:
            await money.desk.settle(
                money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
            )
        assert ahead is None or refused.value.ahead == ahead
    assert await money.unused_assertions() == 1


async def test_out_of_region_the_persons_own_fund_pays_less(money: Money) -> None:
    away = a_caller(region="310000")
    bill, face = a_bill(total_fen=10_000), await money.a_face()

    here = await money.desk.pre_settle(money.caller, bill, face)
    there = await money.desk.pre_settle(away, bill, face)
    fund_before = await money.balance(AccountKind.POOLED_FUND, REGION)
    await money.desk.settle(away, transaction_id=money.an_id(), quote_id=there.quote_id, bill=bill, authorization=face)

    assert (here.shares.pooled_fund_fen, there.shares.pooled_fund_fen) == (7_000, 5_500)
    assert await money.balance(AccountKind.POOLED_FUND, REGION) == fund_before - 5_500


async def test_a_bill_under_the_deductible_is_paid_from_account_and_pocket_and_one_that_moves_nothing_is_settled(
    database: Database,
) -> None:
    async with a_settlement_desk(database.engine, deductible_used=False) as money:
        first, second = a_bill(total_fen=6_000), a_bill(total_fen=1_000)
        shares = []
        for bill in (first, second):
            face = await money.a_face()
            quote = await money.a_quote(bill, face)
            receipt = await money.desk.settle(
                money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
            )
            shares.append((receipt.shares.pooled_fund_fen, receipt.shares.personal_account_fen))

        assert shares == [(0, 5_000), (0, 0)]
        assert await money.books_are_sound()
