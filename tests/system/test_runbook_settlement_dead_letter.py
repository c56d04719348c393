"""A payment is given up on: it is tried anew, or a person decides it in writing, and nobody pays twice."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uuid_utils
from sqlalchemy import Connection, select

from server.settlement.doubts import note_try
from server.settlement.model import Intent, SettlementState
from server.settlement.store import SettlementRow, insert_settlement
from server.store.tables.settlement import settlements
from tests.support.deployment import Deployment
from tests.support.runbook import the_runbook


def given_up(connection: Connection, total_fen: int) -> str:
    """Write down a payment that was given up on, and return its id."""
    transaction_id, now = str(uuid_utils.uuid7()), datetime.now(UTC)
    insert_settlement(
        connection,
        SettlementRow(
            transaction_id=transaction_id,
            terminal_id=str(uuid_utils.uuid7()),
            state=SettlementState.UNKNOWN,
            intent=Intent.SETTLE,
            total_fen=total_fen,
            not_covered_fen=0,
            pooled_fund_fen=total_fen // 2,
            personal_account_fen=0,
            began_at=now - timedelta(hours=26),
            tries=20,
        ),
    )
    note_try(connection, transaction_id, intent=Intent.SETTLE, outcome="NO_ANSWER", why="TimeoutError", now=now)
    return transaction_id


@pytest.mark.timeout(300)
def test_a_payment_that_was_given_up_on_is_tried_anew_or_decided_in_writing(tmp_path: Path) -> None:
    """The commands need no server: what they write, the next pass of a running one takes up."""
    platform = Deployment(tmp_path)
    try:
        platform.prepare()
        with platform.domain.engine.begin() as connection:
            first, second = given_up(connection, 8_320), given_up(connection, 1_200)
        with the_runbook("settlement-dead-letter", platform) as book:
            book.play("shualian settlement doubts --dead")
            book.play("shualian settlement retry", TRANSACTION=first)
            book.here |= {"ANOTHER": second}
            book.play("shualian settlement close")
            book.play("shualian settlement doubts --dead")

        with platform.domain.engine.connect() as connection:
            rows = connection.execute(
                select(settlements.c.transaction_id, settlements.c.state, settlements.c.tries)
            ).all()
        assert {row[0]: tuple(row[1:]) for row in rows} == {first: ("UNKNOWN", 0), second: ("REVERSED", 20)}
        assert platform.shualian("audit", "verify")["ok"]
    finally:
        platform.close()
