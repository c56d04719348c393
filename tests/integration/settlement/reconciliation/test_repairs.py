"""What is not paid here and paid there is undone there, when an operator confirms it, and never otherwise."""

import pytest
from sqlalchemy import update

from device_registry.audit.log import AuditFilter
from server.settlement import SettlementState
from server.settlement.errors import InsurerRefusedError, ReconciliationItemStateError
from server.settlement.quote import CHINA
from server.settlement.reconciliation.actions import ReconciliationItems
from server.settlement.reconciliation.items import ItemOutcome, ItemState
from server.settlement.reconciliation.judging import Proposal
from server.settlement.reconciliation.statements import DifferenceClass
from server.store.tables.settlement import settlements
from tests.support.far import Far
from tests.support.insurer import Fault, RemoteInsurerInMemory

ACTOR = "operator:mei"


async def test_what_we_undid_and_they_did_not_is_proposed_and_undone_when_an_operator_confirms(far: Far) -> None:
    await far.reverse()
    far.insurer.booked[far.transaction_id] = far.quote.shares  # their restored backup has it again

    (result,) = await far.reconciliation().run()
    item = await far.the_item()
    repaired = await far.items.confirm(item.item_id, actor=ACTOR)
    (after,) = await far.reconciliation().run()

    assert (result.agrees, result.differences, result.new_items) == (False, 1, 1)
    assert (item.difference_class, item.state, item.proposal) == (
        DifferenceClass.STATE,
        ItemState.PROPOSED,
        Proposal.REVERSE_THERE,
    )
    assert item.theirs_fen == far.quote.shares.pooled_fund_fen
    assert repaired.money_moved_back
    assert (repaired.item.outcome, repaired.item.closed_by) == (ItemOutcome.REPAIRED, ACTOR)
    assert far.insurer.moved_fen() == 0
    assert after.agrees
    with pytest.raises(ReconciliationItemStateError):
        await far.items.confirm(item.item_id, actor=ACTOR)
    assert await far.money.books_are_sound()


async def test_what_was_refused_here_and_is_paid_there_is_undone_there_when_an_operator_confirms(
    far: Far,
) -> None:
    refused = await far.another()
    far.insurer.fail_next("settle", Fault.REFUSE)
    with pytest.raises(InsurerRefusedError):
        await refused.settle()
    far.insurer.booked[refused.transaction_id] = refused.quote.shares  # it booked after it had said no

    await far.reconciliation().run()
    item = await far.the_item()
    repaired = await far.items.confirm(item.item_id, actor=ACTOR)
    (after,) = await far.reconciliation().run()
    about = AuditFilter(subject=item.item_id)
    trail = await far.money.unit_of_work.read(lambda connection: list(far.money.audit.entries(connection, about)))

    assert (item.difference_class, item.transaction_id) == (DifferenceClass.THEIRS_ONLY, refused.transaction_id)
    assert (item.state, item.proposal) == (ItemState.PROPOSED, Proposal.REVERSE_THERE)
    assert (repaired.money_moved_back, repaired.item.outcome) == (True, ItemOutcome.REPAIRED)
    assert list(far.insurer.booked) == [far.transaction_id]
    assert await refused.state() is SettlementState.FAILED
    assert after.agrees
    assert [entry.action.partition(".")[2] for entry in trail] == ["item_opened", "repair_begun", "repaired"]
    assert await far.money.books_are_sound()


class Watched(RemoteInsurerInMemory):
    """Has the books compared when it has reversed something, before it answers."""

    def __init__(self, far: Far) -> None:
        super().__init__()
        self._far = far
        self.booked = far.insurer.booked

    async def reverse(self, transaction_id: str) -> bool:
        """Take it back, and let a run see that."""
        had_moved = await super().reverse(transaction_id)
        await self._far.reconciliation().run()
        return had_moved


async def test_a_repair_that_a_comparison_saw_first_is_on_record_all_the_same(near: Far) -> None:
    await near.reverse()
    near.insurer.booked[near.transaction_id] = near.quote.shares
    await near.reconciliation().run()
    item = await near.the_item()
    items = ReconciliationItems(
        unit_of_work=near.money.unit_of_work,
        now=near.money.clock.now,
        zone=CHINA,
        audit=near.money.audit,
        upstream=near.money.upstream(Watched(near)),
    )

    repaired = await items.confirm(item.item_id, actor=ACTOR)

    about = AuditFilter(subject=item.item_id, action="reconciliation.repaired")
    trail = await near.money.unit_of_work.read(lambda connection: list(near.money.audit.entries(connection, about)))
    assert (repaired.money_moved_back, repaired.item.outcome) == (True, ItemOutcome.VANISHED)
    assert [entry.actor for entry in trail] == [ACTOR]


async def test_a_repair_is_not_carried_out_when_the_bill_is_paid_here_by_now(near: Far) -> None:
    await near.reverse()
    near.insurer.booked[near.transaction_id] = near.quote.shares
    await near.reconciliation().run()
    item = await near.the_item()
    await near.money.unit_of_work.write(
        lambda connection: connection.execute(update(settlements).values(state=SettlementState.SETTLED.value))
    )

    with pytest.raises(ReconciliationItemStateError):
        await near.items.confirm(item.item_id, actor=ACTOR)

    assert near.insurer.moved_fen() > 0
