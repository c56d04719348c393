"""What a bad terminal, or a bad person before a good one, tries; each must be refused."""

from dataclasses import dataclass, replace
from enum import StrEnum

import uuid_utils
from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call
from mock_terminal.errors import PlatformRefusedError
from mock_terminal.face import Sitting, authenticate
from mock_terminal.payment import Order
from mock_terminal.report import Reporter
from mock_terminal.scenes import Scene
from shualian.terminal.v1 import face_pb2, settlement_pb2, settlement_pb2_grpc


class Attack(StrEnum):
    """What is tried."""

    WRONG_PERSON = "wrong-person"
    """A living person claims to be somebody else: give the portrait of one and the claim of the other."""
    FLAT_PHOTO = "flat-photo"
    """A print of the right person, held and turned before the camera."""
    SCREEN_REPLAY = "screen-replay"
    """The right person on a tablet."""
    FROZEN = "frozen"
    """One good frame of the right person, again and again."""
    BARE_ID_NUMBER = "bare-id-number"
    """No face at all: the ID number and nothing else."""


SCENES = {
    Attack.WRONG_PERSON: Scene.LIVE_HEAD,
    Attack.FLAT_PHOTO: Scene.FLAT_PHOTO,
    Attack.SCREEN_REPLAY: Scene.SCREEN_REPLAY,
    Attack.FROZEN: Scene.FROZEN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at the platform's money."""

    channel: aio.Channel
    report: Reporter


async def with_a_face(attempt: Attempt, sitting: Sitting) -> bool:
    """Sit before the camera as somebody or something else; return whether the platform refused."""
    decision = await authenticate(attempt.channel, sitting, attempt.report)
    return decision.outcome != face_pb2.DECISION_OUTCOME_MATCHED


async def with_a_bare_id_number(attempt: Attempt, order: Order, id_number: str) -> bool:
    """Ask for a quote and for money with an ID number alone; return whether both were refused."""
    bare = settlement_pb2.Authorization(bare_id_number=settlement_pb2.BareIdNumber(id_number=id_number))
    stub = settlement_pb2_grpc.SettlementServiceStub(attempt.channel)
    order = replace(order, authorization=bare)
    asked = settlement_pb2.PreSettleRequest(bill=order.bill, authorization=bare)
    settle = settlement_pb2.SettleRequest(
        transaction_id=order.transaction_id,
        quote_id=str(uuid_utils.uuid7()),
        bill=order.bill,
        authorization=bare,
    )
    refusals = 0
    for ask in (
        lambda: stub.PreSettle(asked, timeout=CALL_SECONDS_MAX),
        lambda: stub.Settle(settle, timeout=CALL_SECONDS_MAX),
    ):
        try:
            await call(ask)
        except PlatformRefusedError as refused:
            refusals += 1
            attempt.report.event("refused", **refused.as_fields())
    return refusals == 2  # noqa: PLR2004  # both of the two above
