"""The simulated core as a process: it misbehaves as told, and its books outlive it."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from server.cli import run
from server.core_simulator.errors import Infcode
from tests.support.core_process import CoreProcess, core_process
from tests.support.institution import Institution, a_bill, named, reversal

SOON = 0.2
LATER = 2.0
"""Time enough for a reversal to come in between, also on a busy machine."""
LATE = 30.0
"""Longer than a test waits: who gets an answer before has overtaken it."""


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CoreProcess]:
    """Return one process for all tests of faults."""
    with core_process(tmp_path_factory.mktemp("core") / "books.db") as started:
        yield started


@pytest.fixture
def institution(core: CoreProcess) -> Iterator[Institution]:
    """Return an institution of a well-behaved core; a script lasts as long as its test."""
    core.follow()
    yield core.institution()
    core.follow()


def asked_in_vain(institution: Institution, visit: dict[str, str], msgid: str) -> bool:
    """Ask for a settlement and return whether the connection closed without an answer."""
    try:
        institution.ask("2207", a_bill(visit), msgid=msgid)
    except httpx.RemoteProtocolError:
        return True
    return False


def test_an_answer_dropped_after_the_commit_is_found_by_its_msgid(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()
    core.follow({"fault": "commit_then_drop", "infno": "2207", "count": 1})

    assert asked_in_vain(institution, visit, "DROPPED1")

    found = institution.ask("5203", named(visit))["output"]["setlinfo"]
    repeated = institution.ask("2207", a_bill(visit), msgid="DROPPED1")["output"]["setlinfo"]
    assert found["medins_setl_id"] == "DROPPED1"
    assert repeated == found
    assert [row["state"] for row in core.books(msgid="DROPPED1")] == ["SETTLED"]


def test_a_call_dropped_before_it_was_worked_off_books_nothing(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()
    core.follow({"fault": "drop_before", "infno": "2207", "count": 1})

    assert asked_in_vain(institution, visit, "DROPPED2")

    assert core.books(msgid="DROPPED2") == []


def test_a_core_that_is_down_books_nothing(core: CoreProcess, institution: Institution) -> None:
    body = institution.envelope("2207", a_bill(institution.visit()), msgid="DOWN1")
    core.follow({"fault": "down"})

    assert core.http.post("/fsi/api/call", json=body).status_code == 503
    assert core.books(msgid="DOWN1") == []


def test_a_scripted_refusal_is_final_for_its_msgid(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()
    core.follow({"fault": "refuse", "infno": "2207", "count": 1, "infcode": -301, "err_msg": "余额不足"})

    answers = [institution.ask("2207", a_bill(visit), msgid="REFUSED1") for _ in range(2)]

    assert [(answer["infcode"], answer["err_msg"]) for answer in answers] == [(-301, "余额不足")] * 2
    assert core.books(msgid="REFUSED1") == []


def test_a_garbled_answer_is_no_json_and_yet_booked(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()
    core.follow({"fault": "garble", "infno": "2207"})

    with pytest.raises(json.JSONDecodeError):
        institution.ask("2207", a_bill(visit), msgid="GARBLED1")

    assert len(core.books(msgid="GARBLED1")) == 1


def test_a_call_that_arrives_twice_books_once(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()
    core.follow({"fault": "answer_twice", "infno": "2207"})

    assert institution.ask("2207", a_bill(visit), msgid="TWICE1")["infcode"] == 0

    counted = core.http.get("/sim/calls").json()
    assert (counted["faults"]["answer_twice"], counted["contradictions"]) == (1, 0)
    assert len(core.books(msgid="TWICE1")) == 1


def test_a_reversal_overtakes_a_delayed_settlement(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()
    core.follow({"fault": "delay", "infno": "2207", "seconds": LATER})
    answers: list[int] = []
    settle = institution.envelope("2207", a_bill(visit), msgid="SLOW1")

    def settling() -> None:
        answers.append(httpx.post(f"{core.address}/any", json=settle, timeout=LATE).json()["infcode"])

    thread = threading.Thread(target=settling)
    thread.start()
    while core.http.get("/sim/calls").json()["faults"].get("delay", 0) == 0:
        pass  # until it has arrived; the test's timeout is the bound
    institution.ask("2601", reversal(visit, "SLOW1"))
    thread.join(LATE)

    assert answers == [Infcode.REVERSED]
    assert core.books(msgid="SLOW1") == []


def test_a_late_answer_is_booked_long_before_it_comes(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()
    core.follow({"fault": "answer_late", "infno": "2207", "seconds": LATE})
    settle = institution.envelope("2207", a_bill(visit), msgid="LATE1")

    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{core.address}/any", json=settle, timeout=SOON)

    while not core.books(msgid="LATE1"):
        pass  # the client may give up before the core has begun; the test's timeout is the bound


def test_a_script_that_makes_no_sense_changes_nothing(core: CoreProcess) -> None:
    core.follow({"fault": "down", "infno": "3201"})

    assert core.http.post("/sim/script", json={"rule": [{"fault": "sulk"}]}).status_code == 400
    assert core.http.post("/sim/script", content=b"{").status_code == 400
    assert [rule["fault"] for rule in core.http.get("/sim/script").json()["rule"]] == ["down"]


def test_sign_ins_end_when_a_test_wants_it(core: CoreProcess, institution: Institution) -> None:
    visit = institution.visit()

    core.http.post("/sim/sign-ins/end").raise_for_status()

    assert institution.ask("2207", a_bill(visit), msgid="NIGHT1")["infcode"] == Infcode.NOT_SIGNED_IN


def test_nothing_answered_is_forgotten_when_the_core_is_killed(tmp_path: Path) -> None:
    books = tmp_path / "books.db"
    with core_process(books) as killed:
        institution = killed.institution()
        visit, other = institution.visit(), institution.visit("o" * 40)
        settle = institution.envelope("2207", a_bill(visit), msgid="KEPT1")
        first = institution.ask_raw(settle)
        institution.ask("2601", reversal(other, "KEPT2"))
        totals = killed.totals()
        killed.process.kill()
        killed.process.wait()

    with core_process(books) as again:
        sent = [settle, institution.envelope("2207", a_bill(other), msgid="KEPT2")]
        answers = [again.http.post("/any", json=envelope) for envelope in sent]  # the sign-in is still good, too

        assert answers[0].content == first
        assert answers[1].json()["infcode"] == Infcode.REVERSED
        assert again.totals() == totals
        assert totals["by_state"]["SETTLED"]["count"] == 1
        assert totals["accounts_off"] == 0
        again.process.terminate()
        assert again.process.wait(LATE) == 0


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "127.0.0.1", "nowhere:1"])
def test_it_listens_on_this_machine_alone_unless_told(listen: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["core-sim", "--listen", listen]) == 2
    assert listen.partition(":")[0] in capfd.readouterr().err


def test_a_file_that_holds_no_books_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("Dear core, " * 100, encoding="utf-8")

    assert run(["core-sim", "--books", str(tmp_path / "letter.txt")]) == 5
    assert "cannot be used for books" in capfd.readouterr().err
