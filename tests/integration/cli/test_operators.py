"""Operators at the command line: the first one is made on the platform's machine, and then they call from afar."""

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.config import load_config
from tests.integration.cli.conftest import Ask, Reply
from tests.support.admin_port import an_admin_port

pytestmark = pytest.mark.usefixtures("site")


@pytest.fixture
def port(site: str) -> Iterator[str]:  # noqa: ARG001 - makes the platform
    with an_admin_port(load_config(None, os.environ)) as where:
        yield where


def remotely(ask: Ask, port: str, folder: Path, *arguments: str) -> Reply:
    return ask("--server", port, "--as", str(folder), *arguments)


def an_operator(ask: Ask, folder: Path, *, name: str = "alice", role: str = "security") -> Path:
    assert ask("operator", "add", name, "--role", role, "--folder", str(folder)).code == 0
    return folder


def test_i03_the_first_operator_is_made_here_and_their_key_is_theirs_alone(ask: Ask, tmp_path: Path) -> None:
    folder = an_operator(ask, tmp_path / "alice")

    assert {path.name for path in folder.iterdir()} == {"key.pem", "certificate.pem", "root.pem"}
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    listed = ask("operator", "list", "--json").json["operators"]
    assert [(one["name"], one["role"], one["state"]) for one in listed] == [("alice", "SECURITY", "ACTIVE")]


def test_i03_a_key_made_on_the_operators_machine_never_leaves_it(ask: Ask, tmp_path: Path, port: str) -> None:
    security = an_operator(ask, tmp_path / "alice")
    mine = tmp_path / "bob"
    request = Path(ask("operator", "request", "--folder", str(mine), "--json").json["request"])

    added = remotely(ask, port, security, "operator", "add", "bob", "--role", "viewer", "--csr", str(request), "--json")
    told = remotely(ask, port, mine, "operator", "whoami", "--json")

    assert added.json["role"] == "VIEWER"
    assert told.json["actor"] == "operator:bob"
    assert b"PRIVATE KEY" not in request.read_bytes()


def test_the_same_verbs_reach_a_platform_from_afar_and_say_who_asked(ask: Ask, tmp_path: Path, port: str) -> None:
    alice = an_operator(ask, tmp_path / "alice")

    added = remotely(
        ask, port, alice, "site", "add", "--name", "Far", "--region", "460100", "--kind", "pharmacy", "--json"
    )

    here = ask("site", "list", "--json").json["sites"]
    trail = (tmp_path / "data" / "shualian.sqlite").read_bytes() + (
        tmp_path / "data" / "shualian.sqlite-wal"
    ).read_bytes()
    assert added.json in here
    assert b"operator:alice" in trail


def test_on_this_machine_it_is_the_account_that_asked_whatever_the_environment_says(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    monkeypatch.setenv("USER", "alice")
    an_operator(ask, tmp_path / "alice")

    (listed,) = ask("operator", "list", "--json").json["operators"]

    assert listed["added_by"] == f"local:{pwd.getpwuid(os.getuid()).pw_name}"


def test_a_role_that_is_not_enough_is_told_with_the_one_that_is(ask: Ask, tmp_path: Path, port: str) -> None:
    viewer = an_operator(ask, tmp_path / "vera", name="vera", role="viewer")

    refused = remotely(ask, port, viewer, "site", "add", "--name", "X", "--region", "1", "--kind", "clinic", "--json")

    assert refused.code == 1
    assert refused.json["error"]["reason"] == "ROLE_MISSING"
    assert "OPERATOR" in refused.json["error"]["message"]
    assert remotely(ask, port, viewer, "site", "list").code == 0


def test_who_was_locked_out_hears_so_at_the_next_command(ask: Ask, tmp_path: Path, port: str) -> None:
    alice = an_operator(ask, tmp_path / "alice")
    assert ask("operator", "revoke", "alice", "--reason", "left").code == 0

    refused = remotely(ask, port, alice, "site", "list", "--json")

    assert refused.code == 1
    assert refused.json["error"]["reason"] == "OPERATOR_REVOKED"


def test_a_renewal_changes_key_and_certificate_in_the_folder(ask: Ask, tmp_path: Path, port: str) -> None:
    alice = an_operator(ask, tmp_path / "alice")
    before = {path.name: path.read_bytes() for path in alice.iterdir()}

    renewed = remotely(ask, port, alice, "operator", "renew", "--json")

    after = {path.name: path.read_bytes() for path in alice.iterdir()}
    assert renewed.code == 0
    assert {name for name in after if after[name] != before[name]} == {"key.pem", "certificate.pem"}
    assert stat.S_IMODE((alice / "key.pem").stat().st_mode) == 0o600
    assert remotely(ask, port, alice, "operator", "whoami", "--json").json["actor"] == "operator:alice"


def test_a_renewal_that_was_cut_off_between_key_and_certificate_is_finished(
    ask: Ask, tmp_path: Path, port: str
) -> None:
    alice = an_operator(ask, tmp_path / "alice")
    old = (alice / "certificate.pem").read_bytes()
    assert remotely(ask, port, alice, "operator", "renew").code == 0
    (alice / "certificate.pem").rename(alice / "certificate-next.pem")
    (alice / "certificate.pem").write_bytes(old)

    told = remotely(ask, port, alice, "operator", "whoami", "--json")

    assert told.json["actor"] == "operator:alice"
    assert not (alice / "certificate-next.pem").exists()


def test_an_encrypted_key_asks_for_its_passphrase(
    ask: Ask, tmp_path: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = tmp_path / "typed"
    typed.write_text("correct horse battery\n")
    folder = tmp_path / "alice"
    with typed.open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        ask("operator", "add", "alice", "--role", "viewer", "--folder", str(folder), "--encrypt")
    assert b"ENCRYPTED" in (folder / "key.pem").read_bytes()

    answers = []
    for passphrase in ("correct horse battery", "wrong"):
        typed.write_text(f"{passphrase}\n")
        with typed.open() as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            answers.append(remotely(ask, port, folder, "operator", "whoami", "--json"))

    assert [answer.code for answer in answers] == [0, 4]


@pytest.mark.parametrize("spoilt", ["exposed", "missing", "nobody"])
def test_a_folder_that_cannot_be_used_is_told_before_anything_is_sent(
    ask: Ask, tmp_path: Path, port: str, spoilt: str
) -> None:
    alice = an_operator(ask, tmp_path / "alice")
    if spoilt == "exposed":
        (alice / "key.pem").chmod(0o644)
    elif spoilt == "missing":
        (alice / "certificate.pem").unlink()

    refused = (
        ask("--server", port, "site", "list") if spoilt == "nobody" else remotely(ask, port, alice, "site", "list")
    )

    assert refused.code == {"exposed": 4, "missing": 4, "nobody": 2}[spoilt]
    assert "Traceback" not in refused.err


def test_a_platform_that_does_not_answer_is_unavailable(ask: Ask, tmp_path: Path) -> None:
    alice = an_operator(ask, tmp_path / "alice")

    refused = remotely(ask, "127.0.0.1:9", alice, "site", "list", "--json")

    assert refused.code == 5


def test_an_operators_name_is_refused_by_field(ask: Ask, tmp_path: Path) -> None:
    refused = ask("operator", "add", "Alice!", "--role", "viewer", "--folder", str(tmp_path / "a"), "--json")

    assert refused.code == 1
    assert "name" in refused.json["error"]["message"]
