"""Who compares our books with the insurer's, and when? One replica at a time, each day until it agrees.

Today is compared on every run; a day that is over until it agrees, and after that now and then for as long as it can
still change. Totals are asked first; every transaction is looked at where they differ, and once when a day is over: two
differences that cancel out are in no total.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import partial
from typing import Final

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.settlement.doubts import why_of
from server.settlement.errors import ReconciliationTooLargeError, ReconciliationUnderWayError
from server.settlement.reconciliation.days import bounds_of, day_of
from server.settlement.reconciliation.items import (
    Day,
    begin_run,
    compared_days,
    end_run,
    has_agreed_since,
    has_open_items,
    has_turn,
    last_compared,
    note_day,
    see,
)
from server.settlement.reconciliation.judging import Judged, judged, to_ask_again
from server.settlement.reconciliation.ours import (
    LINES_MAX,
    Standing,
    first_day,
    is_anything_in_doubt,
    lines_of,
    standings_of,
    totals_of,
)
from server.settlement.reconciliation.statements import Difference, DifferenceClass, Statements, StatementTotal
from server.settlement.remote import Upstream
from server.store.unit_of_work import UnitOfWork

ACTOR: Final = "platform"
NOT_AGAIN_BEFORE: Final = 0.9
"""Of the interval: replicas do not try in the same moment, and one that is a little early must not be put off."""
ASKED_AGAIN_MAX: Final = 50
"""Transactions only we have that are asked about one by one; with more, the statement itself is what is wrong."""

DAYS_MAX: Final = 366
"""The furthest day back that is looked for by itself; an older one can be named."""
TOTALS: Final = "TOTALS"
"""Reference of a difference that no single transaction explains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciliationPolicy:
    """How often which days are compared."""

    interval: timedelta = timedelta(minutes=15)
    """Between two runs, over all replicas together."""
    days_back: int = 8
    """Days that are compared although they agreed: as long as a settlement can be reversed, and one."""
    agreed_again_after: timedelta = timedelta(hours=6)
    """When a past day that agreed is compared anew."""
    first_run_days_max: int = 31
    """Days of the past that are taken up when there was no run before."""
    lease: timedelta = timedelta(minutes=30)
    """How long one run may last; then another replica takes the turn."""
    in_detail: bool = True
    """Whether a day is compared transaction by transaction once it is over, also where its totals agree; one with open
    items is so in any case."""
    lines_max: int = LINES_MAX
    """Settlements of one day that are compared one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """How the comparison of one day ended."""

    day: date
    agrees: bool
    differences: int
    new_items: int
    failed: bool = False
    """True when it could not be compared; nothing is known."""
    why: str = ""
    """Then, what the error is called."""
    in_detail: bool = False
    """True when every transaction was compared, and not the totals alone."""


class Reconciliation:
    """Compares our books with the insurer's statements."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        zone: tzinfo,
        statements: Statements,
        upstream: Upstream | None,
        audit: AuditLog,
        policy: ReconciliationPolicy,
        on_day: Callable[[DayResult], None] = lambda _: None,
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where our books are.
            now: the clock.
            zone: whose calendar has the days.
            statements: the insurer's.
            upstream: the insurer itself, to ask about single transactions; None for one in house.
            audit: where new differences are noted.
            policy: how often.
            on_day: told how each comparison ended.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._zone: Final = zone
        self._statements: Final = statements
        self._upstream: Final = upstream
        self._audit: Final = audit
        self._policy: Final = policy
        self._on_day: Final = on_day

    async def run_if_due(self) -> Sequence[DayResult] | None:
        """Compare all days that are open, if it is due and nobody else does; return None when not."""
        with suppress(ReconciliationUnderWayError):
            return await self._run(None, not_again_before=self._policy.interval * NOT_AGAIN_BEFORE)
        return None

    async def run(self, day: date | None = None) -> Sequence[DayResult]:
        """Compare one day, or all that are open, now.

        Raises:
            ReconciliationUnderWayError: somebody else does at this moment.
        """
        return await self._run(day, not_again_before=timedelta())

    async def _run(self, day: date | None, *, not_again_before: timedelta) -> Sequence[DayResult]:
        turn = await self._unit_of_work.write(
            lambda connection: begin_run(
                connection,
                now=self._now(),
                lease=self._policy.lease,
                not_again_before=not_again_before,
                is_of_all=day is None,
            )
        )
        if turn is None:
            raise ReconciliationUnderWayError
        succeeded = False
        try:
            days = [day] if day is not None else await self._unit_of_work.read(self._open_days)
            results = [await self._compared(each, turn) for each in days]
            succeeded = day is None and not any(result.failed for result in results)
            return results
        finally:
            await self._unit_of_work.write(
                lambda connection: end_run(connection, turn, now=self._now(), succeeded=succeeded)
            )

    def _open_days(self, connection: Connection) -> list[date]:
        """Return the days to compare, oldest first: also those of a time when nobody did."""
        now, policy = self._now(), self._policy
        today = day_of(now, self._zone)
        again_from = today - timedelta(days=policy.days_back)
        known, last = compared_days(connection, since=again_from), last_compared(connection, until=today)
        # The last one, too: what came after its comparison on that day nobody has seen.
        begin = again_from if last is None else min(again_from, last)
        if last is None:
            begin = today - timedelta(days=policy.first_run_days_max)
        begin = max(begin, first_day(connection, self._zone) or today, today - timedelta(days=DAYS_MAX))
        days = {begin + timedelta(days=n) for n in range((today - begin).days + 1)}
        due = {each for each in days if self._is_due(known.get(each), each, today, now)}
        return sorted(due | {each for each, seen in known.items() if seen.agreed_at is None and each <= today})

    def _is_due(self, seen: Day | None, day: date, today: date, now: datetime) -> bool:
        if seen is None or seen.agreed_at is None or day == today:
            return True
        return abs(now - seen.compared_at) >= self._policy.agreed_again_after

    async def _compared(self, day: date, turn: datetime) -> DayResult:
        """Compare a day; whatever goes wrong leaves it open, and the other days are compared all the same."""
        try:
            result = await self._compare(day, turn)
        except Exception as error:  # noqa: BLE001 - as above: the insurer does not answer, or not usably
            result = DayResult(day=day, agrees=False, differences=0, new_items=0, failed=True, why=why_of(error))
        self._on_day(result)
        return result

    async def _compare(self, day: date, turn: datetime) -> DayResult:
        began = self._now()  # a comparison that goes on past midnight has not seen the whole day
        totals = await self._unit_of_work.walk(
            partial(totals_of, day=day, zone=self._zone), patience=self._policy.lease
        )
        if await self._statements.totals_agree(day, totals):
            found = await self._hidden(day, began=began)
            counting = () if found is None else await self._judged(day, found)
            is_explained = not counting
        else:
            found = await self._differences(day) or [_of_totals(totals)]
            counting = await self._judged(day, found)
            is_explained = not counting and not await self._unit_of_work.read(is_anything_in_doubt)
        new = await self._unit_of_work.write(
            partial(self._written_down, turn, day=day, began=began, counting=counting, agrees=is_explained)
        )
        return DayResult(
            day=day,
            agrees=is_explained,
            differences=len(counting),
            new_items=new,
            in_detail=found is not None,
        )

    async def _differences(self, day: date) -> Sequence[Difference]:
        lines = await self._unit_of_work.walk(
            partial(lines_of, day=day, zone=self._zone, lines_max=self._policy.lines_max), patience=self._policy.lease
        )
        return await self._statements.differences(day, lines)

    async def _hidden(self, day: date, *, began: datetime) -> Sequence[Difference] | None:
        """Return what differs although the totals agree; None when nobody looks.

        A day with too many transactions to look at stays compared by its totals.

        Raises:
            ReconciliationTooLargeError: there are too many, and open items, whose end nobody could see.
        """
        has_items = await self._unit_of_work.read(partial(has_open_items, day=day))
        if not has_items and not await self._is_over_and_unseen(day, began):
            return None
        try:
            return await self._differences(day)
        except ReconciliationTooLargeError:
            if has_items:
                raise
            return None

    async def _is_over_and_unseen(self, day: date, began: datetime) -> bool:
        ends = bounds_of(day, self._zone)[1]
        if not self._policy.in_detail or began < ends:
            return False
        return not await self._unit_of_work.read(partial(has_agreed_since, day=day, since=ends))

    async def _judged(self, day: date, differences: Sequence[Difference]) -> Sequence[Judged]:
        booked_there = await self._booked_there(to_ask_again(differences))
        ids = {difference.transaction_id for difference in differences if difference.transaction_id}
        standings: Mapping[str, Standing] = await self._unit_of_work.read(
            partial(standings_of, ids=ids, zone=self._zone)
        )
        return judged(
            differences, standings, day=day, booked_there=booked_there, can_reverse=self._upstream is not None
        )

    async def _booked_there(self, ids: Sequence[str]) -> set[str]:
        """Return which of these transactions the insurer has when it is asked about each."""
        if self._upstream is None or len(ids) > ASKED_AGAIN_MAX:
            return set()
        booked = set()
        for transaction_id in ids:
            with suppress(Exception):  # no answer proves nothing: then it stays a difference
                if await self._upstream.query(transaction_id) is not None:
                    booked.add(transaction_id)
        return booked

    def _written_down(
        self,
        turn: datetime,
        connection: Connection,
        *,
        day: date,
        began: datetime,
        counting: Sequence[Judged],
        agrees: bool,
    ) -> int:
        if not has_turn(connection, turn):  # an older view of the day must not close what a newer one has found
            raise ReconciliationUnderWayError
        new = see(connection, day, counting, now=self._now())
        note_day(connection, day, began=began, agrees=agrees, differences=len(counting))
        for item_id in new:
            self._audit.append(
                connection,
                actor=ACTOR,
                action="reconciliation.item_opened",
                subject=item_id,
                details={"day": day.isoformat()},
            )
        return len(new)


def _of_totals(totals: Sequence[StatementTotal]) -> Difference:
    """Return what somebody has to look at when totals differ and no transaction does: the statement itself."""
    return Difference(
        difference_class=DifferenceClass.AMOUNT,
        transaction_id=None,
        reference=TOTALS,
        ours_fen=sum(total.pooled_fund_fen + total.personal_account_fen for total in totals),
        theirs_fen=None,
    )
