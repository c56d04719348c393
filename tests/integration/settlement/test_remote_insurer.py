"""What happens when the insurer is far away: intents, lost answers, doubt, and how each doubt ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import ProgrammingError

from server.settlement import ResolverPolicy, SettlementState
from server.settlement.errors import (
    InsurerRefusedError,
    InsurerUnavailableError,
    NotSettledError,
    OutcomeUnknownError,
    TransactionReversedError,
)
from server.settlement.insurers import Booking
from server.store.errors import StoreFailedError
from server.store.tables.settlement import settlements
from tests.support.database import Database
from tests.support.far import Far, a_far_desk
from tests.support.insurer import OPENING_BALANCE_FEN, Fault, RemoteInsurerInMemory
from tests.support.money import a_bill, a_settlement_desk

POLICY = ResolverPolicy(interval=timedelta(seconds=5), backoff_max=timedelta(minutes=1), attempts_max=4)


@pytest.fixture
async def far(database: Database) -> AsyncIterator[Far]:
    """Return a desk before a remote insurer."""
    async with a_far_desk(database.engine) as desk:
        yield desk


async def test_a_remote_insurer_books_once_and_repetitions_get_the_receipt(far: Far) -> None:
    receipts = await asyncio.gather(*(far.settle() for _ in range(50)))

    assert len({*receipts, await far.settle()}) == 1
    assert receipts[0].personal_account_balance_fen == OPENING_BALANCE_FEN
    assert far.insurer.calls.count("settle") == 1
    assert await far.state() is SettlementState.SETTLED
    assert await far.money.unused_assertions() == 0
    assert await far.money.books_are_sound()


async def test_i04_the_intent_and_the_use_of_the_assertion_are_durable_before_the_insurer_is_asked(far: Far) -> None:
    far.insurer.gate = asyncio.Event()
    settling = asyncio.create_task(far.settle())
    await far.insurer.settle_arrived.wait()

    state, unused = await far.state(), await far.money.unused_assertions()
    far.insurer.gate.set()
    await settling

    assert (state, unused) == (SettlementState.PENDING, 0)


async def test_a_refusal_is_final_and_moves_nothing(far: Far) -> None:
    far.insurer.fail_next("settle", Fault.REFUSE)

    for _ in range(2):
        with pytest.raises(InsurerRefusedError) as refused:
            await far.settle()

    assert refused.value.code == "NO_COVER"
    assert await far.state() is SettlementState.FAILED
    assert far.insurer.moved_fen() == 0
    assert await far.reverse() is False
    assert await far.state() is SettlementState.REVERSED


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.DROP_ANSWER, Fault.HANG])
async def test_no_answer_is_unknown_and_never_asked_twice_by_the_terminal(far: Far, fault: Fault) -> None:
    far.loses_patience_soon()
    far.insurer.fail_next("settle", fault)

    for _ in range(2):
        with pytest.raises(OutcomeUnknownError) as unknown:
            await far.settle()

    assert unknown.value.retry_after > timedelta()
    assert await far.state() is SettlementState.UNKNOWN
    assert far.insurer.calls.count("settle") == 1


async def test_i05_an_answer_lost_after_booking_is_found_and_settled_by_the_resolver(far: Far) -> None:
    far.insurer.fail_next("settle", Fault.DROP_ANSWER)
    with pytest.raises(OutcomeUnknownError):
        await far.settle()
    resolved: list[SettlementState] = []
    resolver = far.money.resolver(policy=POLICY, on_resolved=resolved.append)
    far.money.clock.advance(timedelta(seconds=5))

    assert await resolver.work_off_due() == 1
    receipt = await far.settle()

    assert resolved == [SettlementState.SETTLED]
    assert receipt == await far.settle()
    assert len(far.insurer.booked) == 1
    assert await resolver.work_off_due() == 0


async def test_i05_what_was_not_booked_is_reversed_so_that_it_cannot_be_booked_late(far: Far) -> None:
    far.insurer.fail_next("settle", Fault.DOWN)
    with pytest.raises(OutcomeUnknownError):
        await far.settle()
    far.money.clock.advance(timedelta(seconds=5))

    await far.money.resolver(policy=POLICY).work_off_due()

    assert await far.state() is SettlementState.REVERSED
    assert far.transaction_id in far.insurer.reversed_ids
    with pytest.raises(TransactionReversedError):
        await far.settle()


async def test_i05_a_crash_between_intent_and_answer_is_in_doubt_after_recovery_and_then_settled(far: Far) -> None:
    far.insurer.gate = asyncio.Event()
    settling = asyncio.create_task(far.settle())
    await far.insurer.settle_arrived.wait()
    # The process dies here; the request is on the line, gets booked, and the answer finds nobody.
    (task,) = (task for _, task in far.money.desk._payments._in_flight.values())  # noqa: SLF001 - the crash is the subject
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling
    far.insurer.gate.set()
    reborn = far.money.another_desk(far.insurer)
    assert await far.state() is SettlementState.PENDING
    far.insurer.booked[far.transaction_id] = far.quote.shares

    # On a database that replicas share, it might be another one's, until nobody can be waiting for it any more.
    far.money.clock.advance(timedelta(minutes=1))
    await reborn.recover()
    in_doubt = await far.state()
    await far.money.resolver(policy=POLICY).work_off_due()

    assert in_doubt is SettlementState.UNKNOWN
    assert await far.state() is SettlementState.SETTLED
    assert len(far.insurer.booked) == 1


async def test_a_terminal_that_hangs_up_does_not_stop_its_settlement(far: Far) -> None:
    far.insurer.gate = asyncio.Event()
    settling = asyncio.create_task(far.settle())
    await far.insurer.settle_arrived.wait()
    settling.cancel()
    far.insurer.gate.set()
    await far.money.desk.drain()

    assert await far.state() is SettlementState.SETTLED


async def test_i05_a_reversal_while_the_insurer_is_being_asked_wins(far: Far) -> None:
    far.insurer.gate = asyncio.Event()
    settling = asyncio.create_task(far.settle())
    await far.insurer.settle_arrived.wait()

    moved_back = await far.reverse()
    far.insurer.gate.set()
    with pytest.raises(TransactionReversedError):
        await settling

    assert not moved_back
    assert far.insurer.moved_fen() == 0
    assert await far.state() is SettlementState.REVERSED


async def test_a_reversal_of_a_settled_bill_takes_it_back_at_the_insurer(far: Far) -> None:
    await far.settle()

    assert await far.reverse() is True
    assert await far.reverse() is True
    assert far.insurer.moved_fen() == 0


async def test_a_reversal_that_the_insurer_does_not_answer_goes_on_without_the_terminal(far: Far) -> None:
    await far.settle()
    far.insurer.fail_next("reverse", Fault.DOWN, Fault.DROP_ANSWER)

    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            await far.reverse()
    far.money.clock.advance(timedelta(seconds=5))
    await far.money.resolver(policy=POLICY).work_off_due()

    assert await far.state() is SettlementState.REVERSED
    assert far.insurer.moved_fen() == 0


async def test_money_that_moved_back_is_told_though_the_first_answer_was_lost(far: Far) -> None:
    await far.settle()
    far.insurer.fail_next("reverse", Fault.DROP_ANSWER)
    with pytest.raises(OutcomeUnknownError):
        await far.reverse()
    far.money.clock.advance(timedelta(minutes=1))

    assert await far.reverse()
    assert far.insurer.moved_fen() == 0


async def test_a_doubt_that_goes_on_is_not_told_as_ended(far: Far) -> None:
    """A reversal is wanted while the resolver still asks about the settlement: its answer is out of date."""
    far.insurer.fail_next("settle", Fault.DROP_ANSWER)
    with pytest.raises(OutcomeUnknownError):
        await far.settle()
    far.money.clock.advance(timedelta(minutes=1))
    told: list[SettlementState] = []
    resolver = far.money.resolver(policy=POLICY, on_resolved=told.append, insurer=Overtaken(far))
    await resolver.work_off_due()
    assert told == []

    far.money.clock.advance(timedelta(minutes=1))
    await far.money.resolver(policy=POLICY, on_resolved=told.append).work_off_due()
    assert told == [SettlementState.REVERSED]


class Overtaken(RemoteInsurerInMemory):
    """Answers a query just after somebody has changed their mind."""

    def __init__(self, far: Far) -> None:
        super().__init__()
        self._far = far

    async def query(self, transaction_id: str) -> Booking | None:
        """Say what is booked, too late."""
        found = await self._far.insurer.query(transaction_id)
        self._far.insurer.fail_next("reverse", Fault.DOWN)
        with suppress(OutcomeUnknownError):
            await self._far.reverse()
        return found


async def test_a_cancellation_that_the_insurer_does_not_answer_is_worked_off(far: Far) -> None:
    await far.settle()
    far.insurer.fail_next("cancel", Fault.DOWN)
    cancel_id = far.money.an_id()

    async def cancel() -> object:
        return await far.money.desk.cancel(
            far.money.caller, transaction_id=cancel_id, settlement_transaction_id=far.transaction_id
        )

    with pytest.raises(OutcomeUnknownError):
        await cancel()
    with pytest.raises(OutcomeUnknownError):  # another one meanwhile
        await far.money.desk.cancel(
            far.money.caller, transaction_id=far.money.an_id(), settlement_transaction_id=far.transaction_id
        )
    far.money.clock.advance(timedelta(seconds=5))
    await far.money.resolver(policy=POLICY).work_off_due()

    assert await far.state() is SettlementState.CANCELLED
    assert await cancel() == far.money.clock.now()
    assert far.insurer.moved_fen() == 0


async def test_a_cancellation_that_the_insurer_refuses_leaves_the_bill_settled(far: Far) -> None:
    receipt = await far.settle()
    far.insurer.fail_next("cancel", Fault.REFUSE)

    with pytest.raises(InsurerRefusedError):
        await far.money.desk.cancel(
            far.money.caller, transaction_id=far.money.an_id(), settlement_transaction_id=far.transaction_id
        )

    assert await far.settle() == receipt


async def test_a_failed_settlement_cannot_be_cancelled(far: Far) -> None:
    far.insurer.fail_next("settle", Fault.REFUSE)
    with pytest.raises(InsurerRefusedError):
        await far.settle()

    with pytest.raises(NotSettledError) as refused:
        await far.money.desk.cancel(
            far.money.caller, transaction_id=far.money.an_id(), settlement_transaction_id=far.transaction_id
        )

    assert refused.value.state == SettlementState.FAILED


async def test_doubt_is_worked_off_with_growing_waits_and_then_a_person_is_called(far: Far) -> None:
    far.insurer.fail_next("settle", Fault.DROP_ANSWER)
    with pytest.raises(OutcomeUnknownError):
        await far.settle()
    far.insurer.fail_next("query", *[Fault.DOWN] * POLICY.attempts_max)
    dead: list[str] = []
    resolver = far.money.resolver(policy=POLICY, on_dead_letter=dead.append)

    waits = []
    for _ in range(POLICY.attempts_max):
        assert not dead
        waits.append(0)
        while not await resolver.work_off_due():
            far.money.clock.advance(timedelta(seconds=1))
            waits[-1] += 1
    far.money.clock.advance(timedelta(days=1))

    assert waits == [2, 5, 10, 20]
    assert dead == [far.transaction_id]
    assert await resolver.work_off_due() == 0
    assert await far.state() is SettlementState.UNKNOWN
    # The terminal's own reversal still ends it.
    assert await far.reverse() is True


async def test_a_pending_settlement_that_nobody_waits_for_is_worked_off_without_a_restart(far: Far) -> None:
    await far.settle()
    # As if the write of the answer had failed: booked there, PENDING here.
    await far.money.unit_of_work.write(
        lambda c: c.execute(update(settlements).values(state="PENDING", receipt_id=None, settled_at=None))
    )
    resolver = far.money.resolver(policy=POLICY)
    assert await resolver.work_off_due() == 0
    with pytest.raises(OutcomeUnknownError):
        await far.settle()
    far.money.clock.advance(timedelta(minutes=1))

    await resolver.work_off_due()

    assert await far.state() is SettlementState.SETTLED


async def test_the_resolver_survives_a_database_that_is_down(far: Far) -> None:
    far.insurer.fail_next("settle", Fault.DROP_ANSWER)
    with pytest.raises(OutcomeUnknownError):
        await far.settle()
    far.money.clock.advance(timedelta(minutes=1))
    await far.money.unit_of_work.write(
        lambda c: c.exec_driver_sql("ALTER TABLE settlements RENAME TO settlements_away")
    )
    resolver = far.money.resolver(policy=POLICY)
    with pytest.raises((StoreFailedError, ProgrammingError)):  # PostgreSQL says: no such table, our mistake
        await resolver.work_off_due()
    await far.money.unit_of_work.write(
        lambda c: c.exec_driver_sql("ALTER TABLE settlements_away RENAME TO settlements")
    )
    await resolver.work_off_due()

    assert await far.state() is SettlementState.SETTLED


async def test_a_quote_from_an_insurer_that_is_down_or_refuses_leaves_nothing_in_doubt(far: Far) -> None:
    far.insurer.fail_next("quote", Fault.DOWN, Fault.REFUSE)
    face = await far.money.a_face()

    with pytest.raises(InsurerUnavailableError):
        await far.money.a_quote(a_bill(), face)
    with pytest.raises(InsurerRefusedError):
        await far.money.a_quote(a_bill(), face)


async def test_with_an_insurer_in_house_the_resolver_has_nothing_to_do(database: Database) -> None:
    async with a_settlement_desk(database.engine) as money:
        assert await money.resolver(policy=POLICY).work_off_due() == 0
