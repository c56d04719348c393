"""Processes that pay, and die while paying, against a real platform."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from mock_terminal.journal import EntryState, Journal
from mock_terminal.leaving import Exit
from server.settlement.self_pay.electronic_account import electronic_account
from tests.integration.mock_terminal.conftest import Box, left
from tests.support.visitors import CARD_NUMBER, PIN

TOTAL_FEN = 12_000


@pytest.fixture
def by_card(box: Box, tmp_path: Path) -> tuple[str | Path, ...]:
    """Return the command line that pays a bill by card."""
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"card_number": CARD_NUMBER, "pin": PIN}), encoding="utf-8")
    return ("pay", *box.at, "--total-fen", str(TOTAL_FEN), "--card-file", card)


def states(box: Box) -> list[EntryState]:
    return [entry.state for entry in Journal(box.folder.path).entries()]


async def settlements(box: Box) -> list[str]:
    """Return the states of the settlements in the platform's books."""
    rows = await box.running.write(
        lambda connection: connection.execute(text("SELECT state FROM settlements ORDER BY began_at")).all()
    )
    return [row[0] for row in rows]


async def test_a_card_pays_and_the_repetition_is_the_same_receipt(box: Box, by_card: tuple[str | Path, ...]) -> None:
    done = await left(*by_card, "--repeat")

    settled = done.the("settled")
    assert done.code == Exit.OK
    assert done.names == ["quote", "settled", "repeated"]
    assert settled["pooled_fund_fen"] + settled["personal_account_fen"] + settled["self_pay_fen"] == TOTAL_FEN
    assert done.the("repeated")["same_receipt"]
    assert states(box) == [EntryState.SETTLED]


async def test_i05_a_terminal_that_died_before_it_asked_ends_unpaid(box: Box, by_card: tuple[str | Path, ...]) -> None:
    died = await left(*by_card, "--die-at", "intent-written")
    assert (died.code, states(box), await settlements(box)) == (Exit.DIED, [EntryState.OPEN], [])

    resumed = await left("resume", *box.at)

    assert resumed.code == Exit.OK
    assert resumed.names == ["reversed", "resumed"]
    assert not resumed.the("reversed")["money_moved_back"]
    assert (states(box), await settlements(box)) == ([EntryState.REVERSED], ["REVERSED"])


async def test_i05_a_terminal_that_died_before_it_heard_takes_the_receipt_and_pays_nothing_twice(
    box: Box, by_card: tuple[str | Path, ...]
) -> None:
    died = await left(*by_card, "--die-at", "answer-received")
    assert (died.code, states(box), await settlements(box)) == (Exit.DIED, [EntryState.OPEN], ["SETTLED"])

    next_bill = await left(*by_card, "--bill-number", "B-2")

    assert next_bill.code == Exit.OK
    assert next_bill.names == ["settled", "quote", "settled"]
    assert next_bill.events[0]["resumed"]
    assert states(box) == [EntryState.SETTLED, EntryState.SETTLED]
    assert await settlements(box) == ["SETTLED", "SETTLED"]


async def test_a_wrong_pin_is_a_definite_no(box: Box, tmp_path: Path) -> None:
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"card_number": CARD_NUMBER, "pin": "918273"}), encoding="utf-8")

    done = await left("pay", *box.at, "--total-fen", str(TOTAL_FEN), "--card-file", card)

    assert done.code == Exit.REFUSED
    assert done.the("failed")["reason"] == "PIN_WRONG"
    assert CARD_NUMBER not in json.dumps(done.events)
    assert states(box) == []


async def test_the_self_paid_part_comes_from_an_account_and_in_cash_and_the_receipt_says_so(
    box: Box, by_card: tuple[str | Path, ...]
) -> None:
    domain = box.running.platform.domain

    def top_up(connection: Connection) -> str:
        person_id = domain.people.id_by_card(connection, CARD_NUMBER) or ""
        domain.ledger.fund(connection, electronic_account(person_id), amount_fen=1_500, reference="top-up")
        return person_id

    person_id = await box.running.write(top_up)
    from_the_pocket = (*by_card, "--not-covered-fen", str(TOTAL_FEN))

    done = await left(*from_the_pocket, "--self-pay", "electronic:1200,cash:10800")
    short = await left(*from_the_pocket, "--bill-number", "B-2", "--self-pay", "electronic:301,cash:11699")
    nonsense = await left(*from_the_pocket, "--self-pay", "purse:1")

    assert done.the("quote")["self_pay_offers"] == {"cash": TOTAL_FEN, "electronic": 1_500}
    assert done.the("settled")["self_pay"] == {"cash": 10_800, "electronic": 1_200}
    assert [done.code, short.code, nonsense.code] == [Exit.OK, Exit.REFUSED, Exit.USAGE]
    account = electronic_account(person_id)
    assert await box.running.write(lambda connection: domain.ledger.balance(connection, account)) == 300
    assert box.running.counted("self_paid_fen_total", channel="ELECTRONIC_ACCOUNT") == 1_200
