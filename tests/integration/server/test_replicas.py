"""Two platforms on one PostgreSQL: what is decided through one of them holds on the other, and money moves once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc
import pytest
import uuid_utils
from google.protobuf.timestamp_pb2 import Timestamp

from server.settlement.ledger import Account, AccountKind
from shualian.terminal.v1 import device_pb2, settlement_pb2, settlement_pb2_grpc, types_pb2
from tests.support.conversation import control_call
from tests.support.database import PostgresqlDatabase
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    channel_to,
    refusal,
)
from tests.support.promptly import within
from tests.support.visitors import CARD_NUMBER, LIN, PIN, insured


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two replicas, and a terminal that knows the way to both."""

    here: RunningPlatform
    there: RunningPlatform
    terminal: EnrolledTerminal

    def channel(self, platform: RunningPlatform) -> grpc.aio.Channel:
        """Return a new connection of the terminal to one of them."""
        return channel_to(platform, self.terminal.key, self.terminal.chain_pem)


@pytest.fixture
async def pair(postgresql_database: PostgresqlDatabase, tmp_path: Path) -> AsyncIterator[Pair]:
    store = {"url": postgresql_database.url}
    async with (
        a_platform(folder=tmp_path, store=store, diagnostics={"enabled": False}) as here,
        a_platform(folder=tmp_path, store=store, diagnostics={"enabled": False}) as there,
    ):
        yield Pair(here=here, there=there, terminal=await an_enrolled_terminal(here))


async def asked(channel: grpc.aio.Channel) -> settlement_pb2.GetSettlementResponse:
    """Ask for a settlement that does not exist; whoever is let in hears NOT_FOUND."""
    unknown = settlement_pb2.GetSettlementRequest(transaction_id="0198b5ac-1111-7111-8111-111111111111")
    return await settlement_pb2_grpc.SettlementServiceStub(channel).GetSettlement(unknown)


async def test_i02_a_suspension_through_one_replica_ends_the_stream_on_the_other_within_one_second(pair: Pair) -> None:
    async with pair.channel(pair.there) as channel:
        call = control_call(channel)
        terminal_time = Timestamp()
        terminal_time.FromDatetime(datetime.now(UTC))
        hello = device_pb2.Hello(firmware_version="1.0", terminal_time=terminal_time)
        await call.write(device_pb2.ConnectRequest(hello=hello))
        assert (await call.read()).WhichOneof("message") == "welcome"

        await pair.here.write(
            lambda connection: pair.here.domain.registry.suspend(
                connection, terminal_id=pair.terminal.terminal_id, reason="odd hours", actor=ACTOR
            )
        )
        cut = await within(1, call.refused())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asked(channel)

    assert refusal(cut).reason == refusal(refused.value).reason == "TERMINAL_SUSPENDED"


async def test_a_terminal_enrolled_through_one_replica_is_let_in_by_the_other(pair: Pair) -> None:
    async with pair.channel(pair.there) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as answered:
            await asked(channel)

    assert answered.value.code() is grpc.StatusCode.NOT_FOUND


async def test_i05_the_same_payment_sent_to_both_replicas_at_once_moves_money_once(pair: Pair) -> None:
    person = Account(kind=AccountKind.PERSON, owner=(await insured(pair.here, LIN)).person_id)
    ledger = pair.here.domain.ledger
    await pair.here.write(lambda connection: ledger.fund(connection, person, amount_fen=5_000, reference="test"))
    bill = settlement_pb2.Bill(
        bill_number="B-1", business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT, total_fen=12_000
    )
    by_card = settlement_pb2.Authorization(card=settlement_pb2.CardAuthorization(card_number=CARD_NUMBER, pin=PIN))
    async with pair.channel(pair.here) as here, pair.channel(pair.there) as there:
        desks = [settlement_pb2_grpc.SettlementServiceStub(channel) for channel in (here, there)]
        quote = await desks[0].PreSettle(settlement_pb2.PreSettleRequest(bill=bill, authorization=by_card))
        request = settlement_pb2.SettleRequest(
            transaction_id=str(uuid_utils.uuid7()), quote_id=quote.quote_id, bill=bill, authorization=by_card
        )
        receipts = await asyncio.gather(*(desk.Settle(request) for desk in desks * 4))

    assert len({receipt.SerializeToString() for receipt in receipts}) == 1
    report = await pair.there.platform.unit_of_work.read(ledger.verify)
    assert (report.is_sound, report.transactions) == (True, 2)  # the contribution and the bill
