"""How bookings are undone at a core that does what a script says, and what is not believed of it."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers.fsi.errors import (
    LineBrokenError,
    ReversalUnprovenError,
)
from server.settlement.insurers.fsi.profile import AnswerSettings, OutpatientSettings, Profile, ReversalSettings
from server.store.tables.fsi import fsi_messages
from tests.support.database import Database
from tests.support.fsi import (
    NOTHING,
    PSN_NO,
    UNDONE,
    Fsi,
    Step,
    a_claim,
    a_running_fsi,
    an_entitlement,
    setlinfo,
)
from tests.support.money import a_bill, an_id

CLAIM = a_claim()


@pytest.mark.parametrize("step", [NOTHING, UNDONE])
async def test_what_is_not_there_or_was_undone_is_none(fsi: Fsi, step: Step) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    fsi.core.script("5203", step)

    assert await fsi.insurer.query(transaction_id) is None
    assert await fsi.insurer.query(an_id(fsi.clock.now())) is None


async def test_a_cancellation_names_the_settlement_and_counts_when_the_core_has_it_undone(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    fsi.core.script("5203", UNDONE)

    await fsi.insurer.cancel(transaction_id)

    (message,) = fsi.core.sent("2208")
    assert message["input"]["data"] == {"psn_no": PSN_NO, "mdtrt_id": "M1", "setl_id": "S990100000000000001"}


async def test_a_refused_cancellation_is_certain_only_when_it_still_stands(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    fsi.core.script("2208", Step(infcode=-206), Step(infcode=-206))

    with pytest.raises(InsurerRefusedError, match="-206"):
        await fsi.insurer.cancel(transaction_id)
    fsi.core.script("5203", UNDONE)  # it had been undone by an earlier one whose answer got lost
    await fsi.insurer.cancel(transaction_id)

    assert len({message["msgid"] for message in fsi.core.sent("2208")}) == 2


async def test_a_cancellation_without_an_answer_is_repeated_with_its_number(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    fsi.core.script("2208", Step(drops=True), Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.insurer.cancel(transaction_id)

    fsi.core.script("5203", UNDONE)
    await fsi.insurer.cancel(transaction_id)

    assert len(fsi.core.sent("2208")) == 3
    assert len({message["msgid"] for message in fsi.core.sent("2208")}) == 1


async def test_i05_a_reversal_names_the_message_and_looks_before_and_after(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.settle(transaction_id, shares)
    fsi.core.script("5203", Step(), UNDONE)

    assert await fsi.insurer.reverse(transaction_id) is True

    (settled,), (reversed_,) = fsi.core.sent("2207"), fsi.core.sent("2601")
    assert reversed_["input"]["data"] == {"psn_no": PSN_NO, "omsgid": settled["msgid"], "oinfno": "2207"}
    assert [message["infno"] for message in fsi.core.messages[-3:]] == ["5203", "2601", "5203"]


async def test_i05_what_a_core_never_got_is_reversed_all_the_same(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.settle(transaction_id, shares)
    fsi.core.script("5203", NOTHING, NOTHING)

    assert await fsi.insurer.reverse(transaction_id) is False

    assert len(fsi.core.sent("2601")) == 1


async def test_i05_after_a_reversal_nothing_of_the_transaction_is_ever_sent(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    assert await fsi.insurer.reverse(transaction_id) is False

    with pytest.raises(InsurerRefusedError, match="REVERSED"):
        await fsi.settle(transaction_id, shares)

    assert not fsi.core.sent("2207")
    assert not fsi.core.sent("2601")


async def test_i05_a_reversal_after_which_the_booking_still_stands_is_not_believed(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)

    with pytest.raises(ReversalUnprovenError):
        await fsi.insurer.reverse(transaction_id)
    fsi.core.script("5203", Step(), UNDONE)

    assert await fsi.insurer.reverse(transaction_id) is True


async def test_a_reversal_without_an_answer_is_repeated_with_its_number(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    fsi.core.script("2601", Step(drops=True), Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.insurer.reverse(transaction_id)

    fsi.core.script("5203", Step(), UNDONE)
    assert await fsi.insurer.reverse(transaction_id) is True

    assert len({message["msgid"] for message in fsi.core.sent("2601")}) == 1


async def test_what_is_undone_already_is_not_reversed_again(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    fsi.core.script("5203", UNDONE)

    assert await fsi.insurer.reverse(transaction_id) is True

    assert not fsi.core.sent("2601")


async def test_i10_a_refused_reversal_proves_nothing(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(drops=True))
    with pytest.raises(LineBrokenError):
        await fsi.settle(transaction_id, shares)
    fsi.core.script("2601", Step(infcode=-1, err_msg="no such message"))
    fsi.core.script("5203", *[NOTHING] * 3)

    with pytest.raises(ReversalUnprovenError):
        await fsi.insurer.reverse(transaction_id)


async def test_a_core_that_forgets_reversals_is_waited_for_until_nothing_can_arrive(sqlite_database: Database) -> None:
    forgets = ReversalSettings(remembers=False, unknown_codes=("-1",), arrival_max=timedelta(minutes=10))
    async with a_running_fsi(sqlite_database, profile=Profile(reversal=forgets)) as fsi:
        transaction_id, shares = await fsi.quoted()
        fsi.core.script("2207", Step(drops=True))
        with pytest.raises(LineBrokenError):
            await fsi.settle(transaction_id, shares)
        fsi.core.script("2601", *[Step(infcode=-1)] * 2)
        fsi.core.script("5203", *[NOTHING] * 2)

        with pytest.raises(ReversalUnprovenError):
            await fsi.insurer.reverse(transaction_id)
        fsi.clock.advance(timedelta(minutes=10))

        assert await fsi.insurer.reverse(transaction_id) is False


async def test_i10_a_core_that_knows_no_such_message_and_shows_its_booking_has_reversed_nothing(
    sqlite_database: Database,
) -> None:
    profile = Profile(reversal=ReversalSettings(unknown_codes=("-1",)))
    async with a_running_fsi(sqlite_database, profile=profile) as fsi:
        transaction_id, shares = await fsi.quoted()
        await fsi.settle(transaction_id, shares)
        fsi.core.script("2601", Step(infcode=-1))

        with pytest.raises(ReversalUnprovenError):
            await fsi.insurer.reverse(transaction_id)


async def test_without_registration_a_lost_answer_is_reversed_blindly(sqlite_database: Database) -> None:
    blind = Profile(outpatient=OutpatientSettings(registers=False), answer=AnswerSettings(check_refusals=True))
    async with a_running_fsi(sqlite_database, profile=blind) as fsi:
        fsi.core.script("2206", Step(output={"setlinfo": setlinfo(mdtrt_id="")}))
        fsi.core.script("2207", Step(drops=True))
        transaction_id, shares = await fsi.quoted()
        with pytest.raises(LineBrokenError):
            await fsi.settle(transaction_id, shares)

        assert await fsi.insurer.query(transaction_id) is None
        assert await fsi.insurer.reverse(transaction_id) is False

    assert not fsi.core.sent("5203")
    assert len(fsi.core.sent("2601")) == 1


async def test_i05_a_refusal_that_nobody_can_look_behind_is_reversed_by_its_number_when_it_is_asked_for(
    sqlite_database: Database,
) -> None:
    blind = Profile(outpatient=OutpatientSettings(registers=False))
    async with a_running_fsi(sqlite_database, profile=blind) as fsi:
        fsi.core.script("2206", Step(output={"setlinfo": setlinfo(mdtrt_id="")}))
        fsi.core.script("2207", Step(infcode=-1))
        transaction_id, shares = await fsi.quoted()
        with pytest.raises(InsurerRefusedError):
            await fsi.settle(transaction_id, shares)

        await fsi.insurer.reverse(transaction_id)

    ((settle,), (reverse,)) = fsi.core.sent("2207"), fsi.core.sent("2601")
    assert reverse["input"]["data"]["omsgid"] == settle["msgid"]


async def test_registrations_that_nobody_needs_are_cancelled_once_and_forgotten(fsi: Fsi) -> None:
    await fsi.insurer.quote(CLAIM)
    assert await fsi.insurer.tidy() == 0

    fsi.clock.advance(timedelta(hours=2))
    fsi.core.script("2202", Step(infcode=-206))
    assert await fsi.insurer.tidy() == 1
    assert await fsi.insurer.tidy() == 0

    assert fsi.core.sent("2202")[0]["input"]["data"]["mdtrt_id"] == "M1"
    assert len(fsi.core.sent("2202")) == 1


async def test_i11_quotes_that_came_to_nothing_do_not_pile_up(fsi: Fsi) -> None:
    for number in range(20):  # more than one batch
        await fsi.insurer.quote(a_claim(bill=a_bill(bill_number=f"B-{number}", not_covered_fen=100)))
    fsi.clock.advance(timedelta(hours=2))

    assert await fsi.insurer.tidy() == 20


async def test_i11_refused_questions_are_forgotten_and_messages_that_move_money_never(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    await fsi.settle(transaction_id, shares)
    fsi.core.script("1101", Step(infcode=-201, err_msg="x"))
    with pytest.raises(InsurerRefusedError):
        await fsi.insurer.quote(CLAIM)

    async def kept() -> list[str]:
        return await fsi.unit_of_work.read(
            lambda connection: list(connection.scalars(select(fsi_messages.c.infno).order_by(fsi_messages.c.infno)))
        )

    before = await kept()
    fsi.clock.advance(timedelta(days=31))
    await fsi.insurer.tidy()

    assert (before, await kept()) == (["1101", "2207"], ["2207"])


async def test_i05_what_never_left_by_our_books_and_stands_at_the_core_is_reversed_when_it_is_asked_for(
    fsi: Fsi,
) -> None:
    transaction_id, shares = await fsi.quoted()
    unfit = a_claim(entitlement=an_entitlement(evidence_sha256="ab" * 1_000))
    with pytest.raises(InsurerRefusedError, match="FIELD_UNFIT"):
        await fsi.insurer.settle(transaction_id=transaction_id, claim=unfit, quoted=shares)
    fsi.core.script("5203", Step(), UNDONE)

    assert await fsi.insurer.reverse(transaction_id) is True

    assert len(fsi.core.sent("2601")) == 1


async def test_i05_what_a_core_refused_and_has_booked_all_the_same_is_reversed_when_it_is_asked_for(fsi: Fsi) -> None:
    transaction_id, shares = await fsi.quoted()
    fsi.core.script("2207", Step(infcode=-1))
    fsi.core.script("5203", NOTHING)  # a gateway gave up on it before the core did
    with pytest.raises(InsurerRefusedError):
        await fsi.settle(transaction_id, shares)
    (settle,) = fsi.core.sent("2207")
    fsi.core.script("5203", Step(output={"setlinfo": setlinfo(mdtrt_id="M1")}), UNDONE)

    assert await fsi.insurer.reverse(transaction_id) is True

    (reverse,) = fsi.core.sent("2601")
    assert reverse["input"]["data"]["omsgid"] == settle["msgid"]
    fsi.core.script("5203", NOTHING)
    assert await fsi.insurer.reverse(transaction_id) is False
    assert len(fsi.core.sent("2601")) == 1
