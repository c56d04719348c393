"""Makers, models, firmware and tickets on the command line, with what a maker in software hands over."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mock_terminal.plant import Plant
from tests.integration.cli.conftest import Ask

MAKER = "Heron Devices"


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    plant = Plant(folder=tmp_path / "plant")
    plant.found(maker=MAKER, now=datetime.now(UTC))
    return plant


@pytest.fixture
def approve(ask: Ask, plant: Plant, site: str) -> Callable[[], Any]:  # noqa: ARG001 - makes the authority
    """Return a function that approves the plant's maker and one model of it."""

    def approving() -> Any:  # noqa: ANN401 - what the command answered
        maker = ask(
            "maker", "add", MAKER, "--root", str(plant.folder / "root.pem"),
            "--firmware-key", str(plant.folder / "firmware.pub.pem"), "--reason", "audited", "--json",
        )  # fmt: skip
        assert maker.code == 0, maker.err + maker.out
        model = ask(
            "maker", "model", "add", MAKER, "HD-3", "--class", "III", "--certification", "CERT-1",
            "--expires", "2099-12-31", "--reason", "certified", "--json",
        )  # fmt: skip
        assert model.code == 0, model.err + model.out
        return model.json

    return approving


def test_a_maker_and_its_model_are_approved_listed_and_withdrawn(ask: Ask, approve: Callable[[], Any]) -> None:
    model = approve()
    assert (model["terminal_class"], model["certification_expires_on"]) == ("III", "2099-12-31")

    withdrawn = ask("maker", "model", "withdraw", MAKER, "HD-3", "--reason", "recalled", "--json").json
    gone = ask("maker", "withdraw", MAKER, "--reason", "keys were stolen", "--json").json
    again = ask("maker", "withdraw", MAKER, "--reason", "again", "--json")

    assert (withdrawn["state"], gone["state"]) == ("WITHDRAWN", "WITHDRAWN")
    assert again.code == 1
    (listed,) = ask("maker", "list", "--json").json["manufacturers"]
    assert listed["state_reason"] == "keys were stolen"


def test_a_firmware_is_approved_by_its_manifest_and_judged_later(
    ask: Ask, approve: Callable[[], Any], plant: Plant, tmp_path: Path
) -> None:
    approve()
    image, manifest = tmp_path / "image.bin", tmp_path / "fw.json"
    image.write_bytes(b"an image")
    facts = {"manufacturer": MAKER, "model": "HD-3", "version": "2.4.1"}
    content, signature = plant.sign_firmware(image=image, facts=facts)
    manifest.write_bytes(content)
    manifest.with_name("fw.json.sig").write_bytes(signature)

    added = ask("firmware", "add", "--manifest", str(manifest), "--reason", "tested", "--json").json
    flagged = ask("firmware", "flag", added["firmware_id"], "--finding", "leaks frames", "--json").json
    lifted = ask("firmware", "unflag", added["firmware_id"], "--reason", "it was the rig", "--json").json
    withdrawn = ask("firmware", "withdraw", added["firmware_id"], "--finding", "leaks", "--json").json
    final = ask("firmware", "flag", added["firmware_id"], "--finding", "again", "--json")

    assert (added["version"], added["size_bytes"], added["sha256"]) == ("2.4.1", 8, json.loads(content)["sha256"])
    assert [flagged["finding"], lifted["finding"], withdrawn["state"]] == ["leaks frames", "", "WITHDRAWN"]
    assert (final.code, final.json["error"]["reason"]) == (1, "FIRMWARE_STATE")


def test_a_manifest_with_another_signature_is_refused(
    ask: Ask, approve: Callable[[], Any], plant: Plant, tmp_path: Path
) -> None:
    approve()
    manifest, signature = tmp_path / "fw.json", tmp_path / "other.sig"
    image = tmp_path / "image.bin"
    image.write_bytes(b"an image")
    content, signed = plant.sign_firmware(
        image=image, facts={"manufacturer": MAKER, "model": "HD-3", "version": "2.4.1"}
    )
    manifest.write_bytes(content.replace(b"2.4.1", b"2.4.2"))
    signature.write_bytes(signed)

    refused = ask(
        "firmware", "add", "--manifest", str(manifest), "--signature", str(signature), "--reason", "x", "--json"
    )

    assert (refused.code, refused.json["error"]["reason"]) == (1, "MANIFEST_REFUSED")


def test_a_private_key_is_not_taken_for_a_root(ask: Ask, plant: Plant) -> None:
    reply = ask("maker", "add", MAKER, "--root", str(plant.folder / "root.key.pem"), "--reason", "oops")

    assert reply.code == 2
    assert "never a private key" in reply.err


@pytest.mark.usefixtures("site")
def test_a_ticket_is_shown_once_and_can_be_revoked(ask: Ask) -> None:
    issued = ask("ticket", "issue", "--region", "110000", "--count", "3", "--reason", "a new ward", "--json").json
    (listed,) = ask("ticket", "list", "--json").json["tickets"]

    revoked = ask("ticket", "revoke", issued["ticket_id"], "--reason", "lost", "--json").json

    assert issued["ticket"]
    assert "ticket" not in listed
    assert (listed["terminals_left"], listed["region"]) == (3, "110000")
    assert listed["revoked_at"] is None
    assert revoked["revoked_at"] is not None
    assert ask("ticket", "revoke", "01a201f4-3da9-73df-ad89-23c9a0dc9553", "--reason", "x").code == 1
