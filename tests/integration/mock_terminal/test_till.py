"""A till takes one bill after the other; each has one outcome, and what is undone is on disk before it is asked for."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import uuid_utils

from mock_terminal.errors import InputError
from mock_terminal.journal import EntryState, Journal
from mock_terminal.orders import By, Then, TillOrder, order_from
from mock_terminal.payment import Cashier, new_transaction_id
from mock_terminal.till import Till, ids_by_a_clock_off_by
from shualian.terminal.v1 import credential_pb2, settlement_pb2
from tests.integration.mock_terminal.conftest import Heard, Says, a_server

STATES = {
    "paid": settlement_pb2.SETTLEMENT_STATE_SETTLED,
    "cancelled": settlement_pb2.SETTLEMENT_STATE_CANCELLED,
    "reversed": settlement_pb2.SETTLEMENT_STATE_REVERSED,
}
CASH = settlement_pb2.SELF_PAY_CHANNEL_CASH
ELECTRONIC = settlement_pb2.SELF_PAY_CHANNEL_ELECTRONIC_ACCOUNT
CREDIT = settlement_pb2.SELF_PAY_CHANNEL_CREDIT
BROKEN = Says(code=grpc.StatusCode.INTERNAL, reason="INTERNAL")
PAID_THEN_BROKEN = Says(code=grpc.StatusCode.INTERNAL, reason="INTERNAL", after_doing=True)
TOO_LATE = Says(code=grpc.StatusCode.FAILED_PRECONDITION, reason="CANCEL_TOO_LATE")
NOT_FOUND = Says(code=grpc.StatusCode.NOT_FOUND, reason="SETTLEMENT_NOT_FOUND")
REVERSED = Says(code=grpc.StatusCode.FAILED_PRECONDITION, reason="TRANSACTION_REVERSED")


@dataclass(kw_only=True)
class Desk:
    """A platform in a dictionary, and what it says instead of answering."""

    says: dict[str, list[Says]] = field(default_factory=dict)
    stands: dict[str, str] = field(default_factory=dict)
    quoted: settlement_pb2.PreSettleResponse = field(default_factory=settlement_pb2.PreSettleResponse)
    """What every bill is quoted."""
    heard: list[settlement_pb2.PreSettleRequest | settlement_pb2.SettleRequest] = field(default_factory=list)

    async def code(self, data: bytes, _context: Any) -> bytes:  # noqa: ANN401  # grpc's own, untyped
        """Make a code for a card's holder."""
        card = credential_pb2.IssueCodeRequest.FromString(data).proof.card
        return credential_pb2.IssueCodeResponse(code=f"code of {card.card_number}").SerializeToString()

    async def quote(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # as above
        """Quote."""
        self.heard.append(settlement_pb2.PreSettleRequest.FromString(data))
        await self._say("PreSettle", context, before=True)
        self.quoted.quote_id = str(uuid_utils.uuid7())
        return self.quoted.SerializeToString()

    async def settle(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # as above
        """Pay, unless it is reversed or told otherwise."""
        request = settlement_pb2.SettleRequest.FromString(data)
        self.heard.append(request)
        await self._say("Settle", context, before=True)
        if self.stands.setdefault(request.transaction_id, "paid") != "paid":
            await REVERSED.abort(context)
        await self._say("Settle", context)
        receipt = settlement_pb2.Receipt(
            receipt_id="R", transaction_id=request.transaction_id, self_pay=request.self_pay
        )
        return settlement_pb2.SettleResponse(receipt=receipt).SerializeToString()

    async def get(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # as above
        """Look it up."""
        request = settlement_pb2.GetSettlementRequest.FromString(data)
        await self._say("GetSettlement", context, before=True)
        if request.transaction_id not in self.stands:
            await NOT_FOUND.abort(context)
        state = STATES[self.stands[request.transaction_id]]
        return settlement_pb2.GetSettlementResponse(state=state).SerializeToString()

    async def reverse(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # as above
        """Make sure that it is not paid."""
        request = settlement_pb2.ReverseRequest.FromString(data)
        return await self._undone("Reverse", "reversed", request.settlement_transaction_id, context)

    async def cancel(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # as above
        """Undo it on request."""
        request = settlement_pb2.CancelRequest.FromString(data)
        return await self._undone("Cancel", "cancelled", request.settlement_transaction_id, context)

    async def _undone(self, method: str, state: str, transaction_id: str, context: Any) -> bytes:  # noqa: ANN401  # as above
        await self._say(method, context, before=True)
        self.stands[transaction_id] = state
        await self._say(method, context)
        return b""

    async def _say(self, method: str, context: Any, *, before: bool = False) -> None:  # noqa: ANN401  # as above
        waiting = self.says.get(method, [])
        if waiting and waiting[0].after_doing is not before:
            await waiting.pop(0).abort(context)


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A till, its journal, and the platform."""

    channel: grpc.aio.Channel
    journal: Journal
    heard: Heard
    desk: Desk

    async def takes(self, *orders: TillOrder) -> list[str]:
        """Work orders off; return the outcomes."""

        async def coming() -> AsyncIterator[TillOrder]:
            for order in orders:
                yield order

        till = Till(self.channel, self.journal, self.heard, at_once=1, new_id=new_transaction_id)
        await till.serve(coming())
        return [fields["outcome"] for name, fields in self.heard.events if name == "outcome"]

    @property
    def states(self) -> list[EntryState]:
        """What the journal says."""
        return [entry.state for entry in self.journal.entries()]


@asynccontextmanager
async def a_counter(folder: Path, desk: Desk | None = None) -> AsyncIterator[Counter]:
    desk = desk or Desk()
    handlers = {
        "PreSettle": desk.quote,
        "Settle": desk.settle,
        "GetSettlement": desk.get,
        "Reverse": desk.reverse,
        "Cancel": desk.cancel,
    }
    beside = {"shualian.terminal.v1.CredentialService": {"IssueCode": desk.code}}
    async with a_server("shualian.terminal.v1.SettlementService", handlers, beside=beside) as channel:
        yield Counter(channel=channel, journal=Journal(folder), heard=Heard(), desk=desk)


def an_order(then: Then = Then.KEEP, *, number: str = "B-1", **more: str) -> TillOrder:
    line = {"bill_number": number, "card_number": "TEST00000001", "pin": "274916", "total_fen": 8_320, "then": then}
    return order_from(json.dumps({**line, **more}))


def a_quote(*, self_pay_fen: int, pin_required: bool = False) -> settlement_pb2.PreSettleResponse:
    """Return a quote of which an electronic account could pay 3 yuan, and credit 2, with a PIN."""
    offers = (
        settlement_pb2.SelfPayOffer(channel=CASH, up_to_fen=self_pay_fen),
        settlement_pb2.SelfPayOffer(channel=ELECTRONIC, up_to_fen=min(300, self_pay_fen)),
        settlement_pb2.SelfPayOffer(channel=CREDIT, up_to_fen=min(200, self_pay_fen), pin_required=True),
    )
    shares = settlement_pb2.Shares(total_fen=8_320, self_pay_fen=self_pay_fen)
    return settlement_pb2.PreSettleResponse(shares=shares, self_pay_offers=offers, pin_required=pin_required)


async def test_each_order_has_one_outcome_and_what_follows_it_is_done(tmp_path: Path) -> None:
    orders = [an_order(then, number=f"B-{then}") for then in Then]
    async with a_counter(tmp_path) as counter:
        outcomes = await counter.takes(*orders)

    wanted = ["settled", "settled", "cancelled", "reversed", "reversed"]
    assert outcomes == wanted
    assert [state.value for state in counter.states] == wanted
    assert list(counter.desk.stands.values()) == ["paid", "paid", "cancelled", "reversed", "reversed"]
    assert counter.heard.the("repeated")["same_receipt"]


async def test_a_bill_that_is_not_quoted_is_never_asked_for(tmp_path: Path) -> None:
    refused = Says(code=grpc.StatusCode.FAILED_PRECONDITION, reason="PIN_LOCKED")
    async with a_counter(tmp_path, Desk(says={"PreSettle": [refused]})) as counter:
        assert await counter.takes(an_order()) == ["not_asked"]

    assert counter.states == []
    assert counter.heard.the("outcome")["reason"] == "PIN_LOCKED"


async def test_i05_what_stays_in_doubt_is_asked_about_again_and_has_its_outcome_late(tmp_path: Path) -> None:
    says = {"Settle": [PAID_THEN_BROKEN], "GetSettlement": [BROKEN]}
    async with a_counter(tmp_path, Desk(says=says)) as counter:
        outcomes = await counter.takes(an_order())

    assert outcomes == ["unknown", "settled"]
    assert counter.states == [EntryState.SETTLED]
    assert counter.heard.the("outcome")["late"]


@pytest.mark.parametrize(
    ("then", "method", "state", "end"),
    [
        (Then.CANCEL, "Cancel", EntryState.CANCELLING, "cancelled"),
        (Then.REVERSE, "Reverse", EntryState.REVERSING, "reversed"),
        (Then.OVERTAKE, "Reverse", EntryState.REVERSING, "reversed"),
    ],
)
async def test_i05_an_undoing_that_broke_off_is_finished_by_whoever_comes_next(
    tmp_path: Path, then: Then, method: str, state: EntryState, end: str
) -> None:
    says = {method: [BROKEN], "GetSettlement": [BROKEN]}
    async with a_counter(tmp_path, Desk(says=says)) as counter:
        outcomes = await counter.takes(an_order(then))
        left_as = counter.states
        left = await Cashier(counter.channel, Journal(tmp_path), counter.heard).resume()

    assert (outcomes, left_as) == (["unknown"], [state])
    assert left == []
    assert [found.value for found in counter.states] == list(counter.desk.stands.values()) == [end]


@pytest.mark.parametrize(
    ("wanted", "due", "paid"),
    [
        ("", 700, {}),
        ("electronic:1000", 700, {ELECTRONIC: 300, CASH: 400}),
        ("credit:150,electronic:1000", 700, {CREDIT: 150, ELECTRONIC: 300, CASH: 250}),
        ("electronic:1000,credit:1000", 400, {ELECTRONIC: 300, CREDIT: 100}),
        ("electronic:1000,electronic:1000", 700, {ELECTRONIC: 300, CASH: 400}),
        ("electronic:1000", 0, {}),
    ],
)
async def test_the_self_paid_part_is_paid_as_wanted_as_far_as_it_is_offered_and_the_rest_in_cash(
    tmp_path: Path, wanted: str, due: int, paid: dict[int, int]
) -> None:
    async with a_counter(tmp_path, Desk(quoted=a_quote(self_pay_fen=due))) as counter:
        assert await counter.takes(an_order(self_pay=wanted)) == ["settled"]

    asked = counter.desk.heard[-1]
    assert isinstance(asked, settlement_pb2.SettleRequest)
    assert {part.channel: part.amount_fen for part in asked.self_pay} == paid
    told = [counter.heard.the(name) for name in ("asking", "paid")]
    for fields in told:
        assert (fields["electronic_account_fen"], fields["credit_fen"]) == (
            paid.get(ELECTRONIC, 0),
            paid.get(CREDIT, 0),
        )


@pytest.mark.parametrize(
    ("self_pay", "pin_required", "pin"),
    [("", False, ""), ("", True, "274916"), ("electronic:300", False, ""), ("credit:100", False, "274916")],
)
async def test_a_code_is_made_for_the_bill_and_has_the_pin_beside_it_only_where_that_is_asked_for(
    tmp_path: Path, self_pay: str, pin: str, *, pin_required: bool
) -> None:
    desk = Desk(quoted=a_quote(self_pay_fen=700, pin_required=pin_required))
    async with a_counter(tmp_path, desk) as counter:
        assert await counter.takes(an_order(by=By.CODE, self_pay=self_pay)) == ["settled"]

    shown = [request.authorization.code for request in desk.heard]
    assert [code.code for code in shown] == ["code of TEST00000001"] * 2
    assert [code.pin for code in shown] == ["", pin]


async def test_a_relative_who_was_treated_is_named_in_the_quote_and_in_the_payment(tmp_path: Path) -> None:
    binding_id = str(uuid_utils.uuid7())
    async with a_counter(tmp_path) as counter:
        assert await counter.takes(an_order(binding_id=binding_id)) == ["settled"]

    assert [request.binding_id for request in counter.desk.heard] == [binding_id] * 2


async def test_a_cancellation_that_comes_too_late_leaves_the_bill_paid(tmp_path: Path) -> None:
    async with a_counter(tmp_path, Desk(says={"Cancel": [TOO_LATE]})) as counter:
        assert await counter.takes(an_order(Then.CANCEL)) == ["settled"]

    assert list(counter.desk.stands.values()) == ["paid"]


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[]",
        '{"bill_number": "B-1"}',
        '{"bill_number": "B-1", "card_number": "C", "pin": "274916", "total_fen": "much"}',
        '{"bill_number": "B-1", "card_number": "C", "pin": "274916", "total_fen": 5, "then": "dance"}',
        '{"bill_number": "B-1", "card_number": "C", "pin": "274916", "total_fen": 5, "business_type": 4}',
        '{"bill_number": "B-1", "card_number": "C", "pin": "274916", "total_fen": 5, "by": "face"}',
        '{"bill_number": "B-1", "card_number": "C", "pin": "274916", "total_fen": 5, "self_pay": "coin:274916"}',
        '{"bill_number": "B-1", "card_number": "C", "pin": "274916", "total_fen": 5, "self_pay": 7}',
    ],
)
def test_a_line_that_is_no_order_is_refused_and_not_repeated(line: str) -> None:
    with pytest.raises(InputError) as caught:
        order_from(line)

    assert "274916" not in str(caught.value)


def test_a_wrong_clock_dates_ids_wrongly_and_makes_each_once() -> None:
    make = ids_by_a_clock_off_by(timedelta(hours=-1), now_ns=lambda: 1_700_000_000_000_000_000)
    made = [uuid_utils.UUID(make()) for _ in range(50)]

    assert {identifier.int >> 80 for identifier in made} == {1_700_000_000_000 - 3_600_000}
    assert len(set(made)) == 50
