"""From a face to a receipt, over real mTLS; and that a terminal sees only what is its own."""

from collections.abc import AsyncIterator

import grpc
import pytest
import uuid_utils

from server.settlement.ledger import Account, AccountKind
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc, types_pb2
from tests.support.database import Database
from tests.support.platform import EnrolledTerminal, RunningPlatform, a_platform, an_enrolled_terminal, refusal
from tests.support.visitors import CARD_NUMBER, LIN, PIN, face_session, insured

REGION = "330100"
SHARES = ("POOLED_FUND", "PERSONAL_ACCOUNT", "SELF_PAY")


@pytest.fixture
async def running(database: Database) -> AsyncIterator[RunningPlatform]:
    async with a_platform(store={"url": database.url}) as platform:
        fund = Account(kind=AccountKind.POOLED_FUND, owner=REGION)
        await platform.write(
            lambda connection: platform.platform.domain.ledger.fund(
                connection, fund, amount_fen=100_000_000, reference="test"
            )
        )
        await insured(platform, LIN)
        yield platform


def bill(total_fen: int = 12_000) -> settlement_pb2.Bill:
    return settlement_pb2.Bill(
        bill_number="B-1", business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT, total_fen=total_fen
    )


def by_card(pin: str = PIN) -> settlement_pb2.Authorization:
    return settlement_pb2.Authorization(card=settlement_pb2.CardAuthorization(card_number=CARD_NUMBER, pin=pin))


async def quoted(
    channel: grpc.aio.Channel, authorization: settlement_pb2.Authorization
) -> settlement_pb2.SettleRequest:
    """Ask for a quote and return the request that settles it."""
    stub = settlement_pb2_grpc.SettlementServiceStub(channel)
    quote = await stub.PreSettle(settlement_pb2.PreSettleRequest(bill=bill(), authorization=authorization))
    return settlement_pb2.SettleRequest(
        transaction_id=str(uuid_utils.uuid7()), quote_id=quote.quote_id, bill=bill(), authorization=authorization
    )


async def test_a_face_pays_a_bill_once_and_the_repetition_gets_the_same_receipt(running: RunningPlatform) -> None:
    terminal = await an_enrolled_terminal(running)
    decision = (await face_session(terminal, claims=LIN, shows=LIN)).decision
    face = settlement_pb2.Authorization(face=settlement_pb2.FaceAuthorization(assertion=decision.assertion))
    async with terminal.channel() as channel:
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        request = await quoted(channel, face)
        first = await stub.Settle(request)
        again = await stub.Settle(request)
        found = await stub.GetSettlement(settlement_pb2.GetSettlementRequest(transaction_id=request.transaction_id))

    shares = first.receipt.shares
    assert shares.pooled_fund_fen + shares.personal_account_fen + shares.self_pay_fen == 12_000
    assert again == first
    assert found.state == settlement_pb2.SETTLEMENT_STATE_SETTLED
    assert found.receipt == first.receipt
    assert running.counted("settlements_total", business_type="01301", outcome="SETTLED") == 1
    assert running.counted("settlements_total", business_type="01301", outcome="REPEATED") == 1
    assert sum(running.counted("settled_fen_total", share=share) for share in SHARES) == 12_000
    for outcome in ("SETTLED", "REPEATED"):
        assert running.counted("settlements_total", business_type="01301", outcome=outcome) == 1
    counted_fen = [
        running.counted("settled_fen_total", share=who) for who in ("POOLED_FUND", "PERSONAL_ACCOUNT", "SELF_PAY")
    ]
    assert sum(counted_fen) == 12_000
    report = await running.write(running.platform.domain.ledger.verify)
    assert report.is_sound


async def test_i01_a_terminal_cannot_read_or_undo_the_settlement_of_another(running: RunningPlatform) -> None:
    owner = await an_enrolled_terminal(running, serial_number="SL-1")
    other = await an_enrolled_terminal(running, serial_number="SL-2")
    async with owner.channel() as channel:
        request = await quoted(channel, by_card())
        await settlement_pb2_grpc.SettlementServiceStub(channel).Settle(request)
    async with other.channel() as channel:
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as reading:
            await stub.GetSettlement(settlement_pb2.GetSettlementRequest(transaction_id=request.transaction_id))
        with pytest.raises(grpc.aio.AioRpcError) as cancelling:
            await stub.Cancel(
                settlement_pb2.CancelRequest(
                    transaction_id=str(uuid_utils.uuid7()), settlement_transaction_id=request.transaction_id
                )
            )

    assert refusal(reading.value).reason == "SETTLEMENT_NOT_FOUND"
    assert refusal(cancelling.value).reason == "SETTLEMENT_NOT_FOUND"


async def test_an_assertion_is_worth_nothing_on_another_terminal(running: RunningPlatform) -> None:
    owner = await an_enrolled_terminal(running, serial_number="SL-1")
    thief = await an_enrolled_terminal(running, serial_number="SL-2")
    decision = (await face_session(owner, claims=LIN, shows=LIN)).decision
    face = settlement_pb2.Authorization(face=settlement_pb2.FaceAuthorization(assertion=decision.assertion))
    async with thief.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await quoted(channel, face)

    assert refusal(caught.value).reason == "ASSERTION_FOREIGN"
    assert decision.assertion not in str(caught.value)


async def test_a_wrong_pin_says_nothing_else(running: RunningPlatform) -> None:
    terminal: EnrolledTerminal = await an_enrolled_terminal(running)
    async with terminal.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await quoted(channel, by_card(pin="918273"))

    found = refusal(caught.value)
    assert (found.code, found.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PIN_WRONG")
    assert found.metadata == {"next_action": "CHANGE_REQUEST"}
    assert "918273" not in str(caught.value)
    assert running.counted("pin_attempts_total", result="WRONG") == 1
