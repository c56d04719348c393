"""How much one person pays without a PIN on one day, over all terminals and replicas, and what happens beyond it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date, timedelta

import pytest
from sqlalchemy import Connection, select, text, update

from server.settlement import CardAuthorization, FaceAuthorization, Receipt, SettlementDesk, SettlementLimits
from server.settlement.books import verify_settlements
from server.settlement.errors import InsurerRefusedError, PinRequiredError
from server.settlement.quote import CHINA
from server.store.tables.self_pay import pin_free_days
from tests.support.database import Database, SqliteDatabase, a_unit_of_work
from tests.support.insurer import Fault, RemoteInsurerInMemory
from tests.support.money import ANOTHER_TERMINAL, CARD_NUMBER, PIN, Money, a_bill, a_caller, a_settlement_desk

LIMITS = SettlementLimits(pin_free_day_count=3, pin_free_day_fen=30_000)


@pytest.fixture
async def money(sqlite_database: SqliteDatabase) -> AsyncIterator[Money]:
    """Yield a desk with a small bound: three payments, 300 yuan."""
    async with a_settlement_desk(sqlite_database.engine, limits=LIMITS) as running:
        yield running


async def pay(
    money: Money,
    total_fen: int = 1_000,
    *,
    by: FaceAuthorization | CardAuthorization | None = None,
    desk: SettlementDesk | None = None,
    transaction_id: str = "",
) -> Receipt:
    bill, by = a_bill(total_fen=total_fen), by or await money.a_face()
    desk = desk or money.desk
    quote = await desk.pre_settle(money.caller, bill, by)
    return await desk.settle(
        money.caller,
        transaction_id=transaction_id or money.an_id(),
        quote_id=quote.quote_id,
        bill=bill,
        authorization=by,
    )


async def counted(money: Money) -> list[tuple[int, int]]:
    """Return payments and sum of each day that is kept."""
    query = select(pin_free_days.c.payments, pin_free_days.c.total_fen).order_by(pin_free_days.c.day)
    rows = await money.unit_of_work.read(lambda connection: connection.execute(query).all())
    return [(row.payments, row.total_fen) for row in rows]


async def test_beyond_so_many_payments_of_a_day_the_quote_and_the_settlement_ask_for_the_pin(money: Money) -> None:
    for _ in range(3):
        await pay(money)
    bill, face = a_bill(total_fen=1_000), await money.a_face()
    quote = await money.a_quote(bill, face)

    with pytest.raises(PinRequiredError):
        await pay(money, by=face)
    unused = await money.unused_assertions()
    paid = await pay(money, by=replace(face, pin=PIN))

    assert quote.pin_required
    assert unused == 1
    assert paid.shares.total_fen == 1_000
    assert await counted(money) == [(3, 3_000)]


async def test_beyond_so_much_money_of_a_day_the_pin_is_asked_for(money: Money) -> None:
    await pay(money, 25_000)

    with pytest.raises(PinRequiredError) as refused:
        await pay(money, 5_001)
    await pay(money, 5_000)

    assert refused.value.pin_free_fen == 0
    assert await counted(money) == [(2, 30_000)]


async def test_the_next_day_begins_anew_also_for_a_quote_of_the_day_before(money: Money) -> None:
    bill = a_bill(total_fen=30_000)
    money.clock.advance(timedelta(hours=24 - (money.clock.now().hour + 8) % 24) - timedelta(minutes=1))
    face = await money.a_face()
    quote = await money.a_quote(bill, face)
    money.clock.advance(timedelta(minutes=1, seconds=30))

    await money.desk.settle(
        money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
    )

    assert [sums for sums in await counted(money) if sums != (0, 0)] == [(1, 30_000)]
    assert len(await counted(money)) == 2


async def test_a_card_and_a_pin_count_for_nothing(money: Money) -> None:
    await pay(money, by=CardAuthorization(card_number=CARD_NUMBER, pin=PIN))
    await pay(money, by=await money.a_face(pin=PIN))

    assert [sums for sums in await counted(money) if sums != (0, 0)] == []


async def test_what_is_undone_is_given_back_to_the_day_it_was_counted_in(money: Money) -> None:
    first, second = await pay(money, 20_000), await pay(money, 4_000)
    await money.desk.cancel(money.caller, transaction_id=money.an_id(), settlement_transaction_id=first.transaction_id)
    for _ in range(2):
        await money.desk.reverse(
            money.caller, transaction_id=money.an_id(), settlement_transaction_id=second.transaction_id
        )

    assert await counted(money) == [(0, 0)]
    await pay(money, 30_000)


async def test_a_count_that_was_lost_hinders_no_undoing(money: Money) -> None:
    """A clock that was far ahead for a while purges days that are not over; begun anew, they count nothing."""
    paid = await pay(money)
    await money.unit_of_work.write(
        lambda connection: connection.execute(update(pin_free_days).values(payments=0, total_fen=0))
    )

    await money.desk.cancel(money.caller, transaction_id=money.an_id(), settlement_transaction_id=paid.transaction_id)

    assert await counted(money) == [(0, 0)]


async def test_a_refusal_of_a_remote_insurer_gives_it_back(sqlite_database: SqliteDatabase) -> None:
    insurer = RemoteInsurerInMemory()
    insurer.fail_next("settle", Fault.REFUSE)
    async with a_settlement_desk(sqlite_database.engine, insurer=insurer, limits=LIMITS) as money:
        transaction_id = money.an_id()
        with pytest.raises(InsurerRefusedError):
            await pay(money, transaction_id=transaction_id)
        await money.desk.reverse(money.caller, transaction_id=money.an_id(), settlement_transaction_id=transaction_id)

        assert await counted(money) == [(0, 0)]


async def test_i05_two_replicas_and_many_terminals_at_once_stay_within_the_bound(database: Database) -> None:
    """Twelve bills, two writers of their own on one database: three are paid, and all others keep their face."""
    async with AsyncExitStack() as stack:
        money = await stack.enter_async_context(a_settlement_desk(database.engine, limits=LIMITS))
        replica = replace(money, unit_of_work=await stack.enter_async_context(a_unit_of_work(database.engine)))
        desks = [money.desk, replica.another_desk(money.insurer)]
        callers = [money.caller, a_caller(terminal_id=ANOTHER_TERMINAL)]

        async def one(number: int) -> Receipt:
            desk, caller = desks[number % 2], callers[number // 2 % 2]
            bill, face = a_bill(total_fen=1_000), await money.a_face(terminal_id=caller.terminal_id)
            quote = await desk.pre_settle(caller, bill, face)
            return await desk.settle(
                caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
            )

        outcomes = await asyncio.gather(*(one(number) for number in range(12)), return_exceptions=True)

        assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 3
        assert sum(isinstance(outcome, PinRequiredError) for outcome in outcomes) == 9
        assert await money.unused_assertions() == 9
        assert await counted(money) == [(3, 3_000)]


async def miscounted(money: Money, harm: str = "SELECT 1", *, since: date | None = None) -> tuple[str, ...]:
    """Change the database behind our back, and verify."""

    def work(connection: Connection) -> tuple[str, ...]:
        connection.execute(text(harm))
        return verify_settlements(connection, pin_free_since=since).pin_free_miscounted

    return await money.unit_of_work.write(work)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE pin_free_days SET payments = payments + 1",
        "UPDATE pin_free_days SET total_fen = total_fen - 1",
        "DELETE FROM pin_free_days",
        "UPDATE settlements SET state = 'CANCELLED' WHERE state = 'SETTLED'",
        "UPDATE settlements SET pin_free_on = NULL",
    ],
)
async def test_a_day_that_is_not_the_sum_of_its_settlements_is_named(database: Database, harm: str) -> None:
    async with a_settlement_desk(database.engine, limits=LIMITS) as money:
        await pay(money, 2_000)
        undone = await pay(money, 3_000)
        await money.desk.cancel(
            money.caller, transaction_id=money.an_id(), settlement_transaction_id=undone.transaction_id
        )
        day = f"{money.person.person_id}/{money.clock.now().astimezone(CHINA).date()}"

        sound = await miscounted(money)
        harmed = await miscounted(money, harm)

    assert (sound, harmed) == ((), (day,))


async def test_a_day_that_was_dropped_with_age_is_no_miscount_and_one_of_lately_is(money: Money) -> None:
    await pay(money)
    today = money.clock.now().astimezone(CHINA).date()

    assert await miscounted(money, "DELETE FROM pin_free_days", since=today + timedelta(days=1)) == ()
    assert await miscounted(money, since=today) != ()
