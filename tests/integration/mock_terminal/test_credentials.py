"""Processes that have a code made, pay with it, and pay for a relative, against a real platform."""

import json
import stat
from datetime import date
from pathlib import Path

from sqlalchemy import Connection

from mock_terminal.leaving import Exit
from tests.integration.mock_terminal.conftest import Box, left
from tests.support.credentials import an_id_number_of
from tests.support.visitors import CARD_NUMBER, LIN, PIN

CHILD_BORN = date(2018, 6, 1)


def a_file(path: Path, **fields: str) -> Path:
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


async def with_credential_and_child(box: Box, child_number: str) -> None:
    """Have an active credential for the person there is, and a child in the platform's own register."""
    domain = box.running.domain

    def write(connection: Connection) -> None:
        domain.credentials.activate(
            connection,
            person_id=domain.people.id_by_number(connection, LIN.id_number) or "",
            identity_digest=domain.people.digest_of(name=LIN.name, id_number=LIN.id_number),
            actor="operator:test",
            request_id="",
        )
        child = domain.people.add(
            connection, name="林小满", id_number=child_number, region="330100", card_number=None, pin=None,
            template=None, actor="operator:test",
        )  # fmt: skip
        domain.guardians.record(
            connection,
            child_id=child.person_id,
            guardian_id=domain.people.id_by_number(connection, LIN.id_number) or "",
            actor="operator:test",
            reason="birth certificate seen",
        )

    await box.running.write(write)


async def test_a_code_is_made_paid_with_and_no_good_afterwards_and_a_child_is_paid_for(
    box: Box, tmp_path: Path
) -> None:
    child_number = an_id_number_of(CHILD_BORN)
    await with_credential_and_child(box, child_number)
    card = a_file(tmp_path / "card.json", card_number=CARD_NUMBER, pin=PIN)
    child = a_file(tmp_path / "child.json", id_number=child_number, name="林小满")
    code = tmp_path / "code"
    pay = ("pay", *box.at, "--total-fen", "12000")

    made = await left("code", *box.at, "--card-file", card, "--out", code, "--svg", tmp_path / "code.svg")
    paid = await left(*pay, "--code-file", code)
    again = await left(*pay, "--code-file", code)
    bound = await left("relatives", "bind", *box.at, "--card-file", card, "--relative", child)
    listed = await left("relatives", "list", *box.at, "--card-file", card)
    binding_id = bound.the("bound")["binding_id"]
    for_child = await left(*pay, "--card-file", card, "--relative", binding_id)
    ended = await left("relatives", "unbind", *box.at, "--card-file", card, "--binding", binding_id)

    assert [done.code for done in (made, paid, bound, listed, for_child, ended)] == [Exit.OK] * 6
    assert stat.S_IMODE(code.stat().st_mode) == 0o600
    assert b"<svg" in (tmp_path / "code.svg").read_bytes()
    assert paid.names == ["code_resolved", "quote", "settled"]
    assert again.the("failed")["reason"] == "CODE_USED"
    assert listed.the("relatives")["rows"] == [{"binding_id": binding_id, "person": "林**"}]
    receipt = for_child.the("settled")
    assert (receipt["payer"], receipt["patient"]) == ("林*", "林**")
    told = json.dumps([done.events for done in (made, paid, again, bound, listed, for_child)])
    assert all(secret not in told for secret in (code.read_text().strip(), CARD_NUMBER, PIN, child_number))
