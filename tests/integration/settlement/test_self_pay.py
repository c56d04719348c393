"""What a self-paid part is paid with: account, credit, cash; taken with the settlement, and given back with it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from server.settlement import Receipt, ResolverPolicy, SettlementState
from server.settlement.errors import (
    InsufficientFundError,
    InsurerRefusedError,
    OutcomeUnknownError,
    PinRequiredError,
    TransactionIdReusedError,
)
from server.settlement.model import SelfPay, SelfPayKind
from server.settlement.self_pay.errors import ChannelNotForThisError, CreditRefusedError, SelfPayInvalidError
from tests.support.database import Database, SqliteDatabase
from tests.support.insurer import Fault
from tests.support.money import PIN, a_bill, a_settlement_desk
from tests.support.till import Till, a_bill_from_the_pocket, a_till, furnish, paying

CASH, ELECTRONIC, CREDIT = SelfPayKind.CASH, SelfPayKind.ELECTRONIC_ACCOUNT, SelfPayKind.CREDIT


@pytest.fixture(params=[False, True], ids=["in_house", "remote"])
async def till(request: pytest.FixtureRequest, sqlite_database: SqliteDatabase) -> AsyncIterator[Till]:
    """Yield a till before either kind of insurer."""
    async with a_till(sqlite_database, is_remote=request.param) as running:
        yield running


@pytest.fixture
async def home(sqlite_database: SqliteDatabase) -> AsyncIterator[Till]:
    """Yield a till before an insurer in house."""
    async with a_till(sqlite_database, is_remote=False) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["in_house", "remote"])
async def busy_till(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Till]:
    """Yield a till before either kind of insurer, on either database."""
    async with a_till(database, is_remote=request.param) as running:
        yield running


async def test_each_channel_pays_its_part_and_the_receipt_says_so(till: Till) -> None:
    receipt = await till.pay(a_bill_from_the_pocket(), paying(ELECTRONIC_ACCOUNT=1_200, CREDIT=2_000, CASH=6_800))

    assert receipt.self_pay == paying(CASH=6_800, ELECTRONIC_ACCOUNT=1_200, CREDIT=2_000)
    assert await till.balances() == (1_800, 3_000, 3_200)
    assert (await till.money.desk.get(till.money.caller, receipt.transaction_id)).receipt == receipt
    assert await till.money.books_are_sound()
    assert (await till.books()).is_sound


async def test_saying_nothing_is_cash_and_moves_nothing(home: Till) -> None:
    receipt = await home.pay(a_bill_from_the_pocket(), ())

    assert receipt.self_pay == paying(CASH=10_000)
    assert await home.balances() == (3_000, 5_000, 0)


async def test_a_quote_offers_what_each_channel_could_pay_and_never_more_than_is_due(home: Till) -> None:
    money = home.money
    offers = [
        {offer.kind: offer.up_to_fen for offer in (await money.a_quote(bill, await money.a_face())).self_pay_offers}
        for bill in (a_bill_from_the_pocket(10_000), a_bill_from_the_pocket(2_000))
    ]

    assert offers == [
        {CASH: 10_000, ELECTRONIC: 3_000, CREDIT: 5_000},
        {CASH: 2_000, ELECTRONIC: 2_000, CREDIT: 2_000},
    ]


@pytest.mark.parametrize(
    "self_pay",
    [
        paying(ELECTRONIC_ACCOUNT=1_200),
        paying(ELECTRONIC_ACCOUNT=1_200, CASH=8_801),
        (*paying(ELECTRONIC_ACCOUNT=5_000), *paying(ELECTRONIC_ACCOUNT=5_000)),
        paying(CASH=10_001, ELECTRONIC_ACCOUNT=-1),
    ],
    ids=["too little", "too much", "a channel twice", "less than nothing"],
)
async def test_parts_that_are_not_what_is_due_are_refused_and_nothing_is_used(
    home: Till, self_pay: tuple[SelfPay, ...]
) -> None:
    with pytest.raises(SelfPayInvalidError) as refused:
        await home.pay(a_bill_from_the_pocket(), self_pay)

    assert refused.value.due_fen == 10_000
    assert await home.money.unused_assertions() == 1
    assert await home.balances() == (3_000, 5_000, 0)


@pytest.mark.parametrize("over", [paying(ELECTRONIC_ACCOUNT=3_001, CASH=6_999), paying(CREDIT=5_001, CASH=4_999)])
async def test_i06_neither_the_account_nor_the_limit_gives_a_fen_more_than_there_is(
    home: Till, over: tuple[SelfPay, ...]
) -> None:
    with pytest.raises(InsufficientFundError):
        await home.pay(a_bill_from_the_pocket(), over)

    assert await home.balances() == (3_000, 5_000, 0)
    assert await home.money.unused_assertions() == 1


async def test_the_same_id_with_other_channels_is_another_request(home: Till) -> None:
    bill, face, transaction_id = a_bill_from_the_pocket(), await home.money.a_face(), home.money.an_id()
    await home.pay(bill, paying(ELECTRONIC_ACCOUNT=1_200, CASH=8_800), transaction_id=transaction_id, face=face)

    with pytest.raises(TransactionIdReusedError):
        await home.pay(bill, (), transaction_id=transaction_id, face=await home.money.a_face())


async def test_i05_the_last_money_is_spent_once_however_many_ask_at_once(busy_till: Till) -> None:
    """Ten bills want all of the account and all of the credit; only one of them gets it."""
    till = busy_till
    outcomes = await asyncio.gather(
        *(
            till.pay(a_bill_from_the_pocket(), paying(ELECTRONIC_ACCOUNT=3_000, CREDIT=5_000, CASH=2_000))
            for _ in range(10)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, InsufficientFundError) for outcome in outcomes) == 9
    assert await till.balances() == (0, 0, 8_000)
    assert (await till.books()).is_sound


@pytest.mark.parametrize("how", ["cancel", "reverse"])
async def test_undoing_gives_back_exactly_what_was_taken_and_only_once(till: Till, how: str) -> None:
    money = till.money
    receipt = await till.pay(a_bill_from_the_pocket(), paying(ELECTRONIC_ACCOUNT=3_000, CREDIT=5_000, CASH=2_000))

    for _ in range(2):
        await getattr(money.desk, how)(
            money.caller,
            transaction_id=money.an_id() if how == "reverse" else receipt.transaction_id[:-4] + "0000",
            settlement_transaction_id=receipt.transaction_id,
        )

    assert await till.balances() == (3_000, 5_000, 0)
    assert await money.books_are_sound()
    assert (await till.books()).is_sound


async def test_what_was_repaid_of_an_undone_debt_becomes_the_persons_own_money(till: Till) -> None:
    receipt = await till.pay(a_bill_from_the_pocket(), paying(CREDIT=5_000, CASH=5_000))
    await till.repay(1_500)

    await till.undo(receipt.transaction_id)

    assert await till.balances() == (4_500, 5_000, 0)
    assert (await till.books()).is_sound
    assert await till.money.books_are_sound()


async def test_credit_asks_for_the_pin_however_small_the_bill(sqlite_database: SqliteDatabase) -> None:
    async with a_settlement_desk(sqlite_database.engine) as money:
        await money.unit_of_work.write(lambda connection: furnish(money, connection))
        till, bill, face = Till(money=money, remote=None), a_bill_from_the_pocket(9_000), await money.a_face()
        quote = await money.a_quote(bill, face)
        parts = paying(CREDIT=1_000, CASH=quote.shares.self_pay_fen - 1_000)

        with pytest.raises(PinRequiredError):
            await till.pay(bill, parts, face=face)
        unused = await money.unused_assertions()
        receipt = await till.pay(bill, parts, face=replace(face, pin=PIN))

    assert not quote.pin_required
    assert {offer.kind: offer.pin_required for offer in quote.self_pay_offers} == {
        CASH: False,
        ELECTRONIC: False,
        CREDIT: True,
    }
    assert unused == 1
    assert CREDIT in {part.kind for part in receipt.self_pay}


async def test_a_stopped_line_and_an_overdue_debt_lend_nothing_more(home: Till) -> None:
    money, person_id = home.money, home.money.person.person_id
    await home.pay(a_bill_from_the_pocket(), paying(CREDIT=1_000, CASH=9_000))
    money.clock.advance(timedelta(days=30))
    await home.pay(a_bill_from_the_pocket(), paying(CREDIT=1_000, CASH=9_000))

    money.clock.advance(timedelta(days=1))
    with pytest.raises(CreditRefusedError):
        await home.pay(a_bill_from_the_pocket(), paying(CREDIT=1_000, CASH=9_000))
    line = await money.unit_of_work.read(lambda connection: money.credit.line(connection, person_id))
    await home.repay(1_000)
    await home.pay(a_bill_from_the_pocket(), paying(CREDIT=1_000, CASH=9_000))
    await money.unit_of_work.write(lambda connection: money.credit.stop(connection, person_id, actor="operator:test"))
    with pytest.raises(CreditRefusedError):
        await home.pay(a_bill_from_the_pocket(), paying(CREDIT=1_000, CASH=9_000))

    assert (line.owed_fen, line.overdue_fen) == (2_000, 1_000)
    offers = (await money.a_quote(a_bill_from_the_pocket(), await money.a_face())).self_pay_offers
    assert CREDIT not in {offer.kind for offer in offers}


async def test_credit_pays_no_prepayment_of_which_the_rest_would_come_back_in_cash(home: Till) -> None:
    bill = a_bill(business_type=1104, total_fen=1_000, not_covered_fen=1_000, stay_number="S-1")
    face = await home.money.a_face(business_type=1104)

    with pytest.raises(ChannelNotForThisError):
        await home.pay(bill, paying(CREDIT=1_000), face=face)
    offers = (await home.money.a_quote(bill, face)).self_pay_offers

    assert {offer.kind for offer in offers} == {CASH, ELECTRONIC}


HARMS = (
    ("DELETE FROM ledger_entries WHERE posting_id LIKE 'electronic:%'", "unposted"),
    ("DELETE FROM ledger_entries WHERE posting_id LIKE 'credit-undo:%'", "unposted"),
    ("UPDATE settlements SET electronic_account_fen = electronic_account_fen + 1", "unposted"),
    ("UPDATE settlements SET credit_fen = NULL", "unexplained"),
    ("UPDATE settlements SET state = 'SETTLED' WHERE state = 'CANCELLED'", "unexplained"),
    ("UPDATE credit_debts SET repaid_fen = repaid_fen + 1", "credit_misstated"),
    ("UPDATE credit_debts SET taken_fen = taken_fen + 1, repaid_fen = repaid_fen + 1", "credit_misstated"),
    ("UPDATE credit_debts SET given_back_at = taken_at, repaid_fen = 0", "credit_misstated"),
    ("DELETE FROM credit_lines", "credit_misstated"),
    ("UPDATE credit_lines SET limit_fen = limit_fen + 1", "credit_misstated"),
)


async def test_i06_what_was_changed_behind_the_books_is_found(till: Till) -> None:
    parts = paying(ELECTRONIC_ACCOUNT=1_000, CREDIT=1_000, CASH=8_000)
    cancelled = await till.pay(a_bill_from_the_pocket(), parts)
    await till.pay(a_bill_from_the_pocket(), parts)
    await till.undo(cancelled.transaction_id)

    assert (await till.books()).is_sound
    found = {harm: getattr(await till.books(harm), finding) for harm, finding in HARMS}
    assert [harm for harm, names in found.items() if not names] == []


@pytest.fixture
async def far(sqlite_database: SqliteDatabase) -> AsyncIterator[Till]:
    """Yield a till before a remote insurer."""
    async with a_till(sqlite_database, is_remote=True) as running:
        yield running


async def test_it_is_taken_before_the_insurer_is_asked(far: Till) -> None:
    assert far.remote is not None
    far.remote.gate = asyncio.Event()
    paying_it = asyncio.create_task(far.pay(a_bill_from_the_pocket(), paying(ELECTRONIC_ACCOUNT=3_000, CASH=7_000)))
    await far.remote.settle_arrived.wait()

    meanwhile = await far.balances()
    far.remote.gate.set()
    await paying_it

    assert meanwhile == (0, 5_000, 3_000)


async def test_a_refusal_gives_it_back_and_a_reversal_after_it_gives_nothing_more(far: Till) -> None:
    assert far.remote is not None
    far.remote.fail_next("settle", Fault.REFUSE)
    transaction_id = far.money.an_id()

    with pytest.raises(InsurerRefusedError):
        await far.pay(
            a_bill_from_the_pocket(),
            paying(ELECTRONIC_ACCOUNT=3_000, CREDIT=5_000, CASH=2_000),
            transaction_id=transaction_id,
        )
    after_refusal = await far.balances()
    await far.money.desk.reverse(
        far.money.caller, transaction_id=far.money.an_id(), settlement_transaction_id=transaction_id
    )

    assert after_refusal == await far.balances() == (3_000, 5_000, 0)
    assert (await far.books()).is_sound


@pytest.mark.parametrize(
    ("fault", "ends", "left"),
    [
        (Fault.DROP_ANSWER, SettlementState.SETTLED, (0, 0, 8_000)),
        (Fault.DOWN, SettlementState.REVERSED, (3_000, 5_000, 0)),
    ],
)
async def test_doubt_holds_it_until_it_is_settled_or_reversed(
    far: Till, fault: Fault, ends: SettlementState, left: tuple[int, int, int]
) -> None:
    assert far.remote is not None
    far.remote.fail_next("settle", fault)
    transaction_id = far.money.an_id()
    with pytest.raises(OutcomeUnknownError):
        await far.pay(
            a_bill_from_the_pocket(),
            paying(ELECTRONIC_ACCOUNT=3_000, CREDIT=5_000, CASH=2_000),
            transaction_id=transaction_id,
        )
    in_doubt = await far.balances()

    far.money.clock.advance(timedelta(minutes=1))
    await far.money.resolver(policy=ResolverPolicy()).work_off_due()

    assert in_doubt == (0, 0, 8_000)
    assert (await far.money.desk.get(far.money.caller, transaction_id)).state is ends
    assert await far.balances() == left
    assert (await far.books()).is_sound
