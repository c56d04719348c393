"""The line to a core: sessions, repetitions, doubled answers, bounds, and a core that is down."""

import asyncio
from datetime import timedelta

import pytest

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers.fsi.errors import (
    AnswerGarbledError,
    FsiError,
    LineBrokenError,
    NotSentError,
)
from tests.support.database import Database
from tests.support.fsi import (
    NOTHING,
    PSN_NO,
    TOKEN,
    Fsi,
    Step,
    a_claim,
    a_running_fsi,
    an_fsi,
)

CLAIM = a_claim()


async def test_where_nobody_listens_nothing_is_in_doubt(fsi: Fsi, sqlite_database: Database) -> None:
    transaction_id, shares = await fsi.quoted()

    async with an_fsi(fsi.unit_of_work, base_url="http://127.0.0.1:9", breaker_failures=1) as cut_off:
        with pytest.raises(InsurerRefusedError) as error:
            await cut_off.settle(transaction_id, shares)
        with pytest.raises(FsiError):
            await cut_off.insurer.quote(CLAIM)

    assert error.value.code == "NOT_SENT"
    assert ("2207", "NOT_SENT") in cut_off.calls
    assert ("1101", "BREAKER_OPEN") in cut_off.calls
    fsi.core.script("5203", NOTHING)
    assert await fsi.insurer.reverse(transaction_id) is False
    assert not fsi.core.sent("2601")
    assert sqlite_database.kind == "sqlite"


async def test_calls_that_move_nothing_are_tried_again_with_the_same_number(fsi: Fsi) -> None:
    fsi.core.script("1101", Step(drops=True))
    fsi.core.script("2206", Step(raw=b"?"))

    await fsi.insurer.quote(CLAIM)

    for infno in ("1101", "2206"):
        first, second = fsi.core.sent(infno)
        assert first["msgid"] == second["msgid"]


async def test_an_answer_given_twice_does_not_answer_the_next_question(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(twice=True))
    await fsi.settle(transaction_id, shares)

    found = await fsi.insurer.query(transaction_id)

    assert found is not None
    assert fsi.calls[-2:] == [("5203", "ANSWER_FOREIGN"), ("5203", "GOOD")]
    assert fsi.core.connections > 1


async def test_a_session_is_kept_renewed_with_age_and_taken_anew_when_the_core_says_so(fsi: Fsi) -> None:
    await fsi.insurer.quote(CLAIM)
    await fsi.insurer.quote(CLAIM)
    assert len(fsi.core.sent("9001")) == 1

    fsi.clock.advance(timedelta(hours=20))
    await fsi.insurer.quote(CLAIM)
    assert len(fsi.core.sent("9001")) == 2

    fsi.core.script("1101", Step(infcode=-105))
    fsi.core.script("2206", Step(infcode=-1, err_msg="操作员未签到"))
    await fsi.insurer.quote(CLAIM)

    assert len(fsi.core.sent("9001")) == 4
    refused, again = fsi.core.sent("1101")[-2:]
    assert refused["msgid"] == again["msgid"]
    assert refused["sign_no"] != again["sign_no"]


async def test_a_session_serves_every_replica_and_rests_sealed(fsi: Fsi, sqlite_database: Database) -> None:
    fsi.core.script("9001", Step(output={"signinoutb": {"sign_no": "SIGNNO-4711-TEST"}}))
    await fsi.insurer.quote(CLAIM)

    async with an_fsi(fsi.unit_of_work) as another:
        await another.insurer.quote(CLAIM)

        assert not another.core.sent("9001")
        assert another.core.sent("1101")[0]["sign_no"] == "SIGNNO-4711-TEST"
    assert b"SIGNNO-4711-TEST" not in sqlite_database.bytes_on_disk()
    assert PSN_NO.encode() not in sqlite_database.bytes_on_disk()
    assert TOKEN.encode() not in sqlite_database.bytes_on_disk()


async def test_signing_out_ends_the_session_and_the_next_call_signs_in(fsi: Fsi) -> None:
    await fsi.insurer.quote(CLAIM)
    await fsi.insurer.sign_out()
    await fsi.insurer.sign_out()
    await fsi.insurer.quote(CLAIM)

    assert (len(fsi.core.sent("9001")), len(fsi.core.sent("9002"))) == (2, 1)


async def test_i11_an_answer_is_read_up_to_a_bound(fsi: Fsi) -> None:
    fsi.core.script("1101", *[Step(raw=b"{" + b" " * 5_000_000)] * 2)

    with pytest.raises(AnswerGarbledError):
        await fsi.insurer.quote(CLAIM)


async def test_i11_an_answer_that_drips_is_waited_for_up_to_a_bound(sqlite_database: Database) -> None:
    """Silence alone has a bound of its own; what never falls silent must end as well, with nobody outside to end it."""
    silence = timedelta(milliseconds=100)
    async with a_running_fsi(sqlite_database, answer_timeout=silence, tries_max=1) as fsi:
        fsi.core.script("9001", Step(drips=True))

        with pytest.raises(LineBrokenError):
            await asyncio.wait_for(fsi.insurer.quote(CLAIM), timeout=60)


async def test_i11_a_core_that_keeps_failing_is_left_alone_for_a_while(sqlite_database: Database) -> None:
    async with a_running_fsi(sqlite_database, breaker_failures=2, tries_max=1) as fsi:
        fsi.core.script("9001", Step(drops=True), Step(drops=True))
        for error in (LineBrokenError, LineBrokenError, NotSentError):
            with pytest.raises(error):
                await fsi.insurer.quote(CLAIM)
        assert len(fsi.core.messages) == 2

        fsi.clock.advance(timedelta(seconds=10))
        await fsi.insurer.quote(CLAIM)
