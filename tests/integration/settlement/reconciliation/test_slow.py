"""A comparison takes time: what it may say of a day that ended meanwhile, or that somebody else has compared since."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta

import pytest

from server.settlement.errors import ReconciliationUnderWayError
from server.settlement.quote import CHINA
from server.settlement.reconciliation.days import day_of
from server.settlement.reconciliation.runs import DayResult
from server.settlement.reconciliation.statements import Difference, DifferenceClass, StatementLine, StatementTotal
from tests.support.far import Far


class Slow:
    """The insurer's statements, whose totals are not heard before something else has happened."""

    def __init__(self, far: Far, meanwhile: Callable[[], Awaitable[object]]) -> None:
        """Take whose insurer it is, and what happens."""
        self._far = far
        self._meanwhile = meanwhile

    async def totals_agree(self, day: date, ours: Sequence[StatementTotal]) -> bool:
        """Answer late."""
        agree = await self._far.insurer.statements.totals_agree(day, ours)
        await self._meanwhile()
        return agree

    async def differences(self, day: date, ours: Sequence[StatementLine]) -> Sequence[Difference]:
        """Answer."""
        return await self._far.insurer.statements.differences(day, ours)


async def test_a_comparison_that_went_on_past_midnight_has_not_seen_the_day_to_its_end(far: Far) -> None:
    other = far.money.an_id()
    far.insurer.booked[other] = far.insurer.booked.pop(far.transaction_id)
    far.insurer.only_on[other] = day_of(far.money.clock.now(), CHINA)
    far.money.clock.advance(timedelta(hours=7, minutes=59))  # it is 23:59

    async def midnight() -> None:
        far.money.clock.advance(timedelta(minutes=2))

    (late,) = await far.reconciliation(statements=Slow(far, midnight)).run()
    far.money.clock.advance(timedelta(hours=6))
    yesterday, _ = await far.reconciliation().run()

    assert (late.agrees, late.in_detail) == (True, False)
    assert (yesterday.day, yesterday.differences, yesterday.in_detail) == (late.day, 2, True)


async def test_a_run_that_took_too_long_closes_nothing_of_what_another_has_found_since(far: Far) -> None:
    async def another_takes_the_turn() -> None:
        far.money.clock.advance(timedelta(minutes=31))
        far.insurer.booked.clear()
        await far.reconciliation().run()

    (late,) = await far.reconciliation(statements=Slow(far, another_takes_the_turn)).run()

    assert (late.failed, late.why) == (True, ReconciliationUnderWayError.reason)
    (item,) = await far.items.listed()
    assert item.difference_class is DifferenceClass.OURS_ONLY


async def test_a_run_that_took_too_long_leaves_the_turn_to_whoever_has_it_since(far: Far) -> None:
    has_turn, may_end = asyncio.Event(), asyncio.Event()
    others: list[asyncio.Task[Sequence[DayResult]]] = []

    async def hold() -> None:
        has_turn.set()
        await may_end.wait()

    async def another_takes_the_turn() -> None:
        far.money.clock.advance(timedelta(minutes=31))
        others.append(asyncio.create_task(far.reconciliation(statements=Slow(far, hold)).run()))
        await has_turn.wait()

    (late,) = await far.reconciliation(statements=Slow(far, another_takes_the_turn)).run()
    with pytest.raises(ReconciliationUnderWayError):
        await far.reconciliation().run()
    may_end.set()
    ((other,),) = await asyncio.gather(*others)

    assert (late.failed, other.agrees) == (True, True)
