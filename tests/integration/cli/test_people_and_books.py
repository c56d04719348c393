"""Insured people and the books, asked of the real command line."""

import io
import sqlite3
import sys
from pathlib import Path

import pytest

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
