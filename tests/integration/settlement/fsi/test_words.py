"""What a core wrote beside a refusal, for the operator who says why they read it."""

from contextlib import suppress
from datetime import timedelta

import pytest

from device_registry.audit.log import AuditFilter
from server.insurers import heard_by
from server.settlement.closing import Doubts
from server.settlement.errors import InsurerRefusedError, SettlementNotFoundError
from tests.support.database import SqliteDatabase, a_unit_of_work
from tests.support.fsi import NOTHING, Step, an_fsi
from tests.support.money import a_bill, a_settlement_desk

ACTOR = "operator:mei"


async def test_words_of_a_core_are_read_by_an_operator_and_the_trail_says_who_and_why(
    sqlite_database: SqliteDatabase,
) -> None:
    async with (
        a_unit_of_work(sqlite_database.another_engine()) as unit_of_work,
        an_fsi(unit_of_work) as fsi,
        a_settlement_desk(sqlite_database.engine, insurer=fsi.insurer) as money,
    ):
        bill, face, transaction_id = a_bill(not_covered_fen=100), await money.a_face(), money.an_id()
        money.desk = money.another_desk(fsi.insurer, insurer_timeout=timedelta(seconds=30))
        quote = await money.a_quote(bill, face)
        fsi.core.script("2207", Step(infcode=-1, err_msg="王小明 已停保"))
        fsi.core.script("5203", NOTHING)
        with suppress(InsurerRefusedError):
            await money.desk.settle(
                money.caller, transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=face
            )
        doubts = Doubts(
            unit_of_work=money.unit_of_work,
            now=money.clock.now,
            audit=money.audit,
            self_pays=money.self_pays,
            upstream=money.upstream(fsi.insurer),
            heard_of=heard_by(fsi.insurer),
        )

        heard = await doubts.read_words(transaction_id, actor=ACTOR, reason="complaint 17")
        with pytest.raises(SettlementNotFoundError):
            await doubts.read_words(money.an_id(), actor=ACTOR, reason="complaint 18")
        trail = await money.unit_of_work.read(
            lambda connection: list(money.audit.entries(connection, AuditFilter(action="settlement.words_read")))
        )

    assert [(each.call, each.code, each.words) for each in heard] == [("2207", "-1", "王小明 已停保")]
    (entry,) = trail
    assert (entry.actor, entry.subject, entry.reason) == (ACTOR, transaction_id, "complaint 17")
    assert "王小明" not in repr(entry)
