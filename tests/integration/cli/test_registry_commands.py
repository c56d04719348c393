"""What an operator does with the authority, sites and terminals, asked of the real command line on a real database."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.cli.conftest import Ask

Register = Callable[[str], Any]


def test_i03_ca_init_makes_every_key_readable_by_its_owner_alone(ask: Ask, tmp_path: Path) -> None:
    reply = ask("ca", "init", "--json")

    data = tmp_path / "data"
    private = [*(data / "keys").iterdir(), *(data / "ca").rglob("key.pem")]
    assert reply.code == 0
    assert len(reply.json["root_fingerprint_sha256"]) == 64
    assert len(private) == 8
    assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}


def test_ca_init_never_overwrites(ask: Ask) -> None:
    first = ask("ca", "init", "--json").json["root_fingerprint_sha256"]

    again = ask("ca", "init", "--json")

    assert again.code == 1
    assert again.json["error"]["reason"] == "AUTHORITY_EXISTS"
    assert ask("ca", "show", "--json").json["root_fingerprint_sha256"] == first


def test_before_ca_init_every_command_says_what_to_do_first(ask: Ask) -> None:
    reply = ask("site", "list")

    assert reply.code == 4
    assert "shualian ca init" in reply.err
    assert "Traceback" not in reply.err


def test_a_site_is_listed_after_it_was_added(ask: Ask, site: str) -> None:
    sites = ask("site", "list", "--json").json["sites"]

    assert [(found["site_id"], found["region"], found["kind"]) for found in sites] == [(site, "110000", "CLINIC")]


def test_a_registered_terminal_gets_a_token_that_is_shown_once_and_kept_as_a_hash(
    ask: Ask, register: Register, tmp_path: Path
) -> None:
    registered = register("SN-1")

    token = registered["token"]
    database = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("shualian.sqlite*"))
    assert registered["state"] == "REGISTERED"
    assert token.encode() not in database
    assert token not in ask("terminal", "show", "SN-1", "--json").out


def test_a_terminal_is_found_by_its_serial_number_or_its_id(ask: Ask, register: Register) -> None:
    terminal_id = register("SN-1")["terminal_id"]

    assert ask("terminal", "show", "SN-1", "--json").json["terminal_id"] == terminal_id
    assert ask("terminal", "show", terminal_id, "--json").json["serial_number"] == "SN-1"


def test_a_serial_number_in_service_is_not_registered_twice(register: Register) -> None:
    register("SN-1")

    assert register("SN-1")["error"]["reason"] == "SERIAL_NUMBER_TAKEN"


def test_a_revoked_terminal_stays_revoked_and_the_list_can_be_narrowed(ask: Ask, register: Register) -> None:
    register("SN-1")
    register("SN-2")

    revoked = ask("terminal", "revoke", "SN-1", "--reason", "stolen", "--json")
    resumed = ask("terminal", "resume", "SN-1", "--reason", "found again", "--json")

    listed = ask("terminal", "list", "--state", "revoked", "--json").json["terminals"]
    assert revoked.json["state"] == "REVOKED"
    assert resumed.code == 1
    assert resumed.json["error"]["reason"] == "ILLEGAL_TRANSITION"
    assert [terminal["serial_number"] for terminal in listed] == ["SN-1"]


def test_a_command_waits_for_its_terminal(ask: Ask, register: Register) -> None:
    register("SN-1")

    sent = ask("command", "send", "SN-1", "set_configuration", "--heartbeat-seconds", "5", "--json")
    refused = ask("command", "send", "SN-1", "set_configuration", "--json")

    commands = ask("command", "list", "SN-1", "--json").json["commands"]
    assert sent.json["heartbeat_interval_seconds"] == 5
    assert refused.json["error"]["reason"] == "INVALID_REQUEST"
    assert [(command["action"], command["state"]) for command in commands] == [("SET_CONFIGURATION", "WAITING")]


def test_i06_audit_verify_walks_the_chain_and_compares_it_with_an_earlier_checkpoint(
    ask: Ask, register: Register, tmp_path: Path
) -> None:
    register("SN-1")
    before = ask("audit", "checkpoint", "--reason", "before", "--json").json
    kept, other = tmp_path / "kept", tmp_path / "other"
    kept.write_text(before["token"])
    other.write_text(before["token"][:-4] + "AAAA")

    ask("terminal", "revoke", "SN-1", "--reason", "stolen")
    after = ask("audit", "verify", "--checkpoint", str(kept), "--json")
    forged = ask("audit", "verify", "--checkpoint", str(other), "--json")

    assert after.json["ok"]
    assert after.json["entries"] > int(before["entries"])
    assert forged.code == 1
    assert forged.json["error"]["reason"] == "CHECKPOINT_INVALID"


def test_people_read_tables_where_programs_read_json(ask: Ask, register: Register) -> None:
    terminal_id = register("SN-1")["terminal_id"]

    for arguments in (("terminal", "list"), ("terminal", "show", "SN-1")):
        assert terminal_id in ask(*arguments).out
    assert "One-time token" in ask("terminal", "token", "SN-1").out
