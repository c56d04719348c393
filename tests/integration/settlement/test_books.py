"""Settlements, postings and years of benefits tell one story, and a change to any of them is found."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from server.settlement import SettlementLimits
from server.settlement.books import SettlementsReport, verify_settlements
from server.settlement.doubts import claim_due
from server.settlement.store import doubt_pending
from tests.support.clock import Clock
from tests.support.database import Database, SqliteDatabase, forget_checks
from tests.support.money import Money, a_bill, a_settlement_desk


@pytest.fixture
async def money(database: Database) -> AsyncIterator[Money]:
    """Yield a desk with one settlement that stands, one cancelled, one reversed, and a tombstone."""
    limits = SettlementLimits(pin_free_day_fen=10**6)  # three bills on one day
    async with a_settlement_desk(database.engine, deductible_used=False, limits=limits) as desk:
        ids = [await settled(desk) for _ in range(3)]
        await desk.desk.cancel(desk.caller, transaction_id=desk.an_id(), settlement_transaction_id=ids[1])
        for reversed_id in (ids[2], desk.an_id()):
            await desk.desk.reverse(desk.caller, transaction_id=desk.an_id(), settlement_transaction_id=reversed_id)
        yield desk


async def settled(money: Money) -> str:
    """Settle a bill of which fund, account and pocket each pay a part; return its id."""
    bill, face = a_bill(total_fen=45_000, not_covered_fen=100), await money.a_face()
    quote = await money.a_quote(bill, face)
    transaction_id = money.an_id()
    await money.desk.settle(
        money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
    )
    return transaction_id


async def report_after(money: Money, *harm: str) -> SettlementsReport:
    """Change the database behind our back, and look."""

    def work(connection: Connection) -> SettlementsReport:
        forget_checks(connection)
        for statement in harm:
            connection.execute(text(statement))
        return verify_settlements(connection)

    return await money.unit_of_work.write(work)


async def test_i06_settlements_and_books_that_were_left_alone_agree(money: Money) -> None:
    report = await report_after(money)

    assert report.is_sound, report
    assert report.settlements == 3


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        ("DELETE FROM ledger_entries WHERE posting_id LIKE 'settle:%'", "unposted"),
        ("DELETE FROM ledger_entries WHERE posting_id LIKE 'undo:%'", "unposted"),
        ("UPDATE ledger_entries SET amount_fen = amount_fen * 2 WHERE posting_id LIKE 'settle:%'", "unposted"),
        ("UPDATE ledger_entries SET amount_fen = amount_fen * 2 WHERE posting_id LIKE 'settle:%'", "unexplained"),
        ("DELETE FROM settlements WHERE state = 'SETTLED'", "unexplained"),
        ("UPDATE settlements SET state = 'SETTLED' WHERE state = 'CANCELLED'", "unexplained"),
        ("UPDATE settlements SET state = 'FAILED' WHERE state = 'SETTLED'", "unexplained"),
        ("UPDATE settlements SET state = 'FAILED' WHERE state = 'SETTLED'", "miscounted"),
        ("UPDATE benefit_years SET deductible_used_fen = deductible_used_fen + 1", "miscounted"),
        ("DELETE FROM benefit_years", "miscounted"),
    ],
)
async def test_i06_what_was_changed_on_one_side_is_found(money: Money, harm: str, finding: str) -> None:
    report = await report_after(money, harm)

    assert not report.is_sound
    assert getattr(report, finding)


def test_looking_for_doubt_reads_only_what_is_in_doubt(sqlite_database: SqliteDatabase) -> None:
    """Both queries go through the partial index, also when a million settlements are beside it."""
    plans: list[str] = []
    with sqlite_database.engine.begin() as connection:
        sqlite = connection.connection.driver_connection
        asked: list[str] = []
        sqlite.set_trace_callback(asked.append)  # type: ignore[union-attr]  # it is SQLite's connection
        now = Clock().now()
        minute = timedelta(minutes=1)
        claim_due(connection, now=now, lease=minute, wait_max=minute, limit=16)
        doubt_pending(connection, now=now, patience=None)
        doubt_pending(connection, now=now, patience=minute)
        sqlite.set_trace_callback(None)  # type: ignore[union-attr]  # as above
        for statement in asked:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement.replace("%", "%%")).all()
            plans.append(" ".join(str(step[-1]) for step in plan))

    assert len(plans) == 3
    assert all("ix_settlements_in_doubt" in plan for plan in plans), plans
