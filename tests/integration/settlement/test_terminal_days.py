"""The day of one terminal, page by page, on both engines."""

from datetime import timedelta

from sqlalchemy import Connection

from server.settlement.model import Intent, SettlementState
from server.settlement.quote import CHINA
from server.settlement.reconciliation.days import bounds_of, day_of
from server.settlement.reconciliation.terminals import PAGE, TerminalDays
from server.settlement.store import SettlementRow, insert_settlement
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work
from tests.support.money import ANOTHER_TERMINAL, a_caller, an_id

TERMINAL = a_caller().terminal_id
NOW = Clock().now()
DAY = day_of(NOW, CHINA)


def a_busy_day(connection: Connection) -> set[str]:
    """Write down two pages and one, at few moments, and what must not be told; return what must be."""
    begins, ends = bounds_of(DAY, CHINA)

    def row(number: int, state: SettlementState = SettlementState.SETTLED, **changes: object) -> str:
        moment = begins + timedelta(seconds=number % 3)  # many share a moment: the id orders those
        values = {"terminal_id": TERMINAL, "settled_at": moment, "total_fen": 1, **changes}
        written = SettlementRow(
            transaction_id=an_id(NOW),
            state=state,
            intent=Intent.SETTLE,
            began_at=NOW,
            **values,  # type: ignore[arg-type] # columns by name
        )
        insert_settlement(connection, written)
        return written.transaction_id

    told = {row(number) for number in range(2 * PAGE)} | {row(0, SettlementState.CANCELLED)}
    told |= {row(1, SettlementState.UNKNOWN), row(2, SettlementState.PENDING, settled_at=None)}
    row(0, settled_at=ends)
    row(0, settled_at=begins - timedelta(microseconds=1))
    row(0, terminal_id=ANOTHER_TERMINAL)
    return told


async def test_a_day_of_several_pages_is_told_whole_each_settlement_once(database: Database) -> None:
    async with a_unit_of_work(database.engine) as unit_of_work:
        expected = await unit_of_work.write(a_busy_day)
        days = TerminalDays(unit_of_work=unit_of_work, zone=CHINA)

        totals = await days.totals(TERMINAL, DAY)
        told = [item.transaction_id async for item in days.items(TERMINAL, DAY)]

    assert (totals.settlements, totals.total_fen) == (2 * PAGE, 2 * PAGE)
    assert len(told) == len(set(told))
    assert set(told) == expected
