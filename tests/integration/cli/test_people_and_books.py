"""Insured people and the books, asked of the real command line."""

import io
import json
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from face_pipeline import portrait
from server.commands.mistakes import ExitCode
from server.config import load_config
from server.store.engine import BUSY_TIMEOUT
from tests.integration.cli.conftest import Ask, Reply

NAME, ID_NUMBER, PIN = "赵小满", "110101195503076622", "493817"  # made up


def add_person(ask: Ask, tmp_path: Path, *more: str, pin: str = PIN) -> Reply:
    pin_file = tmp_path / "pin"
    pin_file.write_text(f"{pin}\n", encoding="utf-8")
    return ask(
        "person", "add", "--name", NAME, "--id-number", ID_NUMBER, "--region", "110000",
        "--card-number", "DEMO00000001", "--pin-file", str(pin_file), *more, "--json",
    )  # fmt: skip


@pytest.mark.usefixtures("site")
def test_i07_a_person_is_shown_masked_and_rests_encrypted(ask: Ask, tmp_path: Path) -> None:
    added = add_person(ask, tmp_path, "--balance-fen", "60000")

    shown = ask("person", "show", added.json["person_id"], "--json")
    database = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("shualian.sqlite*"))
    assert shown.json["balance_fen"] == 60_000
    assert shown.json["masked_name"].startswith(NAME[0])
    for printed in (added, shown, ask("person", "show", added.json["person_id"])):
        assert NAME not in printed.out + printed.err
        assert ID_NUMBER not in printed.out + printed.err
    for secret in (NAME, ID_NUMBER, PIN, "DEMO00000001"):
        assert secret.encode() not in database


@pytest.mark.usefixtures("site")
def test_a_face_is_forgotten_on_request_and_the_audit_trail_says_why(ask: Ask, tmp_path: Path) -> None:
    picture = portrait(load_config(None, {}).models_dir, "grace_hopper")
    person_id = add_person(ask, tmp_path, "--portrait", str(picture)).json["person_id"]

    forgotten = ask("person", "forget-face", person_id, "--reason", "asked to", "--json")
    again = ask("person", "forget-face", person_id, "--reason", "asked to", "--json")

    assert forgotten.json["face"] is False
    assert ask("person", "show", person_id, "--json").json["face"] is False
    assert again.code == 1
    with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM audit_log WHERE reason = 'asked to'").fetchone() == (1,)


@pytest.mark.usefixtures("site")
def test_the_pin_can_come_over_standard_input(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PIN}\n"))

    added = ask(
        "person", "add", "--name", NAME, "--id-number", ID_NUMBER, "--region", "110000", "--pin-file", "-", "--json"
    )

    assert added.json["pin"] is True


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("id_number", ["110101195503076623", "123", "11010119551307662X"])
def test_an_id_number_whose_checksum_is_wrong_is_refused_without_repeating_it(ask: Ask, id_number: str) -> None:
    added = ask("person", "add", "--name", NAME, "--id-number", id_number, "--region", "110000", "--no-pin")

    assert added.code == 1
    assert id_number not in added.out + added.err
    assert "Traceback" not in added.err


@pytest.mark.usefixtures("site")
def test_without_a_pin_and_without_a_keyboard_the_ways_to_give_one_are_named(ask: Ask) -> None:
    added = ask("person", "add", "--name", NAME, "--id-number", ID_NUMBER, "--region", "110000")

    assert added.code == 2
    assert "--pin-file" in added.err


@pytest.mark.usefixtures("site")
def test_i06_what_is_funded_is_balanced_and_a_tampered_book_is_found(ask: Ask, tmp_path: Path) -> None:
    funded = ask("ledger", "fund", "--region", "110000", "--amount-fen", "1000", "--reference", "2026", "--json")
    sound = ask("ledger", "verify", "--json")

    with sqlite3.connect(tmp_path / "data" / "shualian.sqlite") as connection:
        connection.execute("UPDATE accounts SET balance_fen = balance_fen + 1 WHERE account_id = 'fund:110000'")
    connection.close()
    tampered = ask("ledger", "verify", "--json")

    assert funded.json["balance_fen"] == 1000
    assert (sound.code, sound.json["ok"], sound.json["entries"]) == (0, True, 2)
    assert (tampered.code, tampered.json["drifted"]) == (1, ["fund:110000"])


@pytest.mark.usefixtures("site")
def test_money_goes_to_one_owner_that_exists(ask: Ask) -> None:
    both = ask("ledger", "fund", "--region", "110000", "--person", "x", "--amount-fen", "1", "--json")
    nobody = ask("ledger", "fund", "--person", "x", "--amount-fen", "1", "--json")

    assert both.code == 2
    assert nobody.json["error"]["message"] == "No person has this id."


@pytest.mark.usefixtures("site")
def test_looking_works_while_another_process_holds_the_write_lock(ask: Ask, tmp_path: Path) -> None:
    person = add_person(ask, tmp_path, "--balance-fen", "60000").json["person_id"]
    with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        looks = [
            ask(*command, "--json")
            for command in (
                ("ledger", "verify"), ("audit", "verify"), ("person", "show", person), ("site", "list"),
                ("terminal", "list"), ("operator", "list"),
            )
        ]  # fmt: skip
        other.execute("ROLLBACK")

    assert [look.code for look in looks] == [0] * 6


@pytest.mark.usefixtures("site")
def test_a_command_that_changes_something_waits_longer_than_a_server_would(ask: Ask, tmp_path: Path) -> None:
    held, seconds = threading.Event(), BUSY_TIMEOUT.total_seconds() + 0.5

    def hold() -> None:
        with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            held.set()
            time.sleep(seconds)
            other.execute("ROLLBACK")

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(30)
    funded = ask("ledger", "fund", "--region", "110000", "--amount-fen", "1", "--json")
    holding.join()

    assert (funded.code, funded.json["balance_fen"]) == (0, 1)


@pytest.mark.usefixtures("site")
def test_an_opening_balance_is_audited_like_any_contribution(ask: Ask, tmp_path: Path) -> None:
    person = add_person(ask, tmp_path, "--balance-fen", "60000").json["person_id"]
    ask("ledger", "fund", "--person", person, "--amount-fen", "5", "--reference", "gift")
    with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite")) as books:
        entries = books.execute("SELECT subject, details FROM audit_log WHERE action = 'ledger_funded'").fetchall()

    assert [(subject, json.loads(details)) for subject, details in entries] == [
        (f"person:{person}", {"amount_fen": 60_000, "reference": f"opening:{person}"}),
        (f"person:{person}", {"amount_fen": 5, "reference": "gift"}),
    ]


@pytest.mark.usefixtures("site")
def test_a_pin_that_stands_on_the_id_card_is_refused_without_repeating_it(ask: Ask, tmp_path: Path) -> None:
    added = add_person(ask, tmp_path, pin=ID_NUMBER[8:14])

    assert added.json["error"]["reason"] == "PIN_GUESSABLE"
    assert ID_NUMBER[8:14] not in added.out + added.err


@pytest.mark.usefixtures("site")
def test_i06_a_posting_without_a_settlement_is_found(ask: Ask, tmp_path: Path) -> None:
    ask("ledger", "fund", "--region", "110000", "--amount-fen", "1000")
    with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite")) as books, books:
        books.execute("INSERT INTO accounts VALUES ('site:s', 'site', 's', 7)")
        books.execute("UPDATE accounts SET balance_fen = 993 WHERE account_id = 'fund:110000'")
        books.execute("INSERT INTO ledger_postings VALUES ('settle:x', 1)")
        books.execute("INSERT INTO ledger_entries VALUES ('settle:x', 'site:s', 7), ('settle:x', 'fund:110000', -7)")
    found = ask("ledger", "verify", "--json")

    assert (found.code, found.json["ok"]) == (1, False)
    assert (found.json["drifted"], found.json["unbalanced"], found.json["unexplained"]) == ([], [], ["settle:x"])
    assert "posted but not settled: settle:x" in ask("ledger", "verify").out


@pytest.mark.usefixtures("site")
def test_a_command_on_the_local_books_does_not_pretend_to_ask_a_server(ask: Ask) -> None:
    refused = ask("--server", "127.0.0.1:1", "--as", "alice", "ledger", "verify", "--json")

    assert refused.code == ExitCode.USAGE
    assert "without --server" in refused.json["error"]["next"]


@pytest.mark.usefixtures("site")
def test_credit_is_approved_listed_and_stopped_and_an_electronic_account_topped_up(ask: Ask, tmp_path: Path) -> None:
    person_id = add_person(ask, tmp_path).json["person_id"]

    topped_up = ask("ledger", "top-up", "--person", person_id, "--amount-fen", "5000", "--reference", "t-1", "--json")
    again = ask("ledger", "top-up", "--person", person_id, "--amount-fen", "5000", "--reference", "t-1", "--json")
    nobody = ask("credit", "approve", "x", "--limit-fen", "100", "--json")
    approved = ask("credit", "approve", person_id, "--limit-fen", "80000", "--days", "14", "--json")
    too_high = ask("credit", "approve", person_id, "--limit-fen", "500001", "--json")
    unowed = ask("credit", "repay", person_id, "--amount-fen", "1", "--json")
    stopped = ask("credit", "stop", person_id, "--json")
    listed = ask("credit", "list", "--json")

    assert topped_up.json["balance_fen"] == 5_000
    assert [reply.code for reply in (again, nobody, too_high, unowed)] == [ExitCode.REFUSED] * 4
    assert (approved.json["available_fen"], approved.json["pay_within_days"]) == (80_000, 14)
    assert stopped.json["is_stopped"]
    assert [line["person_id"] for line in listed.json["lines"]] == [person_id]
    assert ask("credit", "list", "--overdue", "--json").json["lines"] == []
    assert ask("credit", "show", person_id, "--json").json["debts"] == []
    assert ask("ledger", "verify", "--json").json["ok"]
    assert "credit.approved" in ask("audit", "list", "--json").out


@pytest.mark.usefixtures("site")
def test_a_credential_is_shown_and_ended_by_an_operator_with_a_reason(ask: Ask, tmp_path: Path) -> None:
    person_id = add_person(ask, tmp_path).json["person_id"]
    credential_id = "01980000-0000-7000-8000-00000000c001"
    never = ask("person", "end-credential", person_id, "--reason", "phone lost", "--json")
    with closing(sqlite3.connect(tmp_path / "data" / "shualian.sqlite")) as database:
        values = (credential_id, person_id, "ACTIVE", b"0" * 32, 1_700_000_000_000_000)
        database.execute("INSERT INTO credentials VALUES (?, ?, ?, ?, ?, NULL)", values)
        database.commit()

    shown = ask("person", "credentials", person_id, "--json")
    ended = ask("person", "end-credential", person_id, "--reason", "phone lost", "--json")

    assert never.code == ExitCode.REFUSED
    assert [row["state"] for row in shown.json["credentials"]] == ["ACTIVE"]
    assert ended.code == ExitCode.OK
    assert [row["state"] for row in ask("person", "credentials", person_id, "--json").json["credentials"]] == ["ENDED"]
