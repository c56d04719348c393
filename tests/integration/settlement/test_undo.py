"""How a bill gets unpaid with the embedded insurer: cancelled on its day, or reversed in doubt."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from server.settlement import AccountKind, Receipt, SettlementState
from server.settlement.errors import (
    CancelTooLateError,
    InsurerRefusedError,
    NotSettledError,
    ReversalTooLateError,
    SettlementNotFoundError,
    TransactionCancelledError,
    TransactionIdNotV7Error,
    TransactionIdReusedError,
    TransactionIdTimeError,
    TransactionReversedError,
)
from server.settlement.insurers.local import LocalInsurer, load_rules
from server.settlement.model import Bill, FaceAuthorization
from server.settlement.quote import CHINA
from server.store.tables.settlement import benefit_years
from tests.support.database import Database, SqliteDatabase
from tests.support.insurer import RemoteInsurerInMemory
from tests.support.money import ANOTHER_TERMINAL, REGION, Money, a_bill, a_caller, a_settlement_desk, an_id


@pytest.fixture
async def money(database: Database) -> AsyncIterator[Money]:
    """Return a running desk."""
    async with a_settlement_desk(database.engine) as running:
        yield running


async def pay(money: Money, *, total_fen: int = 20_000) -> Receipt:
    """Settle a bill and return its receipt."""
    bill, face = a_bill(total_fen=total_fen), await money.a_face()
    quote = await money.a_quote(bill, face)
    return await money.desk.settle(
        money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
    )


async def ready_to_pay(money: Money) -> tuple[str, str, Bill, FaceAuthorization]:
    """Return all that a settle needs: transaction id, quote id, bill, face."""
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    return money.an_id(), quote.quote_id, bill, face


async def standing(money: Money) -> tuple[object, ...]:
    """Return every balance and count that a settlement changes."""
    year = await money.unit_of_work.read(lambda c: tuple(c.execute(select(benefit_years)).one()))
    return (
        await money.balance(AccountKind.POOLED_FUND, REGION),
        await money.balance(AccountKind.PERSON, money.person.person_id),
        await money.paid_to_site(),
        year,
    )


async def test_a_cancellation_gives_back_exactly_what_was_taken(money: Money) -> None:
    before = await standing(money)
    receipt = await pay(money)
    assert await standing(money) != before
    money.clock.advance(timedelta(minutes=5))

    cancelled_at = await money.desk.cancel(
        money.caller, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
    )

    assert cancelled_at == money.clock.now()
    assert await standing(money) == before
    seen = await money.desk.get(money.caller, receipt.transaction_id)
    assert (seen.state, seen.receipt) == (SettlementState.CANCELLED, receipt)
    assert await money.books_are_sound()


async def test_a_repeated_cancellation_gets_the_same_answer_and_a_second_one_is_refused(money: Money) -> None:
    receipt, transaction_id = await pay(money), money.an_id()
    first = await money.desk.cancel(
        money.caller, transaction_id=transaction_id, settlement_transaction_id=receipt.transaction_id
    )
    money.clock.advance(timedelta(days=3))

    again = await money.desk.cancel(
        money.caller, transaction_id=transaction_id, settlement_transaction_id=receipt.transaction_id
    )
    with pytest.raises(NotSettledError) as refused:
        await money.desk.cancel(
            money.caller, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
        )

    assert again == first
    assert refused.value.state == SettlementState.CANCELLED
    assert await money.paid_to_site() == 0


async def test_a_cancellation_is_possible_until_midnight_in_china(money: Money) -> None:
    money.clock.set(datetime(2026, 3, 2, 15, 0, tzinfo=UTC))  # 23:00 there
    on_time, too_late = await pay(money, total_fen=1_000), await pay(money, total_fen=1_000)
    money.clock.set(datetime(2026, 3, 2, 15, 59, 59, tzinfo=UTC))
    await money.desk.cancel(
        money.caller, transaction_id=money.an_id(), settlement_transaction_id=on_time.transaction_id
    )
    money.clock.set(datetime(2026, 3, 2, 16, 0, tzinfo=UTC))  # the same day in UTC, the next one there

    with pytest.raises(CancelTooLateError):
        await money.desk.cancel(
            money.caller, transaction_id=money.an_id(), settlement_transaction_id=too_late.transaction_id
        )


async def test_i01_another_terminal_cannot_cancel_or_reverse(money: Money) -> None:
    receipt, stranger = await pay(money), a_caller(terminal_id=ANOTHER_TERMINAL)

    with pytest.raises(SettlementNotFoundError):
        await money.desk.cancel(
            stranger, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
        )
    with pytest.raises(TransactionIdReusedError):
        await money.desk.reverse(
            stranger, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
        )

    assert (await money.desk.get(money.caller, receipt.transaction_id)).state is SettlementState.SETTLED


async def test_i05_a_reversal_that_overtakes_its_settlement_wins(money: Money) -> None:
    transaction_id, quote_id, bill, face = await ready_to_pay(money)

    reversal = await money.desk.reverse(
        money.caller, transaction_id=money.an_id(), settlement_transaction_id=transaction_id
    )
    for _ in range(2):
        with pytest.raises(TransactionReversedError):
            await money.desk.settle(
                money.caller, transaction_id=transaction_id, quote_id=quote_id, bill=bill, authorization=face
            )

    assert not reversal.money_moved_back
    assert await money.paid_to_site() == 0
    assert await money.unused_assertions() == 1
    seen = await money.desk.get(money.caller, transaction_id)
    assert (seen.state, seen.receipt) == (SettlementState.REVERSED, None)


async def test_i05_a_reversal_after_its_settlement_moves_the_money_back_once(money: Money) -> None:
    before = await standing(money)
    receipt, transaction_id = await pay(money), money.an_id()

    reversals = [
        await money.desk.reverse(money.caller, transaction_id=id_, settlement_transaction_id=receipt.transaction_id)
        for id_ in (transaction_id, transaction_id, money.an_id())
    ]

    assert len(set(reversals)) == 1
    assert reversals[0].money_moved_back
    assert await standing(money) == before
    assert await money.books_are_sound()


async def test_i05_settle_and_reverse_at_once_end_unpaid_whoever_comes_first(money: Money) -> None:
    before = await standing(money)
    for settle_first in (True, False, True, False):
        transaction_id, quote_id, bill, face = await ready_to_pay(money)
        settling = money.desk.settle(
            money.caller, transaction_id=transaction_id, quote_id=quote_id, bill=bill, authorization=face
        )
        reversing = money.desk.reverse(
            money.caller, transaction_id=money.an_id(), settlement_transaction_id=transaction_id
        )
        both = (settling, reversing) if settle_first else (reversing, settling)

        await asyncio.gather(*both, return_exceptions=True)

        assert (await money.desk.get(money.caller, transaction_id)).state is SettlementState.REVERSED
    after = await standing(money)
    assert after[:3] == before[:3]
    assert await money.books_are_sound()


async def test_a_settle_repeated_after_its_cancellation_or_reversal_is_told_so(money: Money) -> None:
    outcomes = []
    for undo in (money.desk.cancel, money.desk.reverse):
        transaction_id, quote_id, bill, face = await ready_to_pay(money)
        await money.desk.settle(
            money.caller, transaction_id=transaction_id, quote_id=quote_id, bill=bill, authorization=face
        )
        await undo(money.caller, transaction_id=money.an_id(), settlement_transaction_id=transaction_id)
        with pytest.raises((TransactionCancelledError, TransactionReversedError)) as refused:
            await money.desk.settle(
                money.caller, transaction_id=transaction_id, quote_id=quote_id, bill=bill, authorization=face
            )
        outcomes.append(type(refused.value))

    assert outcomes == [TransactionCancelledError, TransactionReversedError]


async def test_a_cancelled_settlement_is_not_given_back_again_by_a_reversal(money: Money) -> None:
    before = await standing(money)
    receipt = await pay(money)
    cancelled_at = await money.desk.cancel(
        money.caller, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
    )

    reversal = await money.desk.reverse(
        money.caller, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
    )

    assert reversal.reversed_at == cancelled_at
    assert await standing(money) == before


async def test_a_settlement_too_old_for_doubt_is_not_reversed(money: Money) -> None:
    receipt = await pay(money)
    money.clock.advance(money.limits.reversal_window + timedelta(seconds=1))

    with pytest.raises(ReversalTooLateError):
        await money.desk.reverse(
            money.caller, transaction_id=money.an_id(), settlement_transaction_id=receipt.transaction_id
        )


async def test_i05_an_id_serves_one_request_only(money: Money) -> None:
    receipt, other, undo_id = await pay(money), await pay(money), money.an_id()
    await money.desk.cancel(money.caller, transaction_id=undo_id, settlement_transaction_id=receipt.transaction_id)
    _, quote_id, bill, face = await ready_to_pay(money)

    with pytest.raises(TransactionIdReusedError):  # another target
        await money.desk.cancel(money.caller, transaction_id=undo_id, settlement_transaction_id=other.transaction_id)
    with pytest.raises(TransactionIdReusedError):  # another verb
        await money.desk.reverse(money.caller, transaction_id=undo_id, settlement_transaction_id=receipt.transaction_id)
    with pytest.raises(TransactionIdReusedError):  # a settlement's id
        await money.desk.reverse(
            money.caller, transaction_id=other.transaction_id, settlement_transaction_id=money.an_id()
        )
    same = money.an_id()
    with pytest.raises(TransactionIdReusedError):  # its own target
        await money.desk.reverse(money.caller, transaction_id=same, settlement_transaction_id=same)
    with pytest.raises(TransactionIdReusedError):  # a cancellation cannot be reversed
        await money.desk.reverse(money.caller, transaction_id=money.an_id(), settlement_transaction_id=undo_id)
    with pytest.raises(TransactionIdReusedError):  # nor can its id settle
        await money.desk.settle(money.caller, transaction_id=undo_id, quote_id=quote_id, bill=bill, authorization=face)


async def test_undoing_needs_sound_ids(money: Money) -> None:
    ancient, future = (an_id(money.clock.now() + timedelta(days=days)) for days in (-31, 2))

    with pytest.raises(TransactionIdNotV7Error):
        await money.desk.reverse(money.caller, transaction_id="nothing", settlement_transaction_id=money.an_id())
    with pytest.raises(TransactionIdNotV7Error):
        await money.desk.reverse(money.caller, transaction_id=money.an_id(), settlement_transaction_id="nothing")
    for transaction_id, settlement_id in ((ancient, money.an_id()), (money.an_id(), ancient)):
        with pytest.raises(TransactionIdTimeError):
            await money.desk.reverse(
                money.caller, transaction_id=transaction_id, settlement_transaction_id=settlement_id
            )
    receipt = await pay(money)
    with pytest.raises(TransactionIdTimeError):
        await money.desk.cancel(money.caller, transaction_id=future, settlement_transaction_id=receipt.transaction_id)


async def test_i05_what_a_clock_far_ahead_has_made_can_be_reversed_and_never_comes_of_age(money: Money) -> None:
    settlement_id, undo_id = (an_id(money.clock.now() + timedelta(days=45)) for _ in range(2))

    reversal = await money.desk.reverse(money.caller, transaction_id=undo_id, settlement_transaction_id=settlement_id)

    assert not reversal.money_moved_back
    money.clock.advance(timedelta(days=45))
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    with pytest.raises(TransactionReversedError):
        await money.desk.settle(
            money.caller, transaction_id=settlement_id, quote_id=quote.quote_id, bill=bill, authorization=face
        )


async def test_what_was_never_settled_cannot_be_cancelled(money: Money) -> None:
    tombstone = money.an_id()
    await money.desk.reverse(money.caller, transaction_id=money.an_id(), settlement_transaction_id=tombstone)

    with pytest.raises(SettlementNotFoundError):
        await money.desk.cancel(money.caller, transaction_id=money.an_id(), settlement_transaction_id=money.an_id())
    with pytest.raises(NotSettledError) as refused:
        await money.desk.cancel(money.caller, transaction_id=money.an_id(), settlement_transaction_id=tombstone)

    assert refused.value.state == SettlementState.REVERSED


async def test_another_terminal_cannot_take_the_id_of_a_tombstone(money: Money) -> None:
    tombstone = money.an_id()
    await money.desk.reverse(money.caller, transaction_id=money.an_id(), settlement_transaction_id=tombstone)
    stranger = a_caller(terminal_id=ANOTHER_TERMINAL)
    bill, face = a_bill(), await money.a_face(terminal_id=ANOTHER_TERMINAL)
    quote = await money.desk.pre_settle(stranger, bill, face)

    with pytest.raises(TransactionIdReusedError):
        await money.desk.settle(
            stranger, transaction_id=tombstone, quote_id=quote.quote_id, bill=bill, authorization=face
        )


@pytest.mark.parametrize("is_remote", [False, True], ids=["settled in house", "settled far away"])
async def test_i05_what_another_insurer_has_booked_is_not_undone_in_words_alone(
    sqlite_database: SqliteDatabase, *, is_remote: bool
) -> None:
    """After the insurer was exchanged the new one knows nothing of it, and would move nothing back."""
    remote = RemoteInsurerInMemory()
    async with a_settlement_desk(sqlite_database.engine, insurer=remote if is_remote else None) as money:
        local = LocalInsurer(rules=load_rules(), ledger=money.ledger, now=money.clock.now, zone=CHINA)
        exchanged = money.another_desk(local if is_remote else remote)
        bill, face = a_bill(total_fen=10_000), await money.a_face()
        quote = await money.a_quote(bill, face)
        settled = await money.desk.settle(
            money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
        )

        for undo in (exchanged.cancel, exchanged.reverse):
            with pytest.raises(InsurerRefusedError):
                await undo(money.caller, transaction_id=money.an_id(), settlement_transaction_id=settled.transaction_id)

        found = await money.desk.get(money.caller, settled.transaction_id)
        assert found.state is SettlementState.SETTLED
