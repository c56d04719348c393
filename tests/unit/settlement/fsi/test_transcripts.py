"""Each call as it goes over the wire, word for word, and an answer to it as a core gave it.

The requests are ours for a fixed clock, sequence and visit: a change here is a change of the protocol, and to be made
knowingly. The answers were recorded from a core that shares no code with us.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from server.settlement.insurers.fsi import calls, statement_calls
from server.settlement.insurers.fsi.calls import InsuredAs
from server.settlement.insurers.fsi.canonical import Number
from server.settlement.insurers.fsi.envelope import Answer, Call, Envelope
from server.settlement.insurers.fsi.kinds import Kinds
from server.settlement.insurers.fsi.msgid import msgid_from
from server.settlement.insurers.fsi.outcome import check_sums
from server.settlement.insurers.fsi.profile import AmountForm, Profile
from server.settlement.insurers.fsi.statement_calls import ResultFile, StatementSums
from server.settlement.insurers.fsi.statement_file import TheirLine, lines_from
from tests.support.fsi import HOSPITAL, NOW, SECRETS, a_claim, a_visit, an_entitlement

TRANSCRIPTS = Path(__file__).with_name("transcripts")
PROFILE = Profile()
KINDS = Kinds(PROFILE)
DAY = date(2026, 3, 2)
SUMS = StatementSums(count=1, total_fen=8_320, fund_fen=4_110, account_fen=4_000)
VISIT = a_visit(psn_no="418161829005875700")
SETTLED = replace(VISIT, setl_id="S990100000000000001")
PURCHASE = a_visit(psn_no="418161829005875700", business_type=2121, mdtrt_id="M990100000000000002")
BOUGHT = replace(PURCHASE, setl_id="S990100000000000002")
MSGID = msgid_from(HOSPITAL.code, NOW, 1, PROFILE.msgid)
SHOWN = an_entitlement()


def _money(infno: str) -> Call:
    kind, visit = (KINDS.pharmacy, PURCHASE) if infno.startswith("21") else (KINDS.outpatient, VISIT)
    return calls.money(infno, kind, HOSPITAL, visit, SHOWN, form=AmountForm.TEXT)


CALLS: dict[str, Callable[[], Call]] = {
    "9001": lambda: calls.sign_in(HOSPITAL, opter="shualian"),
    "9002": lambda: calls.sign_out(HOSPITAL, sign_no="990100000000000001", opter="shualian"),
    "1101": lambda: calls.person(HOSPITAL, a_claim(), SHOWN, now=NOW),
    "2201": lambda: calls.register(HOSPITAL, VISIT, SHOWN, now=NOW),
    "2202": lambda: calls.unregister(HOSPITAL, VISIT),
    "2206": lambda: _money("2206"),
    "2207": lambda: _money("2207"),
    "2208": lambda: calls.undo(KINDS.outpatient, HOSPITAL, SETTLED),
    "2101": lambda: _money("2101"),
    "2102": lambda: _money("2102"),
    "2103": lambda: calls.undo(KINDS.pharmacy, HOSPITAL, BOUGHT),
    "2601": lambda: calls.reverse(HOSPITAL, VISIT, msgid=MSGID, infno="2207"),
    "5203": lambda: calls.query(HOSPITAL, VISIT),
    "3201": lambda: statement_calls.totals(HOSPITAL, DAY, SUMS, clr_type="11", profile=PROFILE),
    "3202": lambda: statement_calls.details(HOSPITAL, DAY, SUMS, file_qury_no="F000000000000001", profile=PROFILE),
    "9101": lambda: statement_calls.upload(HOSPITAL, name="H99010000001-20260302.txt.zip", content=[80, 75, 3, 4]),
    "9102": lambda: statement_calls.download(
        HOSPITAL, ResultFile(file_qury_no="F000000000000002", filename="stmt.txt.zip")
    ),
}


def _settled(answer: Answer) -> object:
    found = calls.settled_from(answer, fund_parts=PROFILE.answer.fund_parts)
    assert found is not None
    check_sums(found, replace(VISIT, mdtrt_id=found.mdtrt_id), PROFILE.answer)
    return (found.total_fen, found.fund_fen, found.account_fen, found.cash_fen, found.balance_fen, found.is_undone)


READ: dict[str, tuple[Callable[[Answer], object], object]] = {
    "9001": (calls.sign_no_from, "990100000000000001"),
    "1101": (
        calls.insured_as,
        InsuredAs(psn_no="418161829005875700", insuplc_admdvs="990100", insutype="310"),
    ),
    "2201": (calls.mdtrt_id_from, "M990100000000000001"),
    "2206": (_settled, (8_320, 4_110, 4_210, 0, 295_790, False)),
    "2207": (_settled, (8_320, 4_110, 4_210, 0, 295_790, False)),
    "2101": (_settled, (8_320, 4_110, 4_210, 0, 295_790, False)),
    "2102": (_settled, (8_320, 4_110, 4_210, 0, 295_790, False)),
    "5203": (_settled, (8_320, 4_110, 4_210, 0, 295_790, False)),
    "3201": (statement_calls.result_of_totals, "1"),
    "9101": (statement_calls.file_number, "F000000000000001"),
    "3202": (lambda answer: statement_calls.result_file(answer).file_qury_no, "F000000000000002"),
}


def _transcript(infno: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((TRANSCRIPTS / f"{infno}.json").read_text(encoding="utf-8"), parse_float=Number)
    return read


def _envelope() -> Envelope:
    return Envelope(PROFILE, SECRETS, opter="shualian", opter_name="shualian")


def test_every_call_has_a_transcript() -> None:
    assert {path.stem for path in TRANSCRIPTS.glob("*.json")} == set(CALLS)


@pytest.mark.parametrize("infno", CALLS)
def test_the_request_goes_over_the_wire_word_for_word(infno: str) -> None:
    body = _envelope().request(CALLS[infno](), msgid=MSGID, sign_no="990100000000000001", now=NOW)

    assert json.loads(body) == _transcript(infno)["request"]


@pytest.mark.parametrize("infno", [infno for infno in CALLS if infno != "9102"])
def test_the_answer_is_read(infno: str) -> None:
    answer = _envelope().answer(json.dumps(_transcript(infno)["answer"]).encode(), msgid=MSGID)

    if infno in READ:
        read, expected = READ[infno]
        assert read(answer) == expected


def test_the_file_of_differences_is_read() -> None:
    (line,) = lines_from(bytes.fromhex(_transcript("9102")["answer"]))

    assert line == TheirLine(
        mdtrt_id="M990100000000000001",
        setl_id="S990100000000000001",
        msgid="H99010000001202611222141310003",
        result="103",
        is_undone=False,
        total_fen=8_320,
        fund_fen=4_110,
        account_fen=4_210,
    )


@pytest.mark.parametrize("infno", CALLS)
def test_i12_no_call_carries_an_id_number_or_says_that_it_does(infno: str) -> None:
    request = json.dumps(_transcript(infno)["request"])

    assert '"mdtrt_cert_type": "02"' not in request
    assert '"certno": ""' in request or "certno" not in request
