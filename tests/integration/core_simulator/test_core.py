"""What the simulated core books, and what it refuses."""

import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core_simulator import Books, Core, CoreSettings, Seals
from server.core_simulator.errors import Infcode
from tests.support.clock import Clock
from tests.support.institution import Institution, a_bill, named, reversal


def standing(books: Books) -> dict[str, int]:
    """Return how many settlements are in which state."""
    return {row["state"]: row["n"] for row in books.all("SELECT state, count(*) AS n FROM settlements GROUP BY state")}


def balance(books: Books, visit: dict[str, str]) -> int:
    """Return what is in a person's account."""
    row = books.one("SELECT balance_fen FROM people WHERE psn_no = ?", visit["psn_no"])
    return int(row["balance_fen"]) if row is not None else -1


def test_a_bill_is_settled_as_it_was_quoted(institution: Institution, books: Books) -> None:
    visit = institution.visit()

    quoted = institution.ask("2206", a_bill(visit))["output"]["setlinfo"]
    assert standing(books) == {}
    settled = institution.ask("2207", a_bill(visit), msgid="SETTLE1")["output"]["setlinfo"]

    parts = ("medfee_sumamt", "fund_pay_sumamt", "psn_part_amt", "acct_pay", "psn_cash_pay", "balc")
    assert [settled[name] for name in parts] == ["326.80", "150.00", "176.80", "176.80", "0.00", "2823.20"]
    assert [quoted[name] for name in parts] == [settled[name] for name in parts]
    assert settled["medins_setl_id"] == "SETTLE1"
    assert settled["setl_time"] == "2026-11-22 12:00:00"  # noon in Shanghai, where the core counts its days
    assert balance(books, visit) == 282_320


def test_the_same_msgid_gets_the_very_same_answer_and_books_once(
    institution: Institution, books: Books, clock: Clock
) -> None:
    visit = institution.visit()
    first = institution.ask_raw(institution.envelope("2207", a_bill(visit), msgid="SETTLE1"))
    clock.advance(timedelta(minutes=1))
    institution.sign_in()  # a repeat may carry a newer sign-in

    again = institution.ask_raw(institution.envelope("2207", a_bill(visit), msgid="SETTLE1"))

    assert again == first
    assert standing(books) == {"SETTLED": 1}


def test_the_same_msgid_with_another_body_is_refused(institution: Institution, books: Books) -> None:
    visit = institution.visit()
    institution.ask("2207", a_bill(visit), msgid="SETTLE1")

    other = institution.ask("2207", a_bill(visit, medfee_sumamt="1.00", fulamt_ownpay_amt="0"), msgid="SETTLE1")

    assert other["infcode"] == Infcode.MSGID_REUSED
    assert standing(books) == {"SETTLED": 1}


def test_a_refusal_is_kept_under_its_msgid(institution: Institution) -> None:
    visit = institution.visit()
    first = institution.ask("2207", a_bill({**visit, "mdtrt_id": "M0"}), msgid="SETTLE1")

    again = institution.ask("2207", a_bill({**visit, "mdtrt_id": "M0"}), msgid="SETTLE1")

    assert first["infcode"] == Infcode.VISIT_UNKNOWN
    assert again == first


def test_a_settlement_that_was_reversed_before_it_came_books_nothing(institution: Institution, books: Books) -> None:
    visit = institution.visit()

    assert institution.ask("2601", reversal(visit, "SETTLE1"))["infcode"] == 0
    late = institution.ask("2207", a_bill(visit), msgid="SETTLE1")

    assert late["infcode"] == Infcode.REVERSED
    assert standing(books) == {}
    assert balance(books, visit) == 300_000


def test_a_reversal_gives_back_once_and_the_msgid_stays_dead(institution: Institution, books: Books) -> None:
    visit = institution.visit()
    institution.ask("2207", a_bill(visit), msgid="SETTLE1")

    answers = [institution.ask("2601", reversal(visit, "SETTLE1"))["infcode"] for _ in range(2)]
    repeat = institution.ask("2207", a_bill(visit), msgid="SETTLE1")

    assert answers == [0, 0]
    assert repeat["infcode"] == Infcode.REVERSED
    assert standing(books) == {"REVERSED": 1}
    assert balance(books, visit) == 300_000
    assert institution.ask("5203", named(visit))["output"]["setlinfo"]["refd_setl_flag"] == "1"


@pytest.mark.parametrize("wrong", [{"oinfno": "1101"}, {"oinfno": "2102"}, {"psn_no": "0"}])
def test_a_reversal_that_names_the_wrong_call_or_person_is_refused(
    institution: Institution, books: Books, wrong: dict[str, str]
) -> None:
    visit = institution.visit()
    institution.ask("2207", a_bill(visit), msgid="SETTLE1")

    answer = institution.ask("2601", {"data": {**reversal(visit, "SETTLE1")["data"], **wrong}})

    assert answer["infcode"] == Infcode.NOT_REVERSIBLE
    assert standing(books) == {"SETTLED": 1}


def test_a_settlement_is_cancelled_once_and_can_be_looked_up(institution: Institution, books: Books) -> None:
    visit = institution.visit()
    assert institution.ask("5203", named(visit))["output"]["setlinfo"] is None
    settled = institution.ask("2207", a_bill(visit))["output"]["setlinfo"]["setl_id"]
    assert institution.ask("5203", named(visit))["output"]["setlinfo"]["setl_id"] == settled

    answers = [institution.ask("2208", named(visit, setl_id=settled))["infcode"] for _ in range(2)]

    assert answers == [0, Infcode.SETTLEMENT_STATE]
    assert standing(books) == {"CANCELLED": 1}
    assert balance(books, visit) == 300_000


def test_a_cancelling_that_is_reversed_lets_the_settlement_stand(institution: Institution, books: Books) -> None:
    visit = institution.visit()
    settled = institution.ask("2207", a_bill(visit))["output"]["setlinfo"]["setl_id"]
    institution.ask("2208", named(visit, setl_id=settled), msgid="CANCEL1")

    assert institution.ask("2601", reversal(visit, "CANCEL1", infno="2208"))["infcode"] == 0

    assert standing(books) == {"SETTLED": 1}
    assert balance(books, visit) == 282_320


def test_a_pharmacy_settles_and_undoes(institution: Institution, books: Books) -> None:
    visit = institution.visit()
    bill = {key: value for key, value in a_bill(visit)["data"].items() if key not in {"mdtrt_id", "chrg_bchno"}}
    opened = institution.ask("2101", {"druginfo": bill, "drugdetail": []})["output"]["setlinfo"]["mdtrt_id"]

    settled = institution.ask("2102", {"druginfo": {**bill, "mdtrt_id": opened}, "drugdetail": []}, msgid="DRUG1")
    info = settled["output"]["setlinfo"]
    assert (info["mdtrt_id"], info["clr_type"]) == (opened, "41")
    assert institution.ask("2208", named({**visit, "mdtrt_id": opened}, setl_id=info["setl_id"]))["infcode"] != 0
    assert institution.ask("2103", named({**visit, "mdtrt_id": opened}, setl_id=info["setl_id"]))["infcode"] == 0
    assert standing(books) == {"CANCELLED": 1}


def test_a_visit_with_a_settlement_is_not_unregistered(institution: Institution) -> None:
    visit = institution.visit()
    settled = institution.ask("2207", a_bill(visit))["output"]["setlinfo"]["setl_id"]
    out = {"data": {"psn_no": visit["psn_no"], "mdtrt_id": visit["mdtrt_id"], "ipt_otp_no": "1"}}

    assert institution.ask("2202", out)["infcode"] == Infcode.SETTLEMENT_STATE
    institution.ask("2208", named(visit, setl_id=settled))
    assert institution.ask("2202", out)["infcode"] == 0
    assert institution.ask("2207", a_bill(visit))["infcode"] == Infcode.VISIT_UNKNOWN


def test_an_id_number_alone_is_refused_everywhere(institution: Institution) -> None:
    visit = institution.visit()
    bare = {"mdtrt_cert_type": "02", "mdtrt_cert_no": "990000199604269175"}

    asked = [
        institution.ask("1101", {"data": bare}),
        institution.ask("2201", {"data": {**visit, **bare, "begntime": "2026-11-22 09:00:00"}}),
        institution.ask("2207", a_bill({**visit, **bare})),
    ]

    assert [answer["infcode"] for answer in asked] == [Infcode.CERTIFICATE_KIND] * 3


def test_nobody_settles_with_somebody_elses_credential(institution: Institution) -> None:
    visit, other = institution.visit(), institution.visit("o" * 40)

    answer = institution.ask("2207", a_bill({**visit, "mdtrt_cert_no": other["mdtrt_cert_no"]}))

    assert answer["infcode"] == Infcode.PERSON_UNKNOWN


def test_the_same_credential_is_the_same_made_up_person_in_every_core(core: Core, tmp_path: Path, clock: Clock) -> None:
    def person_of(which: Core) -> str:
        hospital = Institution(lambda body: which.answer(body, {}).body)
        hospital.sign_in()
        return hospital.visit()["psn_no"]

    other = Books(tmp_path / "other.db")
    try:
        assert person_of(core) == person_of(Core(books=other, seals=Seals(), settings=CoreSettings(), now=clock.now))
    finally:
        other.close()


def test_people_come_from_a_file_when_nobody_is_made_up(books: Books, clock: Clock, tmp_path: Path) -> None:
    strict = Core(books=books, seals=Seals(), settings=CoreSettings(makes_people_up=False), now=clock.now)
    file = tmp_path / "people.toml"
    person = 'psn_no = "9900001"\nregion = "990200"\naccount = "10.00"\ncredentials = ["c1"]\ncards = ["k1"]\n'
    file.write_text(
        f'[[people]]\n{person}\n[[people]]\npsn_no = "2"\nregion = "990200"\nis_suspended = true\ncards = ["k2"]\n'
    )
    with books.transaction():
        assert [strict.people.load(file) for _ in range(2)] == [2, 2]  # reading it again changes nothing
    hospital = Institution(lambda body: strict.answer(body, {}).body)
    hospital.sign_in()

    def asked(kind: str, number: str) -> Any:  # noqa: ANN401 - an answer
        return hospital.ask("1101", {"data": {"mdtrt_cert_type": kind, "mdtrt_cert_no": number}})

    assert [asked(*shown)["output"]["baseinfo"]["psn_no"] for shown in (("01", "c1"), ("03", "k1"))] == ["9900001"] * 2
    assert asked("01", "c1")["output"]["insuinfo"][0]["insuplc_admdvs"] == "990200"
    assert asked("03", "k2")["infcode"] == Infcode.PERSON_SUSPENDED
    assert asked("01", "nobody's")["infcode"] == Infcode.PERSON_UNKNOWN


def test_who_is_not_signed_in_may_send_the_same_msgid_again_later(institution: Institution, clock: Clock) -> None:
    visit = institution.visit()
    clock.advance(timedelta(hours=24))
    lapsed = institution.ask("2207", a_bill(visit), msgid="SETTLE1")
    institution.sign_in()

    again = institution.ask("2207", a_bill(visit), msgid="SETTLE1")

    assert (lapsed["infcode"], again["infcode"]) == (Infcode.NOT_SIGNED_IN, 0)


@pytest.mark.parametrize(
    ("changes", "named_field"),
    [
        ({"msgid": "m" * 31}, "msgid"),
        ({"mdtrtarea_admvs": "99010"}, "mdtrtarea_admvs"),
        ({"insuplc_admdvs": ""}, "insuplc_admdvs"),
        ({"opter_type": "4"}, "opter_type"),
        ({"inf_time": "2026/11/22"}, "inf_time"),
        ({"dev_no": "d" * 101}, "dev_no"),
        ({"fixmedins_name": None}, "fixmedins_name"),
        ({"input": {"data": {"psn_no": "1", "padding": "p" * 40_000}}}, "input"),
        ({"input": []}, "input"),
        ({"infver": 1}, "infver"),
    ],
)
def test_an_envelope_that_breaks_a_rule_is_refused_by_the_fields_name(
    institution: Institution, changes: dict[str, Any], named_field: str
) -> None:
    answer = institution.ask("5203", named({"psn_no": "1", "mdtrt_id": "1"}), **changes)

    assert answer["infcode"] == Infcode.FIELD
    assert f"[{named_field}]" in answer["err_msg"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000])
def test_what_is_no_message_is_refused(core: Core, body: bytes) -> None:
    assert json.loads(core.answer(body, {}).body)["infcode"] == Infcode.FIELD


@pytest.mark.parametrize(
    "changes",
    [
        {"medfee_sumamt": "0"},
        {"medfee_sumamt": "1.001"},
        {"fulamt_ownpay_amt": "326.81"},
        {"inscp_scp_amt": "300.01"},
        {"acct_used_flag": "2"},
        {"chrg_bchno": ""},
        {"psn_setlway": ""},
    ],
)
def test_a_bill_that_contradicts_itself_is_refused(institution: Institution, changes: dict[str, str]) -> None:
    assert institution.ask("2206", a_bill(institution.visit(), **changes))["infcode"] == Infcode.FIELD


def test_one_institution_does_not_see_anothers_settlements(institution: Institution, core: Core) -> None:
    visit = institution.visit()
    settled = institution.ask("2207", a_bill(visit), msgid="SETTLE1")["output"]["setlinfo"]["setl_id"]
    other = Institution(lambda body: core.answer(body, {}).body, code="H99010000002")
    other.sign_in()

    assert other.ask("5203", named(visit))["output"]["setlinfo"] is None
    assert other.ask("2208", named(visit, setl_id=settled))["infcode"] == Infcode.SETTLEMENT_UNKNOWN
    assert other.ask("2601", reversal(visit, "SETTLE1"))["infcode"] == Infcode.NOT_REVERSIBLE


def test_without_the_secret_nothing_is_worked_off(books: Books, clock: Clock) -> None:
    core = Core(books=books, seals=Seals(secret="made-up secret"), settings=CoreSettings(), now=clock.now)
    envelope = Institution(lambda _: b"").envelope("9001", {"signIn": {"opter_no": "1", "mac": "1", "ip": "1"}})

    answer = json.loads(core.answer(json.dumps(envelope).encode(), {}).body)

    assert answer["infcode"] == Infcode.HEADERS
    assert books.one("SELECT 1 FROM sign_ins") is None


def test_books_that_cannot_be_written_answer_nothing_and_go_on_later(institution: Institution, books: Books) -> None:
    visit = institution.visit()
    [pages] = books.all("PRAGMA page_count")
    books.all(f"PRAGMA max_page_count = {pages[0]}")  # a full disk

    def settle_on_and_on() -> None:
        for number in range(50):
            institution.ask("2207", a_bill(visit), msgid=f"FULL{number}")

    with pytest.raises(sqlite3.OperationalError, match="full"):
        settle_on_and_on()
    answered = standing(books).get("SETTLED", 0)
    books.all("PRAGMA max_page_count = 1000000")

    assert institution.ask("2207", a_bill(visit), msgid="FULL49")["infcode"] == 0
    assert standing(books) == {"SETTLED": answered + 1}
    assert balance(books, visit) + 17_680 * (answered + 1) == 300_000
