"""Doubt in depth: who works on which, what is written down, when a person is called, and what that person may do."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, update

from device_registry.audit.log import AuditFilter
from server.settlement import ResolverPolicy, SettlementState
from server.settlement.closing import Verdict, Witness
from server.settlement.doubts import TRIES_KEPT, claim, claim_due, note_try, put_off, tries_of
from server.settlement.errors import (
    ClosingContradictedError,
    NotADeadLetterError,
    OutcomeUnknownError,
    ReversalWantedError,
)
from server.settlement.insurers import Booking
from server.settlement.model import Intent
from server.settlement.resolve import Resolver
from server.store import UnitOfWork
from server.store.tables.settlement import settlements
from tests.support.database import Database, SqliteDatabase, a_unit_of_work
from tests.support.far import Far, a_far_desk
from tests.support.insurer import Fault, RemoteInsurerInMemory

POLICY = ResolverPolicy(interval=timedelta(seconds=5), backoff_max=timedelta(minutes=1), attempts_max=4)
ACTOR = "operator:mei"
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def far(sqlite_database: SqliteDatabase) -> AsyncIterator[Far]:
    """Return a desk before a remote insurer; which database it is does not matter to most of this."""
    async with a_far_desk(sqlite_database.engine) as desk:
        yield desk


@pytest.fixture
async def far_on_both(database: Database) -> AsyncIterator[Far]:
    """Return one on each engine, for what replicas do to each other and for the queries themselves."""
    async with a_far_desk(database.engine) as desk:
        yield desk


async def a_dead_letter(far: Far, fault: Fault = Fault.DROP_ANSWER) -> None:
    """Let a settlement be given up on; the insurer answers again afterwards."""
    await far.settle_in_vain(fault)
    resolver = far.money.resolver(policy=POLICY)
    far.insurer.fail_next("query", *[Fault.DOWN] * POLICY.attempts_max)
    for _ in range(POLICY.attempts_max):
        far.money.clock.advance(MINUTE)
        assert await resolver.work_off_due() == 1
    far.money.clock.advance(MINUTE)
    assert await resolver.work_off_due() == 0


async def test_i05_two_replicas_never_work_on_one_doubt_at_once(database: Database, far_on_both: Far) -> None:
    far = far_on_both
    others = [await far.another() for _ in range(5)]
    for payment in (far, *others):
        await payment.settle_in_vain(Fault.DOWN)
    far.money.clock.advance(MINUTE)

    async with a_unit_of_work(database.another_engine()) as elsewhere:
        here, there = far.money.resolver(policy=POLICY), a_replica(far, elsewhere)
        tried = await asyncio.gather(here.work_off_due(), there.work_off_due(), here.work_off_due())

    assert sum(tried) == 6
    assert far.insurer.calls.count("query") == far.insurer.calls.count("reverse") == 6
    assert [await payment.state() for payment in (far, *others)] == [SettlementState.REVERSED] * 6


def a_replica(far: Far, unit_of_work: UnitOfWork) -> Resolver:
    """Return the resolver of another process."""
    return Resolver(
        unit_of_work=unit_of_work,
        now=far.money.clock.now,
        upstream=far.money.upstream(far.insurer, unit_of_work=unit_of_work, retry_after=POLICY.interval),
        audit=far.money.audit,
        policy=POLICY,
    )


async def test_a_terminal_that_asks_while_the_resolver_works_on_it_waits_and_nothing_is_undone_twice(far: Far) -> None:
    await far.settle()
    far.insurer.fail_next("reverse", Fault.DOWN)
    with pytest.raises(OutcomeUnknownError):
        await far.reverse()
    far.money.clock.advance(MINUTE)
    calls = len(far.insurer.calls)
    await far.money.unit_of_work.write(
        lambda connection: claim_due(connection, now=far.money.clock.now(), lease=MINUTE, wait_max=MINUTE, limit=1)
    )

    with pytest.raises(OutcomeUnknownError):
        await far.reverse()

    assert len(far.insurer.calls) == calls


async def test_what_a_process_that_died_was_working_on_is_taken_up_when_its_lease_runs_out(far: Far) -> None:
    await far.settle_in_vain()
    far.insurer.fail_next("query", Fault.HANG)
    far.money.clock.advance(MINUTE)
    dying = asyncio.create_task(far.money.resolver(policy=POLICY).work_off_due())
    while "query" not in far.insurer.calls:  # noqa: ASYNC110  # a call that hangs tells nobody
        await asyncio.sleep(0.001)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    resolver = far.money.resolver(policy=POLICY)

    at_once = await resolver.work_off_due()
    far.money.clock.advance(MINUTE)
    later = await resolver.work_off_due()

    assert (at_once, later) == (0, 1)
    assert await far.state() is SettlementState.SETTLED


async def test_a_clock_that_was_set_back_leaves_nothing_waiting_for_ever(far_on_both: Far) -> None:
    far = far_on_both
    await far.settle_in_vain()
    pending = await far.another()
    await pending.settle()

    def ahead(connection: Connection) -> None:
        """As a clock two days ahead has written it."""
        future = far.money.clock.now() + timedelta(days=2)
        which = settlements.c.transaction_id
        connection.execute(
            update(settlements)
            .where(which == far.transaction_id)
            .values(next_try_at=future, leased_until=future, doubt_since=future)
        )
        connection.execute(
            update(settlements)
            .where(which == pending.transaction_id)
            .values(state="PENDING", began_at=future, receipt_id=None, settled_at=None)
        )

    await far.money.unit_of_work.write(ahead)

    assert await far.money.resolver(policy=POLICY).work_off_due() == 2
    assert await far.state() is await pending.state() is SettlementState.SETTLED


async def test_after_an_outage_one_pass_works_off_all_that_is_due(far: Far) -> None:
    payments = [far, *[await far.another() for _ in range(6)]]
    for payment in payments:
        await payment.settle_in_vain()
    far.money.clock.advance(MINUTE)
    policy = ResolverPolicy(interval=timedelta(seconds=5), batch_max=2)

    assert await far.money.resolver(policy=policy).work_off_due() == 7
    assert {await payment.state() for payment in payments} == {SettlementState.SETTLED}


async def test_new_doubts_do_not_keep_an_old_one_waiting(far: Far) -> None:
    await far.settle_in_vain()
    far.money.clock.advance(MINUTE)
    for _ in range(3):
        await (await far.another()).settle_in_vain()
    far.money.clock.advance(MINUTE)
    far.insurer.fail_next("query", Fault.DOWN, Fault.DOWN)  # nothing ends, so a pass is one batch
    policy = ResolverPolicy(interval=timedelta(seconds=5), batch_max=2)

    await far.money.resolver(policy=policy).work_off_due()
    tried = await far.doubts.show(far.transaction_id)

    assert [(each.outcome, each.why) for each in tried.tries] == [
        ("NO_ANSWER", "InsurerLineError"),
        ("NO_ANSWER", "InsurerLineError"),
    ]


class Deaf(RemoteInsurerInMemory):
    """Answers no query, and does not even hear that nobody waits any more."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def query(self, transaction_id: str) -> Booking | None:
        """Wait, whatever comes."""
        self.calls.append("query")
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        return await super().query(transaction_id)


async def test_a_call_that_never_ends_holds_up_neither_the_pass_nor_the_next_one(far: Far) -> None:
    await far.settle_in_vain()
    far.money.clock.advance(MINUTE)
    deaf = Deaf()
    deaf.booked = far.insurer.booked
    resolver = Resolver(
        unit_of_work=far.money.unit_of_work,
        now=far.money.clock.now,
        upstream=far.money.upstream(deaf, timeout=timedelta(milliseconds=10), retry_after=POLICY.interval),
        audit=far.money.audit,
        policy=POLICY,
    )

    first, second = await resolver.work_off_due(), await resolver.work_off_due()
    deaf.let_go.set()

    assert (first, second) == (1, 0)
    far.money.clock.advance(MINUTE)
    await far.money.resolver(policy=POLICY).work_off_due()
    assert await far.state() is SettlementState.SETTLED  # by whoever came first


async def test_a_doubt_that_is_too_old_is_a_dead_letter_however_seldom_it_was_tried(far: Far) -> None:
    await far.settle_in_vain()
    far.insurer.fail_next("query", *[Fault.DOWN] * 3)
    dead: list[str] = []
    tries: list[int] = []
    policy = ResolverPolicy(interval=timedelta(seconds=5), attempts_max=100, age_max=timedelta(hours=3))
    resolver = far.money.resolver(policy=policy, on_dead_letter=dead.append, on_tried=tries.append)

    for _ in range(3):
        assert not dead
        far.money.clock.advance(timedelta(hours=2))
        await resolver.work_off_due()

    assert dead == [far.transaction_id]
    assert tries == [3]


async def test_what_was_tried_is_written_down_and_the_oldest_makes_room(far: Far) -> None:
    far.loses_patience_soon()
    await far.settle_in_vain(Fault.HANG)

    def many(connection: Connection) -> None:
        for _ in range(TRIES_KEPT + 5):
            note_try(
                connection,
                far.transaction_id,
                intent=Intent.SETTLE,
                outcome="NO_ANSWER",
                why="x" * 200,
                now=far.money.clock.now(),
            )

    first = (await far.doubts.show(far.transaction_id)).tries[0]
    await far.money.unit_of_work.write(many)
    kept = await far.money.unit_of_work.read(lambda connection: tries_of(connection, far.transaction_id))

    assert (first.number, first.why) == (1, "TimeoutError")
    assert [each.number for each in kept] == list(range(7, 7 + TRIES_KEPT))
    assert len(kept[-1].why) == 64


async def test_an_operator_has_what_was_given_up_on_tried_anew_and_it_ends(far_on_both: Far) -> None:
    far = far_on_both
    await a_dead_letter(far)
    (listed,) = await far.doubts.listed(dead_only=True)
    assert (listed.tries, listed.is_dead_letter, listed.why) == (4, True, "InsurerLineError")

    revived = await far.doubts.retry(None, actor=ACTOR)
    await far.money.resolver(policy=POLICY).work_off_due()

    assert revived == [far.transaction_id]
    assert await far.state() is SettlementState.SETTLED
    assert await far.doubts.listed() == []
    with pytest.raises(NotADeadLetterError):
        await far.doubts.retry(far.transaction_id, actor=ACTOR)
    assert await far.money.books_are_sound()


async def test_what_is_being_closed_is_not_taken_by_the_resolver_because_somebody_has_it_tried_anew(far: Far) -> None:
    await a_dead_letter(far)
    now = far.money.clock.now()
    lease = await far.money.unit_of_work.write(
        lambda connection: claim(connection, far.transaction_id, now=now, lease=MINUTE)
    )

    revived = await far.doubts.retry(far.transaction_id, actor=ACTOR)
    tried = await far.money.resolver(policy=POLICY).work_off_due()

    assert lease is not None
    assert (revived, tried) == ([far.transaction_id], 0)


@pytest.mark.parametrize(
    ("fault", "believed", "truth"),
    [(Fault.DROP_ANSWER, Verdict.REVERSED, "BOOKED"), (Fault.DOWN, Verdict.SETTLED, "NOT_BOOKED")],
)
async def test_a_closing_that_the_insurer_contradicts_is_refused_and_it_can_still_be_tried_anew(
    far: Far, fault: Fault, believed: Verdict, truth: str
) -> None:
    await a_dead_letter(far, fault)

    with pytest.raises(ClosingContradictedError) as refused:
        await far.doubts.close(far.transaction_id, believed, actor=ACTOR, reason="by the books")

    assert refused.value.insurer == truth
    assert await far.state() is SettlementState.UNKNOWN
    await far.doubts.retry(far.transaction_id, actor=ACTOR)
    assert await far.money.resolver(policy=POLICY).work_off_due() == 1


async def test_a_closing_that_the_insurer_confirms_settles_with_what_it_booked(far: Far) -> None:
    await a_dead_letter(far)

    closed = await far.doubts.close(far.transaction_id, Verdict.SETTLED, actor=ACTOR, reason="seen in their books")
    receipt = await far.settle()

    assert (closed.state, closed.insurer) == (SettlementState.SETTLED, Witness.AGREES)
    assert receipt.personal_account_balance_fen > 0
    assert far.insurer.calls.count("settle") == 1
    assert await far.money.books_are_sound()


async def test_a_closing_without_the_insurer_holds_on_an_operators_word_and_is_audited(far: Far) -> None:
    await a_dead_letter(far, Fault.DOWN)
    far.loses_patience_soon()
    far.insurer.fail_next("query", Fault.HANG)

    closed = await far.doubts.close(far.transaction_id, Verdict.REVERSED, actor=ACTOR, reason="asked by phone")

    assert (closed.state, closed.insurer) == (SettlementState.REVERSED, Witness.NO_ANSWER)
    assert far.transaction_id in far.insurer.reversed_ids  # what is still under way finds its id taken
    entries = await far.money.unit_of_work.read(
        lambda connection: list(far.money.audit.entries(connection, AuditFilter(subject=far.transaction_id)))
    )
    (entry,) = [entry for entry in entries if entry.action == "settlement.closed"]
    assert (entry.actor, entry.reason) == (ACTOR, "asked by phone")


async def test_i10_an_insurer_that_did_not_confirm_the_undoing_is_not_written_down_as_agreeing(far: Far) -> None:
    await a_dead_letter(far, Fault.DOWN)
    far.insurer.fail_next("reverse", Fault.DOWN)

    closed = await far.doubts.close(far.transaction_id, Verdict.REVERSED, actor=ACTOR, reason="asked by phone")

    assert (closed.state, closed.insurer) == (SettlementState.REVERSED, Witness.NO_ANSWER)


async def test_only_a_dead_letter_is_closed_and_never_as_settled_when_its_terminal_wanted_it_undone(far: Far) -> None:
    await far.settle_in_vain()
    with pytest.raises(NotADeadLetterError):
        await far.doubts.close(far.transaction_id, Verdict.SETTLED, actor=ACTOR, reason="-")
    far.insurer.fail_next("reverse", Fault.DOWN)
    with pytest.raises(OutcomeUnknownError):
        await far.reverse()
    await far.money.unit_of_work.write(
        lambda connection: connection.execute(update(settlements).values(next_try_at=None))
    )

    with pytest.raises(ReversalWantedError):
        await far.doubts.close(far.transaction_id, Verdict.SETTLED, actor=ACTOR, reason="-")

    assert await far.reverse() is True  # the terminal's own word still ends it


async def test_i05_a_replica_that_starts_leaves_the_payments_of_the_others_alone(
    database: Database, far_on_both: Far
) -> None:
    far = far_on_both
    far.insurer.gate = asyncio.Event()
    settling = asyncio.create_task(far.settle())
    await far.insurer.settle_arrived.wait()

    await far.money.another_desk(far.insurer).recover()
    state = await far.state()
    far.insurer.gate.set()
    receipt = await settling

    # One machine has one server: there, what is pending at a start is a former life's.
    assert state is (SettlementState.UNKNOWN if database.kind == "sqlite" else SettlementState.PENDING)
    assert receipt == await far.settle()
    leases = await far.money.unit_of_work.read(
        lambda connection: connection.scalars(select(settlements.c.leased_until)).all()
    )
    assert leases == [None]


async def test_a_doubt_is_given_back_only_under_the_lease_it_was_taken_with(far_on_both: Far) -> None:
    far = far_on_both
    await far.settle_in_vain()
    far.money.clock.advance(MINUTE)
    now = far.money.clock.now()

    def taken_over(connection: Connection) -> tuple[bool, bool]:
        (first,) = claim_due(connection, now=now, lease=MINUTE, wait_max=MINUTE, limit=1)
        (second,) = claim_due(connection, now=now + 2 * MINUTE, lease=MINUTE, wait_max=MINUTE, limit=1)
        late = put_off(connection, first, next_try_at=now, tries=7)
        return late, put_off(connection, second, next_try_at=now, tries=8)

    assert await far.money.unit_of_work.write(taken_over) == (False, True)
