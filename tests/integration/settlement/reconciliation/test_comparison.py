"""Our books against the insurer's, all day: totals, details, differences, and how each of them ends."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import text

from server.settlement.errors import (
    ReconciliationItemStateError,
    ReconciliationTooLargeError,
)
from server.settlement.model import Shares
from server.settlement.quote import CHINA
from server.settlement.reconciliation.days import day_of
from server.settlement.reconciliation.items import Item, ItemOutcome, ItemState, openness
from server.settlement.reconciliation.judging import Proposal
from server.settlement.reconciliation.ledger_statements import LedgerStatements
from server.settlement.reconciliation.ours import lines_of
from server.settlement.reconciliation.runs import TOTALS, DayResult, Reconciliation, ReconciliationPolicy
from server.settlement.reconciliation.statements import DifferenceClass
from tests.support.database import Database, SqliteDatabase, a_unit_of_work
from tests.support.far import Far
from tests.support.insurer import Fault
from tests.support.money import Money, a_bill, a_settlement_desk

ACTOR = "operator:mei"


async def test_books_that_agree_are_compared_by_their_totals_alone(near: Far) -> None:
    (result,) = await near.reconciliation().run()

    assert result.agrees
    assert near.insurer.calls.count("totals") == 1
    assert "details" not in near.insurer.calls
    assert await near.items.listed() == []


async def test_what_only_we_have_is_a_persons_business_and_comes_back_when_it_was_closed_too_early(near: Far) -> None:
    shares = near.insurer.booked.pop(near.transaction_id)

    await near.reconciliation().run()
    item = await near.the_item()
    assigned = await near.items.assign(item.item_id, "mei", actor=ACTOR)
    with pytest.raises(ReconciliationItemStateError):
        await near.items.confirm(item.item_id, actor=ACTOR)
    closed = await near.items.close(item.item_id, actor=ACTOR, reason="they will book it by hand")
    near.money.clock.advance(timedelta(hours=1))
    await near.reconciliation().run()
    again = await near.the_item()
    near.insurer.booked[near.transaction_id] = shares
    await near.reconciliation().run()

    assert (item.difference_class, item.state, item.proposal) == (
        DifferenceClass.OURS_ONLY,
        ItemState.OPEN,
        Proposal.PERSON,
    )
    assert (assigned.owner, closed.outcome) == ("mei", ItemOutcome.DECIDED)
    assert (again.item_id, again.owner, again.times_seen) == (item.item_id, "mei", 2)
    assert await near.items.listed() == []
    (vanished,) = await near.items.listed(day_of(near.money.clock.now(), CHINA))
    assert vanished.outcome is ItemOutcome.VANISHED


async def test_what_the_statement_lacks_but_the_insurer_has_when_asked_is_no_difference(near: Far) -> None:
    near.insurer.late_in_statements.add(near.transaction_id)

    (result,) = await near.reconciliation().run()

    assert (result.agrees, result.differences) == (True, 0)
    assert near.insurer.calls[-1] == "query"


async def test_other_amounts_and_what_we_never_saw_are_told_with_both_sums(near: Far) -> None:
    day = day_of(near.money.clock.now(), CHINA)
    fund = near.quote.shares.pooled_fund_fen
    near.insurer.booked[near.transaction_id] = a_share(fund + 1)
    stranger = near.money.an_id()
    near.insurer.booked[stranger] = a_share(5)

    await near.reconciliation().run()
    found = {item.transaction_id: item for item in await near.items.listed(day)}

    other, unseen = found[near.transaction_id], found[stranger]
    assert (other.difference_class, other.ours_fen, other.theirs_fen) == (DifferenceClass.AMOUNT, fund, fund + 1)
    assert (unseen.difference_class, unseen.ours_fen, unseen.theirs_fen) == (DifferenceClass.THEIRS_ONLY, None, 5)
    assert {item.proposal for item in found.values()} == {Proposal.PERSON}
    counted = await near.money.unit_of_work.read(openness)
    assert counted.items == {DifferenceClass.AMOUNT: 1, DifferenceClass.THEIRS_ONLY: 1}


def a_share(fund_fen: int) -> Shares:
    """Return a booking of that much."""
    return Shares(total_fen=fund_fen, pooled_fund_fen=fund_fen, personal_account_fen=0, self_pay_fen=0)


async def test_what_is_in_doubt_is_left_to_the_resolver_and_keeps_its_day_open(near: Far) -> None:
    doubtful = await near.another()
    await doubtful.settle_in_vain()

    (result,) = await near.reconciliation().run()

    assert (result.agrees, result.differences, result.failed) == (False, 0, False)
    assert await near.items.listed() == []


async def test_totals_that_no_transaction_explains_are_a_difference_of_their_own(near: Far) -> None:
    near.insurer.totals_are_wrong = True

    await near.reconciliation().run()

    item = await near.the_item()
    assert (item.transaction_id, item.reference, item.difference_class) == (None, TOTALS, DifferenceClass.AMOUNT)


async def test_of_all_replicas_one_compares_and_not_again_before_it_is_due(database: Database, far: Far) -> None:
    async with a_unit_of_work(database.another_engine()) as elsewhere:
        here, there = far.reconciliation(), far.reconciliation(unit_of_work=elsewhere)
        results = await asyncio.gather(here.run_if_due(), there.run_if_due(), here.run_if_due())
        far.money.clock.advance(timedelta(minutes=5))
        too_early = await there.run_if_due()
        far.money.clock.advance(timedelta(minutes=10))
        in_time = await there.run_if_due()

    assert sum(result is not None for result in results) == 1
    assert too_early is None
    assert in_time is not None
    assert far.insurer.calls.count("totals") == 2


async def test_a_comparison_of_one_day_neither_puts_off_that_of_all_nor_counts_as_one(near: Far) -> None:
    await near.reconciliation().run()
    first = (await near.money.unit_of_work.read(openness)).succeeded_at
    near.money.clock.advance(timedelta(minutes=14))

    await near.reconciliation().run(day_of(near.money.clock.now(), CHINA))
    after_one_day = (await near.money.unit_of_work.read(openness)).succeeded_at
    results = await near.reconciliation().run_if_due()

    assert after_one_day == first
    assert results is not None


async def test_a_comparison_of_one_day_does_not_put_off_the_very_first_of_all(near: Far) -> None:
    await near.reconciliation().run(day_of(near.money.clock.now(), CHINA))

    assert await near.reconciliation().run_if_due() is not None


async def test_a_replica_that_died_in_the_middle_keeps_the_others_waiting_for_its_lease_alone(near: Far) -> None:
    near.insurer.fail_next("totals", Fault.HANG)
    dying = asyncio.create_task(near.reconciliation().run())
    while "totals" not in near.insurer.calls:  # noqa: ASYNC110  # a call that hangs tells nobody
        await asyncio.sleep(0.001)
    near.money.clock.advance(timedelta(hours=1))

    results = await near.reconciliation().run_if_due()
    dying.cancel()

    assert results is not None
    assert results[0].agrees


async def test_a_day_stays_open_until_it_agrees_and_one_that_failed_keeps_no_other_waiting(near: Far) -> None:
    told: list[DayResult] = []
    near.insurer.booked.clear()
    await near.reconciliation(told=told).run()
    near.money.clock.advance(timedelta(days=1))
    near.insurer.fail_next("totals", Fault.DOWN)

    first = await near.reconciliation(told=told).run()
    before = (await near.money.unit_of_work.read(openness)).succeeded_at
    near.insurer.booked[near.transaction_id] = near.quote.shares
    near.insurer.only_on[near.transaction_id] = first[0].day
    second = await near.reconciliation(told=told).run()
    near.money.clock.advance(timedelta(hours=1))
    third = await near.reconciliation().run()

    assert [(result.failed, result.why) for result in first] == [(True, "InsurerLineError"), (False, "")]
    assert before is not None
    assert before < near.money.clock.now() - timedelta(days=1)
    assert [result.agrees for result in second] == [True, True]
    assert [result.day for result in third] == [first[1].day]  # yesterday agreed a moment ago
    assert len(told) == 5


async def test_days_on_which_nobody_compared_are_taken_up_later(near: Far) -> None:
    await near.reconciliation().run()
    near.money.clock.advance(timedelta(days=40))
    near.insurer.days_asked.clear()
    near.insurer.only_on[near.transaction_id] = day_of(near.money.clock.now(), CHINA) - timedelta(days=40)

    results = await near.reconciliation().run()

    assert len(results) == 41  # also the one that was last compared before it was over
    assert all(result.agrees for result in results)


async def cancel_out(far: Far) -> None:
    """Lose the bill in the insurer's books, put another of the same sums there, and let the day be over."""
    other = far.money.an_id()
    far.insurer.booked[other] = far.insurer.booked.pop(far.transaction_id)
    far.insurer.only_on[other] = day_of(far.money.clock.now(), CHINA)
    assert [result.agrees for result in await far.reconciliation().run()] == [True]  # by its totals
    far.money.clock.advance(timedelta(days=1))


async def test_two_differences_that_cancel_out_are_found_when_the_day_is_over_and_stay_until_both_are_gone(
    far: Far,
) -> None:
    await cancel_out(far)

    yesterday, _ = await far.reconciliation().run()
    found = {item.difference_class for item in await far.items.listed()}
    again, _ = await far.reconciliation().run()  # the totals agree, and yet no item vanishes
    still = {item.difference_class for item in await far.items.listed()}
    (theirs,) = [name for name in far.insurer.booked if name != far.transaction_id]
    far.insurer.booked[far.transaction_id] = far.insurer.booked.pop(theirs)
    far.insurer.only_on[far.transaction_id] = yesterday.day
    healed, _ = await far.reconciliation().run()
    asked = far.insurer.calls.count("details")
    far.money.clock.advance(timedelta(hours=7))
    later, _ = await far.reconciliation().run()

    assert (yesterday.agrees, yesterday.differences, yesterday.in_detail) == (False, 2, True)
    assert found == still == {DifferenceClass.OURS_ONLY, DifferenceClass.THEIRS_ONLY}
    assert (again.agrees, healed.agrees, healed.in_detail) == (False, True, True)
    assert await far.items.listed() == []
    assert (later.agrees, later.in_detail) == (True, False)
    assert (asked, far.insurer.calls.count("details")) == (3, 3)  # agreed once in detail: its totals are enough


@pytest.mark.parametrize("policy", [ReconciliationPolicy(in_detail=False), ReconciliationPolicy(lines_max=0)])
async def test_a_day_whose_details_are_not_wanted_or_too_many_is_compared_by_its_totals(
    near: Far, policy: ReconciliationPolicy
) -> None:
    await cancel_out(near)

    results = await near.reconciliation(policy=policy).run()

    assert [(result.agrees, result.in_detail) for result in results] == [(True, False), (True, False)]
    assert "details" not in near.insurer.calls


@pytest.mark.parametrize("policy", [ReconciliationPolicy(), ReconciliationPolicy(in_detail=False)])
async def test_an_item_does_not_vanish_because_another_one_makes_the_totals_agree(
    near: Far, policy: ReconciliationPolicy
) -> None:
    before = await hide_an_item(near)

    (result,) = await near.reconciliation(policy=policy).run()

    assert (result.differences, result.in_detail) == (2, True)
    assert before.item_id in {item.item_id for item in await near.items.listed()}


async def test_an_item_of_a_day_with_too_many_payments_to_look_at_stays_and_its_day_is_said_to_have_failed(
    near: Far,
) -> None:
    before = await hide_an_item(near)

    (result,) = await near.reconciliation(policy=ReconciliationPolicy(lines_max=0)).run()

    assert (result.failed, result.why) == (True, ReconciliationTooLargeError.reason)
    assert await near.items.listed() == [before]


async def hide_an_item(far: Far) -> Item:
    """Find that the insurer lacks the bill, and let it book another of the same sums; return the item."""
    shares = far.insurer.booked.pop(far.transaction_id)
    await far.reconciliation().run()
    item = await far.the_item()
    far.insurer.booked[far.money.an_id()] = shares
    return item


async def test_a_day_somebody_named_that_is_yet_to_come_hides_none_on_which_nobody_compared(near: Far) -> None:
    await near.reconciliation().run(day_of(near.money.clock.now(), CHINA) + timedelta(days=300))
    await near.reconciliation().run()
    near.money.clock.advance(timedelta(days=40))

    assert len(await near.reconciliation().run()) == 41


async def test_a_day_with_too_many_settlements_is_refused_rather_than_held_in_memory(near: Far) -> None:
    day = day_of(near.money.clock.now(), CHINA)

    with pytest.raises(ReconciliationTooLargeError):
        await near.money.unit_of_work.read(lambda connection: lines_of(connection, day, CHINA, lines_max=0))


@pytest.mark.parametrize(
    ("harm", "found"),
    [
        ("SELECT 1", None),
        ("DELETE FROM ledger_entries WHERE posting_id LIKE 'settle:%'", DifferenceClass.OURS_ONLY),
        (
            "UPDATE ledger_entries SET amount_fen = amount_fen * 2 WHERE posting_id LIKE 'settle:%'",
            DifferenceClass.AMOUNT,
        ),
        ("UPDATE settlements SET state = 'CANCELLED'", DifferenceClass.STATE),
    ],
)
async def test_the_ledger_is_the_statement_of_the_local_insurer(
    sqlite_database: SqliteDatabase, harm: str, found: DifferenceClass | None
) -> None:
    assert await found_in_the_ledger(sqlite_database, harm) == ({} if found is None else {found: 1})


async def test_postings_of_no_settlement_are_found_on_both_engines(database: Database) -> None:
    found = await found_in_the_ledger(database, "DELETE FROM settlements")

    assert found == {DifferenceClass.THEIRS_ONLY: 1}


async def found_in_the_ledger(database: Database, harm: str) -> Mapping[DifferenceClass, int]:
    """Pay a bill, do harm to one of the books, compare, and return how many differences of each class are open."""
    async with a_settlement_desk(database.engine) as money:
        await paid(money)
        await money.unit_of_work.write(lambda connection: connection.execute(text(harm)))
        reconciliation = Reconciliation(
            unit_of_work=money.unit_of_work,
            now=money.clock.now,
            zone=CHINA,
            statements=LedgerStatements(unit_of_work=money.unit_of_work, zone=CHINA),
            upstream=None,
            audit=money.audit,
            policy=ReconciliationPolicy(),
        )

        (result,) = await reconciliation.run()
        assert not result.failed
        return (await money.unit_of_work.read(openness)).items


async def paid(money: Money) -> None:
    """Pay one bill."""
    bill, face = a_bill(), await money.a_face()
    quote = await money.a_quote(bill, face)
    await money.desk.settle(
        money.caller, transaction_id=money.an_id(), quote_id=quote.quote_id, bill=bill, authorization=face
    )
