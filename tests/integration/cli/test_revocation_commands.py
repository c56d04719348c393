"""What the security team does by command line: bans, a restored database, checkpoints, an auditor elsewhere."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.commands.mistakes import ExitCode
from tests.integration.cli.conftest import Ask

Register = Callable[[str], Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def set_back(data: Path, backup: Path) -> None:
    """Put an older copy of the database in the place of the one in use."""
    for part in data.glob("shualian.sqlite*"):
        part.unlink()
    shutil.copy(backup, data / "shualian.sqlite")


def test_i02_a_restored_database_takes_nothing_back(ask: Ask, register: Register, data: Path, tmp_path: Path) -> None:
    register("SN-1")
    backup = tmp_path / "backup.sqlite"
    ask("audit", "verify")  # a last look; the copy below is whole, because nobody has the database open
    shutil.copy(data / "shualian.sqlite", backup)
    banned = ask("terminal", "ban", "SN-1", "--reason", "opened by a stranger", "--json")
    assert banned.code == 0
    assert [entry["kind"] for entry in ask("revocation", "list", "--json").json["revocations"]] == ["BAN"]
    assert ask("revocation", "witness", "--json").json["state"] == "AGREES"

    set_back(data, backup)
    found = ask("revocation", "witness", "--json")
    refused = ask("terminal", "suspend", "SN-1", "--reason", "again", "--json")
    said = ask("revocation", "witness")
    done = ask("revocation", "reapply", "--reason", "backup of last night", "--json")

    assert (found.code, found.json["state"]) == (1, "ROLLED_BACK")
    assert refused.code != 0
    assert "revocation reapply" in said.out
    assert (done.json["taken_over"], done.json["terminals_moved"]) == (1, 1)
    assert done.json["witness"]["state"] == "AGREES"
    assert ask("terminal", "show", "SN-1", "--json").json["state"] == "BANNED"
    actions = [entry["action"] for entry in ask("audit", "list", "--json").json["entries"]]
    assert actions[:2] == ["revocations.reapplied", "terminal.banned"]


def test_a_platform_on_a_restored_database_says_what_to_do(
    ask: Ask, register: Register, data: Path, tmp_path: Path
) -> None:
    register("SN-1")
    backup = tmp_path / "backup.sqlite"
    shutil.copy(data / "shualian.sqlite", backup)
    ask("terminal", "ban", "SN-1", "--reason", "opened by a stranger")
    set_back(data, backup)

    refused = ask("terminal", "ban", "SN-1", "--reason", "again", "--json")

    assert refused.code == ExitCode.NOT_SET_UP
    assert refused.json["error"]["reason"] == "REVOCATIONS_ROLLED_BACK"
    assert "revocation reapply" in refused.json["error"]["next"]


def test_a_lost_witness_is_rebuilt_with_a_reason(ask: Ask, register: Register, data: Path) -> None:
    register("SN-1")
    ask("terminal", "ban", "SN-1", "--reason", "opened by a stranger")
    witness = data / "witness" / "revocations.jsonl"
    former = witness.read_text()
    witness.unlink()

    lost = ask("revocation", "witness", "--json")
    without_reason = ask("revocation", "witness", "--rebuild")
    rebuilt = ask("revocation", "witness", "--rebuild", "--reason", "disk replaced", "--json")

    assert lost.json["error"]["reason"] == "WITNESS_MISSING"
    assert without_reason.code == 2
    assert rebuilt.json["state"] == "AGREES"
    assert witness.read_text() == former


def test_an_auditor_verifies_elsewhere_what_was_exported(ask: Ask, register: Register, tmp_path: Path) -> None:
    register("SN-1")
    signed = ask("audit", "checkpoint", "--reason", "quarter's end")
    log, checkpoint, key = tmp_path / "log.jsonl", tmp_path / "checkpoint", tmp_path / "key.pem"
    checkpoint.write_text(signed.out.splitlines()[-1])
    key.write_text(ask("audit", "key").out)
    log.write_text(ask("audit", "export").out)
    offline = ("audit", "verify", "--log", str(log), "--checkpoint", str(checkpoint), "--key", str(key), "--json")

    whole = ask(*offline)
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    cut_off = ask(*offline)

    assert (whole.code, whole.json["ok"]) == (0, True)
    assert (cut_off.code, cut_off.json["ok"]) == (1, False)
    assert ask("audit", "verify", "--log", str(log)).code == 2
    assert ask("audit", "checkpoints", "--json").json["checkpoints"][0]["token"] == checkpoint.read_text()


def test_the_trail_is_listed_and_exported_by_what_is_asked_for(ask: Ask, register: Register) -> None:
    terminal_id = register("SN-1")["terminal_id"]
    ask("terminal", "revoke", "SN-1", "--reason", "stolen")

    listed = ask("audit", "list", "--action", "terminal.revoked", "--json").json["entries"]
    exported = [json.loads(line) for line in ask("audit", "export", "--subject", terminal_id).out.splitlines()]
    none = ask("audit", "list", "--since", "2100-01-01", "--json").json["entries"]

    assert [(entry["subject"], entry["reason"]) for entry in listed] == [(terminal_id, "stolen")]
    assert [entry["action"] for entry in exported][-1] == "terminal.revoked"
    assert all(entry["request_id"] for entry in listed)
    assert none == []
