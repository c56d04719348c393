"""Money over the wire of a platform that runs as a process: paid once, by who may, or refused with a reason."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
import uuid_utils

from shualian.terminal.v1 import settlement_pb2, types_pb2
from tests.support.deployment import (
    ACCOUNT_FEN,
    Cardholder,
    Deployment,
    a_cardholder,
    a_terminal,
    an_enrolled_box,
    at_the_terminal,
    balance_fen,
)
from tests.support.payments import a_bill, by_bare_id_number, by_card, by_face, desk, found, quote, quoted
from tests.support.platform import Refusal, refusal
from tests.support.visitors import LIN, PIN, face_session

WRONG_PIN = "918273"
ABOVE_PIN_FREE_FEN = 60_000  # the limit is 50,000


@pytest.fixture
async def holder(shared: Deployment) -> Cardholder:
    return await a_cardholder(shared)


@pytest.fixture
async def channel(shared: Deployment) -> AsyncIterator[grpc.aio.Channel]:
    async with (await a_terminal(shared)).channel() as opened:
        yield opened


def card(holder: Cardholder, pin: str | None = None) -> settlement_pb2.Authorization:
    return by_card(holder.card_number, pin or holder.pin)


async def test_i05_a_face_at_the_window_pays_once_and_the_repetition_gets_the_same_receipt(
    shared: Deployment,
) -> None:
    box = await an_enrolled_box(shared)
    done = await at_the_terminal(box, "pay", "--total-fen", "12680", "--not-covered-fen", "2680", "--repeat")

    settled, repeated = done.event("settled"), done.event("repeated")
    assert done.code == 0
    assert done.event("decision")["outcome"] == "MATCHED"
    assert settled["pooled_fund_fen"] + settled["personal_account_fen"] + settled["self_pay_fen"] == 12_680
    assert repeated["same_receipt"]
    rows = shared.query(
        "SELECT state, total_fen FROM settlements WHERE transaction_id = :id", id=settled["transaction_id"]
    )
    assert rows == [("SETTLED", 12_680)]


async def test_i05_the_same_id_gets_the_same_receipt_and_moves_no_money(
    shared: Deployment, channel: grpc.aio.Channel, holder: Cardholder
) -> None:
    request = await quoted(channel, card(holder))
    first = await desk(channel).Settle(request)
    again = await asyncio.gather(*(desk(channel).Settle(request) for _ in range(3)))

    assert [answer.receipt for answer in again] == [first.receipt] * 3
    assert balance_fen(shared, holder.account) == ACCOUNT_FEN - first.receipt.shares.personal_account_fen
    assert first.receipt.personal_account_balance_fen == balance_fen(shared, holder.account)


async def test_i05_the_same_id_with_another_body_is_refused(
    shared: Deployment, channel: grpc.aio.Channel, holder: Cardholder
) -> None:
    request = await quoted(channel, card(holder))
    await desk(channel).Settle(request)
    balance = balance_fen(shared, holder.account)
    other = await quoted(channel, card(holder), a_bill(9_000))
    other.transaction_id = request.transaction_id

    assert (await settle_refused(channel, other)).reason == "TRANSACTION_ID_REUSED"
    assert balance_fen(shared, holder.account) == balance


async def test_a_face_above_the_pin_free_limit_asks_for_the_pin_and_pays_with_it(shared: Deployment) -> None:
    terminal = await a_terminal(shared)
    assertion = (await face_session(terminal, claims=LIN, shows=LIN)).decision.assertion
    bill = a_bill(ABOVE_PIN_FREE_FEN)
    async with terminal.channel() as channel:
        told = await quote(channel, by_face(assertion), bill)
        request = await quoted(channel, by_face(assertion), bill)
        asked = await settle_refused(channel, request)
        request.authorization.CopyFrom(by_face(assertion, PIN))
        receipt = (await desk(channel).Settle(request)).receipt
        second = await quoted_or_refused(channel, by_face(assertion))

    assert told.pin_required
    assert (asked.code, asked.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PIN_REQUIRED")
    assert receipt.shares.total_fen == ABOVE_PIN_FREE_FEN
    assert second.reason == "ASSERTION_USED"  # I4
    assert assertion not in shared.log
    assert PIN not in shared.log


async def test_i04_an_assertion_pays_one_of_many_bills_that_race_for_it(shared: Deployment) -> None:
    terminal = await a_terminal(shared)
    assertion = (await face_session(terminal, claims=LIN, shows=LIN)).decision.assertion
    async with terminal.channel() as channel:
        requests = [await quoted(channel, by_face(assertion)) for _ in range(5)]
        answers = await asyncio.gather(*(desk(channel).Settle(request) for request in requests), return_exceptions=True)

    errors = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(errors) == 4
    assert {refusal(error).reason for error in errors} == {"ASSERTION_USED"}


async def test_a_card_with_its_pin_pays_without_a_face(shared: Deployment, holder: Cardholder) -> None:
    box = await an_enrolled_box(shared)
    typed = json.dumps({"card_number": holder.card_number, "pin": holder.pin})
    done = await asyncio.to_thread(box.verb, "pay", "--card-file", "-", "--total-fen", "70000", typed=typed)

    assert done.code == 0
    assert done.event("settled")["total_fen"] == 70_000


async def test_wrong_pins_are_counted_and_the_last_one_locks_even_for_the_right_one(
    channel: grpc.aio.Channel, holder: Cardholder
) -> None:
    refused = [await quoted_or_refused(channel, card(holder, WRONG_PIN)) for _ in range(5)]
    locked = await quoted_or_refused(channel, card(holder))

    assert {found.reason for found in refused[:4]} == {"PIN_WRONG"}
    assert (locked.code, locked.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PIN_LOCKED")
    assert "until" in locked.metadata


async def test_an_unknown_card_and_a_wrong_pin_read_the_same(channel: grpc.aio.Channel, holder: Cardholder) -> None:
    unknown = await quoted_or_refused(channel, by_card("TEST99999999", PIN))
    wrong = await quoted_or_refused(channel, card(holder, WRONG_PIN))

    assert (unknown.code, unknown.reason, unknown.text) == (wrong.code, wrong.reason, wrong.text)


async def test_i12_a_bare_id_number_pays_nothing_and_hears_the_ways_that_work(
    shared: Deployment, channel: grpc.aio.Channel, holder: Cardholder
) -> None:
    asking = await quoted_or_refused(channel, by_bare_id_number(LIN.id_number))
    request = await quoted(channel, card(holder))
    request.authorization.CopyFrom(by_bare_id_number(LIN.id_number))
    settling = await settle_refused(channel, request)
    box = await an_enrolled_box(shared)
    claim = json.dumps({"id_number": LIN.id_number, "name": LIN.name})
    attacked = await asyncio.to_thread(box.verb, "attack", "bare-id-number", "--claim", "-", typed=claim)

    for refused in (asking, settling):
        assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "AUTHORIZATION_MISSING")
        assert "card_with_pin" in refused.metadata["ways"]
    assert attacked.code == 0
    assert LIN.id_number not in shared.log
    assert balance_fen(shared, holder.account) == ACCOUNT_FEN


async def test_a_bill_is_cancelled_on_the_same_day_and_the_money_comes_back(
    shared: Deployment, channel: grpc.aio.Channel, holder: Cardholder
) -> None:
    request = await quoted(channel, card(holder))
    await desk(channel).Settle(request)
    cancel = settlement_pb2.CancelRequest(
        transaction_id=str(uuid_utils.uuid7()), settlement_transaction_id=request.transaction_id
    )
    first, again = await desk(channel).Cancel(cancel), await desk(channel).Cancel(cancel)

    assert first == again
    assert (await found(channel, request.transaction_id)).state == settlement_pb2.SETTLEMENT_STATE_CANCELLED
    assert balance_fen(shared, holder.account) == ACCOUNT_FEN
    assert (await settle_refused(channel, request)).reason == "TRANSACTION_CANCELLED"


async def test_i05_a_reversal_undoes_what_was_paid_and_wins_over_what_comes_late(
    shared: Deployment, channel: grpc.aio.Channel, holder: Cardholder
) -> None:
    paid, late = await quoted(channel, card(holder)), await quoted(channel, card(holder))
    await desk(channel).Settle(paid)
    undone = [
        await desk(channel).Reverse(
            settlement_pb2.ReverseRequest(
                transaction_id=str(uuid_utils.uuid7()), settlement_transaction_id=request.transaction_id
            )
        )
        for request in (paid, late)
    ]

    assert [answer.money_moved_back for answer in undone] == [True, False]
    assert (await settle_refused(channel, late)).reason == "TRANSACTION_REVERSED"
    assert balance_fen(shared, holder.account) == ACCOUNT_FEN


async def test_i01_another_terminal_can_neither_see_nor_undo_a_settlement(
    shared: Deployment, channel: grpc.aio.Channel, holder: Cardholder
) -> None:
    request = await quoted(channel, card(holder))
    await desk(channel).Settle(request)
    undoing = {"transaction_id": str(uuid_utils.uuid7()), "settlement_transaction_id": request.transaction_id}
    async with (await a_terminal(shared)).channel() as other:
        seeing = await look_up_refused(other, request.transaction_id)
        unknown = await look_up_refused(other, str(uuid_utils.uuid7()))
        with pytest.raises(grpc.aio.AioRpcError) as cancelling:
            await desk(other).Cancel(settlement_pb2.CancelRequest(**undoing))
        with pytest.raises(grpc.aio.AioRpcError) as reversing:
            await desk(other).Reverse(settlement_pb2.ReverseRequest(**undoing))
        using = await settle_refused(other, request)

    assert seeing.reason == unknown.reason == refusal(cancelling.value).reason == "SETTLEMENT_NOT_FOUND"
    assert refusal(reversing.value).reason == using.reason == "TRANSACTION_ID_REUSED"
    assert (await found(channel, request.transaction_id)).state == settlement_pb2.SETTLEMENT_STATE_SETTLED


@pytest.mark.parametrize(
    ("bill", "field"),
    [
        (a_bill(-1), "bill.total_fen"),
        (a_bill(0), "bill.total_fen"),
        (a_bill(2**63 - 1), "bill.total_fen"),
        (settlement_pb2.Bill(bill_number="B", business_type=types_pb2.BUSINESS_TYPE_DISPENSING, total_fen=5,
                             not_covered_fen=6), "bill"),
        (settlement_pb2.Bill(bill_number="B", total_fen=5), "bill.business_type"),
        (settlement_pb2.Bill(bill_number="B", business_type=types_pb2.BusinessType.ValueType(4242), total_fen=5),
         "bill.business_type"),
    ],
    ids=["negative", "nothing", "huge", "more not covered than billed", "no business type", "unknown business type"],
)  # fmt: skip
async def test_a_bill_that_cannot_be_is_refused_with_its_field(
    channel: grpc.aio.Channel, holder: Cardholder, bill: settlement_pb2.Bill, field: str
) -> None:
    refused = await quoted_or_refused(channel, card(holder), bill)

    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert field in refused.fields


@pytest.mark.parametrize(
    ("transaction_id", "reason"),
    [
        ("not-an-id", "INVALID_REQUEST"),
        (str(uuid.UUID("9f1c2f1e-6a60-4f0e-9d43-0a5f4ad7a1b2")), "TRANSACTION_ID_NOT_V7"),
        (str(uuid_utils.uuid7()).upper(), "TRANSACTION_ID_NOT_V7"),
        ("01500000-0000-7000-8000-000000000000", "TRANSACTION_ID_TIME"),
    ],
    ids=["no uuid", "version 4", "upper case", "of another year"],
)
async def test_a_transaction_id_that_is_no_new_uuidv7_is_refused(
    shared: Deployment, channel: grpc.aio.Channel, holder: Cardholder, transaction_id: str, reason: str
) -> None:
    request = await quoted(channel, card(holder))
    request.transaction_id = transaction_id

    refused = await settle_refused(channel, request)
    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert refused.fields == ("transaction_id",)
    assert balance_fen(shared, holder.account) == ACCOUNT_FEN


async def quoted_or_refused(
    channel: grpc.aio.Channel, authorization: settlement_pb2.Authorization, bill: settlement_pb2.Bill | None = None
) -> Refusal:
    """Ask for a quote that must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await quote(channel, authorization, bill)
    return refusal(caught.value)


async def settle_refused(channel: grpc.aio.Channel, request: settlement_pb2.SettleRequest) -> Refusal:
    """Settle what must be refused."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await desk(channel).Settle(request)
    return refusal(caught.value)


async def look_up_refused(channel: grpc.aio.Channel, transaction_id: str) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await found(channel, transaction_id)
    return refusal(caught.value)
