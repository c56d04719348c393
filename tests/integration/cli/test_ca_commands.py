"""How the security team rolls the issuing authority, asked of the real command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.integration.cli.conftest import Ask
from tests.support.softhsm import PIN, a_token

Register = Callable[[str], Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def first(ask: Ask) -> str:
    """Return the id of the issuing authority that `ca init` made."""
    return str(ask("ca", "init", "--json").json["issuer_id"])


def prepared(ask: Ask, data: Path, *more: str) -> str:
    """Prepare a next issuing authority with the root that is still here; return its id."""
    reply = ask(
        "ca", "prepare", "--root", str(data / "ca" / "root"), "--passphrase-file", str(data / "keys" / "ca-passphrase"),
        "--reason", "planned roll", "--json", *more,
    )  # fmt: skip
    assert reply.code == 0, reply.err
    return str(reply.json["issuer_id"])


def states(ask: Ask) -> dict[str, str]:
    return {issuer["issuer_id"]: issuer["state"] for issuer in ask("ca", "show", "--json").json["issuers"]}


def test_ca_show_names_the_root_and_the_issuing_authority_with_days_left_and_share(ask: Ask, first: str) -> None:
    shown = ask("ca", "show", "--json").json
    (issuer,) = shown["issuers"]
    read = ask("ca", "show").out

    assert (issuer["issuer_id"], issuer["state"], issuer["key_backend"]) == (first, "ACTIVE", "file")
    assert issuer["days_left"] == 5 * 365 - 1
    assert len(shown["root_fingerprint_sha256"]) == 64
    assert shown["root_fingerprint_sha256"] in read
    assert first in read
    assert "take" in read
    assert "offline" in read


def test_a_roll_step_by_step(ask: Ask, first: str, data: Path) -> None:
    second = prepared(ask, data)
    assert states(ask) == {first: "ACTIVE", second: "PREPARED"}

    assert ask("ca", "activate", second, "--reason", "planned roll").code == 0
    assert states(ask) == {first: "OUTGOING", second: "ACTIVE"}

    assert ask("ca", "taint", first, "--reason", "planned roll").code == 0
    assert ask("ca", "revoke", first, "--reason", "planned roll").code == 0
    assert states(ask) == {first: "REVOKED", second: "ACTIVE"}
    assert [issuer["state"] for issuer in ask("ca", "list", "--json").json["issuers"]] == ["REVOKED", "ACTIVE"]


def test_the_root_signs_on_a_machine_without_a_platform(
    ask: Ask, first: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, certificate = tmp_path / "request.pem", tmp_path / "certificate.pem"
    asked = ask("ca", "prepare", "--request", str(request), "--reason", "planned roll", "--json")
    second = asked.json["issuer_id"]
    (data / "ca" / "root").rename(tmp_path / "safe")
    monkeypatch.setenv("SHUALIAN_DATA_DIR", str(tmp_path / "nothing-here"))

    signed = ask(
        "ca", "sign", "--request", str(request), "--root", str(tmp_path / "safe"), "--out", str(certificate),
        "--passphrase-file", str(data / "keys" / "ca-passphrase"), "--days", "400",
    )  # fmt: skip
    monkeypatch.setenv("SHUALIAN_DATA_DIR", str(data))
    installed = ask("ca", "install", second, "--certificate", str(certificate), "--json")

    assert signed.code == 0, signed.err
    assert installed.code == 0, installed.err
    issuer = x509.load_pem_x509_certificate(certificate.read_bytes())
    assert (issuer.not_valid_after_utc - issuer.not_valid_before_utc).days == 400
    assert ask("ca", "activate", second, "--reason", "planned roll").code == 0
    assert states(ask) == {first: "OUTGOING", second: "ACTIVE"}


@pytest.mark.usefixtures("first")
def test_another_root_is_refused_before_it_signs(ask: Ask, data: Path, tmp_path: Path, monkeypatch: Any) -> None:  # noqa: ANN401 - pytest's
    monkeypatch.setenv("SHUALIAN_DATA_DIR", str(tmp_path / "other"))
    assert ask("ca", "init").code == 0
    monkeypatch.setenv("SHUALIAN_DATA_DIR", str(data))

    reply = ask(
        "ca", "prepare", "--root", str(tmp_path / "other" / "ca" / "root"), "--reason", "planned roll",
        "--passphrase-file", str(tmp_path / "other" / "keys" / "ca-passphrase"),
    )  # fmt: skip

    assert reply.code == 1
    assert "not the platform's" in reply.err


def test_the_active_one_is_not_revoked_and_the_reason_is_the_platforms(ask: Ask, first: str) -> None:
    reply = ask("ca", "revoke", first, "--reason", "by mistake", "--force", "--json")

    assert reply.code == 1
    assert reply.json["error"]["reason"] == "ISSUER_TRANSITION_ILLEGAL"
    assert states(ask) == {first: "ACTIVE"}


def test_every_change_needs_a_reason(ask: Ask, first: str) -> None:
    assert ask("ca", "taint", first).code == 2
    assert ask("ca", "revoke", first).code == 2


def test_a_lost_issuing_key_is_replaced_with_the_platforms_own_commands(ask: Ask, first: str, data: Path) -> None:
    (data / "ca" / "issuing" / first / "key.pem").unlink()

    second = prepared(ask, data)

    assert ask("ca", "activate", second, "--reason", "the disk with the key is gone").code == 0
    assert states(ask) == {first: "OUTGOING", second: "ACTIVE"}


def test_i03_ca_init_with_a_token_leaves_no_issuing_key_in_any_file(
    ask: Ask, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, pin = a_token(), tmp_path / "pin"
    pin.touch(mode=0o600)
    pin.write_text(PIN + "\n")
    monkeypatch.setenv("SHUALIAN_AUTHORITY_BACKEND", "pkcs11")
    monkeypatch.setenv("SHUALIAN_AUTHORITY_PKCS11_MODULE", str(token.module))
    monkeypatch.setenv("SHUALIAN_AUTHORITY_TOKEN_LABEL", token.label)
    monkeypatch.setenv("SHUALIAN_AUTHORITY_PIN_FILE", str(pin))

    made = ask("ca", "init", "--json")
    second = prepared(ask, data)

    assert made.code == 0, made.err
    assert [path.parent.name for path in (data / "ca").rglob("key.pem")] == ["root"]
    backends = {issuer["key_backend"] for issuer in ask("ca", "show", "--json").json["issuers"]}
    assert backends == {"pkcs11"}
    assert ask("ca", "activate", second, "--reason", "planned roll").code == 0


def test_a_token_that_is_not_there_is_told_with_what_to_do(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHUALIAN_AUTHORITY_BACKEND", "pkcs11")
    monkeypatch.setenv("SHUALIAN_AUTHORITY_PKCS11_MODULE", str(tmp_path / "none.so"))

    reply = ask("ca", "init")

    assert reply.code == 5
    assert "authority.pin_file" in reply.err
    assert not (tmp_path / "data" / "ca").exists()
