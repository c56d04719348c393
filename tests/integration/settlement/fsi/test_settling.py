"""Quotes and settlements before a core that does what a script says: over real HTTP, on a real database."""

import asyncio
from dataclasses import replace

import pytest

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers import EntitlementKind
from server.settlement.insurers.fsi.errors import (
    AnswerForeignError,
    AnswerGarbledError,
    CoreDoubtfulError,
    LineBrokenError,
    OutcomeDisagreesError,
    VisitTakenError,
)
from server.settlement.insurers.fsi.profile import AnswerSettings, Profile
from server.settlement.insurers.fsi.records import Purpose, Visit, VisitState
from server.settlement.model import Quotation, Shares
from tests.support.database import Database
from tests.support.fsi import (
    NOTHING,
    PSN_NO,
    TOKEN,
    Fsi,
    Step,
    a_claim,
    a_running_fsi,
    an_entitlement,
    setlinfo,
)
from tests.support.money import an_id

CLAIM = a_claim()


async def test_a_bill_is_quoted_and_settled_on_both_databases(database: Database) -> None:
    async with a_running_fsi(database) as fsi:
        transaction_id, shares = await fsi.quoted()
        balance = await fsi.settle(transaction_id, shares)
        found = await fsi.insurer.query(transaction_id)

    assert shares == Shares(total_fen=8_320, pooled_fund_fen=4_110, personal_account_fen=4_000, self_pay_fen=210)
    assert balance == 296_000
    assert found is not None
    assert [message["infno"] for message in fsi.core.messages] == ["9001", "1101", "2201", "2206", "2207", "5203"]
    assert len({message["msgid"] for message in fsi.core.messages}) == 6
    assert fsi.core.connections == 1
    assert fsi.calls == [(message["infno"], "GOOD") for message in fsi.core.messages]


async def test_the_core_learns_terminal_evidence_and_what_was_shown_and_never_an_id_number(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    card = a_claim(entitlement=an_entitlement(kind=EntitlementKind.CARD, number="HZ1"))
    await fsi.insurer.quote(card)

    (settled,) = fsi.core.sent("2207")
    assert settled["dev_no"] == CLAIM.terminal_id
    assert settled["dev_safe_info"] == "sha256:" + "ab" * 32
    assert settled["insuplc_admdvs"] == "990100"
    assert settled["sign_no"]
    data = settled["input"]["data"]
    assert (data["mdtrt_cert_type"], data["mdtrt_cert_no"], data["psn_no"]) == ("01", TOKEN, PSN_NO)
    shown = fsi.core.sent("1101")[-1]["input"]["data"]
    assert (shown["mdtrt_cert_type"], shown["mdtrt_cert_no"], shown["card_sn"]) == ("03", "HZ1", "HZ1")
    assert fsi.core.sent("1101")[-1]["insuplc_admdvs"] == ""


async def test_i05_msgid_and_infno_of_a_settlement_are_durable_before_it_is_sent(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(hangs=True))
    settling = asyncio.create_task(fsi.settle(transaction_id, shares))
    await fsi.core.arrived.wait()

    (message,) = await fsi.unit_of_work.read(lambda connection: fsi.records.messages_of(connection, transaction_id))
    visit = await fsi.unit_of_work.read(lambda connection: fsi.records.visit_of(connection, transaction_id))
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling

    assert message.msgid == fsi.core.sent("2207")[0]["msgid"]
    assert (message.infno, message.purpose, message.infcode) == ("2207", Purpose.SETTLE, None)
    assert visit is not None
    assert visit.state is VisitState.TAKEN


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (Step(drops=True), LineBrokenError),
        (Step(status=502, raw=b"busy"), LineBrokenError),
        (Step(raw=b"<html>"), AnswerGarbledError),
        (Step(envelope={"inf_refmsgid": None}), AnswerGarbledError),
        (Step(envelope={"msgid": "another"}), AnswerForeignError),
        (Step(output={}), AnswerGarbledError),
        (Step(output={"setlinfo": None}), AnswerGarbledError),
        (Step(infcode=999, err_msg="busy"), CoreDoubtfulError),
        (Step(output={"setlinfo": setlinfo(mdtrt_id="M1", medfee_sumamt="83.21")}), OutcomeDisagreesError),
        (Step(output={"setlinfo": setlinfo(mdtrt_id="M1", psn_no="1")}), OutcomeDisagreesError),
        (Step(output={"setlinfo": setlinfo(mdtrt_id="M1", medins_setl_id="X")}), AnswerForeignError),
        (Step(output={"setlinfo": setlinfo(mdtrt_id="M1", setl_id="")}), AnswerGarbledError),
        (
            Step(output={"setlinfo": setlinfo(mdtrt_id="M1", acct_pay="39.99", psn_cash_pay="2.11")}),
            OutcomeDisagreesError,
        ),
    ],
)
async def test_a_doubtful_settlement_is_sent_once_and_never_success(
    fsi: Fsi, step: Step, error: type[Exception]
) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", step)

    with pytest.raises(error):
        await fsi.settle(transaction_id, shares)

    assert len(fsi.core.sent("2207")) == 1


async def test_i05_an_answer_that_got_lost_is_found_by_a_query(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.settle(transaction_id, shares)

    found = await fsi.insurer.query(transaction_id)

    assert found is not None
    assert found.personal_account_balance_fen == 296_000
    assert found.booked_at is not None
    assert found.booked_at.isoformat() == "2026-03-02T16:00:01+08:00"
    assert fsi.core.sent("5203")[0]["input"]["data"] == {"psn_no": PSN_NO, "mdtrt_id": "M1", "setl_id": ""}


async def test_i05_the_same_settle_again_asks_nothing_twice(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.settle(transaction_id, shares)

    assert await fsi.settle(transaction_id, shares) == 296_000
    fsi.core.script("5203", NOTHING)
    with pytest.raises(LineBrokenError):
        await fsi.settle(transaction_id, shares)

    assert len(fsi.core.sent("2207")) == 1


async def test_a_booking_that_is_not_what_was_quoted_is_told_and_is_none(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.settle(transaction_id, shares)
    other = setlinfo(mdtrt_id="M1", acct_pay="0.00", psn_cash_pay="42.10")
    fsi.core.script("5203", Step(output={"setlinfo": other}))

    assert await fsi.insurer.query(transaction_id) is None

    assert fsi.disagreements == ["acct_pay"]


async def test_a_query_that_shows_somebody_elses_settlement_is_no_answer(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    for changes in ({"psn_no": "1"}, {"medins_setl_id": "another"}):
        fsi.core.script("5203", Step(output={"setlinfo": setlinfo(mdtrt_id="M1", **changes)}))

        with pytest.raises(AnswerForeignError):
            await fsi.insurer.query(transaction_id)


async def test_a_refusal_is_certain_after_a_look_and_its_words_are_sealed(fsi: Fsi, sqlite_database: Database) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(infcode=-203, err_msg="王小明 已停保"))
    fsi.core.script("5203", NOTHING, NOTHING)

    with pytest.raises(InsurerRefusedError) as error:
        await fsi.settle(transaction_id, shares)

    assert error.value.code == "-203"
    assert "王小明" not in repr(error.value.__cause__)
    (heard,) = await fsi.unit_of_work.read(lambda connection: fsi.insurer.heard_of(connection, transaction_id))
    assert (heard.call, heard.code, heard.words) == ("2207", "-203", "王小明 已停保")
    assert "王小明" not in repr(heard)
    assert "王小明".encode() not in sqlite_database.bytes_on_disk()
    assert await fsi.insurer.reverse(transaction_id) is False
    assert not fsi.core.sent("2601")


async def test_a_refusal_of_something_that_is_booked_all_the_same_is_doubt(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(infcode=-1, err_msg="timeout inside"))

    with pytest.raises(OutcomeDisagreesError):
        await fsi.settle(transaction_id, shares)

    assert await fsi.insurer.query(transaction_id) is not None


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        (replace(CLAIM, entitlement=None), "ENTITLEMENT_MISSING"),
        (replace(CLAIM, payer_id="01980000-0000-7000-8000-00000000c002"), "FAMILY_ACCOUNT_UNSUPPORTED"),
        (replace(CLAIM, bill=replace(CLAIM.bill, business_type=1103)), "BUSINESS_TYPE_NOT_PAYABLE"),
        (replace(CLAIM, bill=replace(CLAIM.bill, stay_number="S1")), "BUSINESS_TYPE_NOT_PAYABLE"),
        (replace(CLAIM, bill=replace(CLAIM.bill, chronic_disease="DIABETES")), "BUSINESS_TYPE_NOT_PAYABLE"),
    ],
)
async def test_what_a_core_cannot_be_asked_is_refused_before_it_is_asked(fsi: Fsi, claim: object, code: str) -> None:
    assert isinstance(claim, type(CLAIM))
    shares = Shares(total_fen=8_320, pooled_fund_fen=0, personal_account_fen=0, self_pay_fen=8_320)
    for asking in (
        fsi.insurer.quote(claim),
        fsi.insurer.settle(transaction_id=an_id(fsi.clock.now()), claim=claim, quoted=shares),
    ):
        with pytest.raises(InsurerRefusedError) as error:
            await asking
        assert error.value.code == code
    assert not fsi.core.messages


async def test_a_quote_is_refused_with_the_cores_code_or_ours(fsi: Fsi) -> None:
    steps = {
        "-201": ("1101", Step(infcode=-201, err_msg="查无此人")),
        "INSURANCE_MISSING": ("1101", Step(output={"baseinfo": {"psn_no": PSN_NO}, "insuinfo": []})),
        "-204": ("2206", Step(infcode="-204")),
        "OUTCOME_UNUSABLE": ("2206", Step(output={"setlinfo": setlinfo(mdtrt_id="M1", psn_part_amt="1.00")})),
    }
    for code, (infno, step) in steps.items():
        fsi.core.script(infno, step)

        with pytest.raises(InsurerRefusedError) as error:
            await fsi.insurer.quote(CLAIM)
        assert error.value.code == code


async def test_a_refusal_is_told_by_the_kind_that_the_province_gives_it(sqlite_database: Database) -> None:
    answer = AnswerSettings(refusals=("-1:已停保=PERSON_SUSPENDED", "-9=SETTLEMENT_ENDED"))
    async with a_running_fsi(sqlite_database, profile=Profile(answer=answer)) as fsi:
        no = Step(infcode=-1, err_msg="王小明 已停保")
        for infno in ("1101", "2207"):
            fsi.core.script(infno, no)
        fsi.core.script("5203", NOTHING)
        with pytest.raises(InsurerRefusedError, match="PERSON_SUSPENDED"):
            await fsi.insurer.quote(CLAIM)
        transaction_id, shares = await fsi.quoted()
        with pytest.raises(InsurerRefusedError, match="PERSON_SUSPENDED"):
            await fsi.settle(transaction_id, shares)
        transaction_id, shares = await fsi.quoted()
        await fsi.settle(transaction_id, shares)
        fsi.core.script("2208", Step(infcode=-9))
        fsi.core.script("5203", Step(output={"setlinfo": setlinfo(mdtrt_id="M2")}))
        with pytest.raises(InsurerRefusedError, match="SETTLEMENT_ENDED"):
            await fsi.insurer.cancel(transaction_id)


async def test_a_settlement_needs_the_quote_it_names(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    other = replace(shares, pooled_fund_fen=shares.pooled_fund_fen + 1, self_pay_fen=shares.self_pay_fen - 1)
    with pytest.raises(InsurerRefusedError, match="QUOTE_OUTDATED"):
        await fsi.settle(transaction_id, other)
    await fsi.settle(transaction_id, shares)
    with pytest.raises(InsurerRefusedError, match="QUOTE_UNKNOWN"):
        await fsi.settle(an_id(fsi.clock.now()), shares)

    assert len(fsi.core.sent("2207")) == 1


async def test_another_quote_for_the_same_bill_uses_the_registration_again_and_a_paid_one_does_not(fsi: Fsi) -> None:
    await fsi.insurer.quote(CLAIM)
    transaction_id, shares = await fsi.quoted()
    assert len(fsi.core.sent("2201")) == 1

    await fsi.settle(transaction_id, shares)
    await fsi.insurer.quote(CLAIM)

    assert len(fsi.core.sent("2201")) == 2


async def the_visit(fsi: Fsi, transaction_id: str) -> Visit:
    """Return the visit that a transaction has taken."""
    visit = await fsi.unit_of_work.read(lambda connection: fsi.records.visit_of(connection, transaction_id))
    assert visit is not None
    return visit


async def test_i05_a_quote_that_is_answered_late_changes_nothing_of_what_is_settled_meanwhile(
    database: Database,
) -> None:
    async with a_running_fsi(database) as fsi:
        transaction_id, shares = await fsi.quoted()
        other = setlinfo(mdtrt_id="M1", acct_pay="0.00", psn_cash_pay="42.10")
        answering = asyncio.Event()
        fsi.core.script("2206", Step(output={"setlinfo": other}, waits=answering))
        late = asyncio.create_task(fsi.insurer.quote(CLAIM))
        await fsi.core.arrived.wait()

        await fsi.settle(transaction_id, shares)
        answering.set()
        with pytest.raises(VisitTakenError):
            await late
        visit, booking = await the_visit(fsi, transaction_id), await fsi.insurer.query(transaction_id)
        anew = (await fsi.insurer.quote(CLAIM)).shares

    assert (visit.state, visit.quoted) == (VisitState.TAKEN, shares)
    assert booking is not None  # it is what was quoted, so nobody reverses it
    assert anew == shares
    assert not fsi.disagreements


async def test_i05_a_registration_that_is_answered_late_does_not_become_that_of_what_is_settled_meanwhile(
    fsi: Fsi,
) -> None:
    answering = asyncio.Event()
    fsi.core.script("2201", Step(waits=answering))
    late = asyncio.create_task(fsi.insurer.quote(CLAIM))
    await fsi.core.arrived.wait()

    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    answering.set()
    with pytest.raises(VisitTakenError):
        await late
    await fsi.insurer.tidy()

    assert (await the_visit(fsi, transaction_id)).mdtrt_id == "M1"
    assert [message["input"]["data"]["mdtrt_id"] for message in fsi.core.sent("2202")] == ["M2"]
    assert (
        len({message["input"]["data"]["ipt_otp_no"] for message in fsi.core.sent("2201") + fsi.core.sent("2202")}) == 1
    )


async def test_two_quotes_of_a_bill_at_once_share_one_registration_and_cancel_the_other(fsi: Fsi) -> None:
    answering = asyncio.Event()
    fsi.core.script("2201", Step(waits=answering))
    late = asyncio.create_task(fsi.insurer.quote(CLAIM))
    await fsi.core.arrived.wait()
    transaction_id, shares = await fsi.quoted()
    answering.set()

    assert (await late).shares == shares
    await fsi.settle(transaction_id, shares)
    await fsi.insurer.tidy()

    assert (await the_visit(fsi, transaction_id)).mdtrt_id == "M1"
    assert len(fsi.core.sent("2202")) == 1


async def test_a_purchase_goes_its_own_way(fsi: Fsi) -> None:
    claim = replace(CLAIM, bill=replace(CLAIM.bill, business_type=2121))
    transaction_id = an_id(fsi.clock.now())

    quotation: Quotation = await fsi.insurer.quote(claim)
    await fsi.insurer.settle(transaction_id=transaction_id, claim=claim, quoted=quotation.shares)
    fsi.core.script("5203", Step(output={"setlinfo": setlinfo(mdtrt_id="MP1", refd_setl_flag="1")}))
    await fsi.insurer.cancel(transaction_id)

    infnos = [message["infno"] for message in fsi.core.messages]
    assert infnos == ["9001", "1101", "2101", "2102", "2103", "5203"]
    assert fsi.core.sent("2102")[0]["input"]["druginfo"]["mdtrt_id"] == "MP1"
    assert fsi.core.sent("2102")[0]["input"]["drugdetail"] == []
