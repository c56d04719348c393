"""Bills, and the requests that pay them, as a terminal writes them."""

import grpc
import uuid_utils

from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc, types_pb2


def a_bill(total_fen: int = 12_000, *, number: str = "B-1") -> settlement_pb2.Bill:
    """Return a bill of outpatient treatment."""
    return settlement_pb2.Bill(
        bill_number=number, business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT, total_fen=total_fen
    )


def by_card(card_number: str, pin: str) -> settlement_pb2.Authorization:
    """Return what a card and its PIN entitle to."""
    return settlement_pb2.Authorization(card=settlement_pb2.CardAuthorization(card_number=card_number, pin=pin))


def by_face(assertion: str, pin: str = "") -> settlement_pb2.Authorization:
    """Return what a face entitles to."""
    return settlement_pb2.Authorization(face=settlement_pb2.FaceAuthorization(assertion=assertion, pin=pin))


def by_bare_id_number(id_number: str) -> settlement_pb2.Authorization:
    """Return what entitles to nothing."""
    return settlement_pb2.Authorization(bare_id_number=settlement_pb2.BareIdNumber(id_number=id_number))


def desk(channel: grpc.aio.Channel) -> "settlement_pb2_grpc.SettlementServiceAsyncStub":
    """Return the settlement service at the other end."""
    return settlement_pb2_grpc.SettlementServiceStub(channel)


async def quote(
    channel: grpc.aio.Channel, authorization: settlement_pb2.Authorization, bill: settlement_pb2.Bill | None = None
) -> settlement_pb2.PreSettleResponse:
    """Ask who would pay what."""
    return await desk(channel).PreSettle(
        settlement_pb2.PreSettleRequest(bill=bill or a_bill(), authorization=authorization)
    )


async def quoted(
    channel: grpc.aio.Channel, authorization: settlement_pb2.Authorization, bill: settlement_pb2.Bill | None = None
) -> settlement_pb2.SettleRequest:
    """Ask for a quote and return the request that settles it."""
    answer = await quote(channel, authorization, bill)
    return settlement_pb2.SettleRequest(
        transaction_id=str(uuid_utils.uuid7()),
        quote_id=answer.quote_id,
        bill=bill or a_bill(),
        authorization=authorization,
    )


async def found(channel: grpc.aio.Channel, transaction_id: str) -> settlement_pb2.GetSettlementResponse:
    """Look a settlement up."""
    return await desk(channel).GetSettlement(settlement_pb2.GetSettlementRequest(transaction_id=transaction_id))
