"""Doubt and differences from the command line: what is printed, what is refused, and what stands in the audit trail."""

from datetime import UTC, datetime
from pathlib import Path

import uuid_utils

from server.settlement.model import Intent, SettlementState
from server.settlement.store import SettlementRow, insert_settlement
from server.store import open_engine
from tests.integration.cli.conftest import Ask


def paid_without_a_posting(data_dir: Path) -> str:
    """Write down a settlement that the ledger knows nothing of, and return its id."""
    engine = open_engine(f"sqlite:///{data_dir / 'shualian.sqlite'}")
    transaction_id, now = str(uuid_utils.uuid7()), datetime.now(UTC)
    with engine.begin() as connection:
        insert_settlement(
            connection,
            SettlementRow(
                transaction_id=transaction_id,
                terminal_id=str(uuid_utils.uuid7()),
                site_id=str(uuid_utils.uuid7()),
                state=SettlementState.SETTLED,
                intent=Intent.SETTLE,
                business_type=1301,
                total_fen=8_320,
                not_covered_fen=0,
                pooled_fund_fen=4_160,
                personal_account_fen=0,
                began_at=now,
                settled_at=now,
            ),
        )
    engine.dispose()
    return transaction_id


def test_a_difference_is_found_assigned_and_closed_with_a_reason(ask: Ask, site: str, tmp_path: Path) -> None:
    assert site
    assert ask("reconciliation", "run").code == 0
    transaction_id = paid_without_a_posting(tmp_path / "data")

    impossible = ask("reconciliation", "run", "--day", "0001-01-01")
    run = ask("reconciliation", "run", "--json")
    (item,) = ask("reconciliation", "list", "--json").json["items"]
    assigned = ask("reconciliation", "assign", item["item_id"], "mei", "--json").json
    confirming = ask("reconciliation", "confirm", item["item_id"], "--json")
    closed = ask("reconciliation", "close", item["item_id"], "--reason", "posted by hand", "--json").json
    again = ask("reconciliation", "close", item["item_id"], "--reason", "twice", "--json")
    audited = ask("audit", "list", "--json").json["entries"]

    assert impossible.code == 2
    assert (run.code, run.json["ok"], run.json["days"][0]["differences"]) == (1, False, 1)
    assert (item["transaction_id"], item["difference_class"], item["ours_fen"]) == (transaction_id, "OURS_ONLY", 4_160)
    assert assigned["owner"] == "mei"
    assert confirming.json["error"]["reason"] == "RECONCILIATION_ITEM_STATE"  # no machine may move money on this
    assert (closed["state"], closed["outcome"], closed["reason"]) == ("CLOSED", "DECIDED", "posted by hand")
    assert again.json["error"]["reason"] == "RECONCILIATION_ITEM_STATE"
    assert {"reconciliation.item_opened", "reconciliation.item_assigned", "reconciliation.item_closed"} <= {
        entry["action"] for entry in audited
    }


def test_what_is_not_in_doubt_is_shown_and_neither_tried_anew_nor_closed(ask: Ask, site: str, tmp_path: Path) -> None:
    assert site
    assert ask("settlement", "doubts", "--json").json == {"doubts": []}
    transaction_id = paid_without_a_posting(tmp_path / "data")

    shown = ask("settlement", "show", transaction_id, "--json").json
    unread = ask("audit", "list", "--action", "settlement.words_read", "--json").json["entries"]
    read = ask("settlement", "show", transaction_id, "--verbatim", "complaint 17", "--json").json
    (noted,) = ask("audit", "list", "--action", "settlement.words_read", "--json").json["entries"]
    without_a_reason = ask("settlement", "show", transaction_id, "--verbatim", " ")
    retrying = ask("settlement", "retry", transaction_id, "--json")
    closing = ask("settlement", "close", transaction_id, "--as", "reversed", "--reason", "-", "--json")
    neither = ask("settlement", "retry")

    assert (shown["state"], shown["tried"]) == ("SETTLED", [])
    assert ("heard" in shown, read["heard"], unread) == (False, [], [])  # an insurer in house has no words of its own
    assert (noted["subject"], noted["reason"]) == (transaction_id, "complaint 17")
    assert without_a_reason.code == 2
    assert "person_id" not in shown  # I7: whose bill it is stays with the one who treated them
    assert retrying.json["error"]["reason"] == closing.json["error"]["reason"] == "NOT_A_DEAD_LETTER"
    assert neither.code == 2
