"""A doubt is never told as paid or as not paid: a cashier before a platform that breaks in every way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import uuid_utils

from mock_terminal.errors import OutcomeUnknownError, PlatformRefusedError
from mock_terminal.journal import EntryState, Journal
from mock_terminal.payment import Cashier, Order
from shualian.terminal.v1 import settlement_pb2, types_pb2
from tests.integration.mock_terminal.conftest import Heard, Says, a_server

NO = Says(code=grpc.StatusCode.FAILED_PRECONDITION, reason="QUOTE_EXPIRED")
BROKEN = Says(code=grpc.StatusCode.INTERNAL, reason="INTERNAL")
LOST = Says(code=grpc.StatusCode.UNAVAILABLE, after_doing=True)
REVOKED = Says(code=grpc.StatusCode.PERMISSION_DENIED, reason="TERMINAL_REVOKED")
NOT_FOUND = Says(code=grpc.StatusCode.NOT_FOUND, reason="SETTLEMENT_NOT_FOUND")
QUOTE = str(uuid_utils.uuid7())


@dataclass(kw_only=True)
class Books:
    """A platform's books in a dictionary, and what it says instead of answering."""

    says: dict[str, list[Says]] = field(default_factory=dict)
    paid: dict[str, settlement_pb2.Receipt] = field(default_factory=dict)
    reversed: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    async def settle(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # grpc's own, untyped
        """Pay, unless told otherwise."""
        request = settlement_pb2.SettleRequest.FromString(data)
        await self._say("Settle", context, before=True)
        receipt = settlement_pb2.Receipt(receipt_id="R", transaction_id=request.transaction_id)
        self.paid.setdefault(request.transaction_id, receipt)
        await self._say("Settle", context)
        return settlement_pb2.SettleResponse(receipt=receipt).SerializeToString()

    async def get(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # as above
        """Look it up."""
        request = settlement_pb2.GetSettlementRequest.FromString(data)
        await self._say("GetSettlement", context, before=True)
        receipt = self.paid.get(request.transaction_id)
        if receipt is None:
            await NOT_FOUND.abort(context)
        state = settlement_pb2.SETTLEMENT_STATE_SETTLED
        return settlement_pb2.GetSettlementResponse(state=state, receipt=receipt).SerializeToString()

    async def reverse(self, data: bytes, context: Any) -> bytes:  # noqa: ANN401  # as above
        """Undo it, or make sure it never is."""
        request = settlement_pb2.ReverseRequest.FromString(data)
        await self._say("Reverse", context, before=True)
        self.reversed.add(request.settlement_transaction_id)
        moved = self.paid.pop(request.settlement_transaction_id, None) is not None
        return settlement_pb2.ReverseResponse(money_moved_back=moved).SerializeToString()

    async def _say(self, method: str, context: Any, *, before: bool = False) -> None:  # noqa: ANN401  # as above
        if before:
            self.asked.append(method)
        waiting = self.says.get(method, [])
        if waiting and waiting[0].after_doing is not before:
            await waiting.pop(0).abort(context)


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A cashier, the journal it keeps, and the books at the other end."""

    cashier: Cashier
    journal: Journal
    books: Books
    heard: Heard

    @property
    def states(self) -> list[EntryState]:
        """What the journal says."""
        return [entry.state for entry in self.journal.entries()]


@asynccontextmanager
async def a_counter(folder: Path, books: Books) -> AsyncIterator[Counter]:
    handlers = {"Settle": books.settle, "GetSettlement": books.get, "Reverse": books.reverse}
    async with a_server("shualian.terminal.v1.SettlementService", handlers) as channel:
        heard, journal = Heard(), Journal(folder)
        yield Counter(cashier=Cashier(channel, journal, heard), journal=journal, books=books, heard=heard)


def an_order(transaction_id: str = "") -> Order:
    outpatient = types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT
    return Order(
        transaction_id=transaction_id or str(uuid_utils.uuid7()),
        bill=settlement_pb2.Bill(bill_number="B-1", business_type=outpatient, total_fen=8_320),
        authorization=settlement_pb2.Authorization(face=settlement_pb2.FaceAuthorization(assertion="A")),
    )


async def test_a_receipt_is_paid(tmp_path: Path) -> None:
    async with a_counter(tmp_path, Books()) as counter:
        receipt = await counter.cashier.settle(an_order(), QUOTE, repeat=True)

    assert receipt.receipt_id == "R"
    assert counter.states == [EntryState.SETTLED]
    assert counter.heard.the("repeated")["same_receipt"]


async def test_a_definite_no_is_not_paid_and_nobody_else_is_asked(tmp_path: Path) -> None:
    async with a_counter(tmp_path, Books(says={"Settle": [NO]})) as counter:
        with pytest.raises(PlatformRefusedError, match="QUOTE_EXPIRED"):
            await counter.cashier.settle(an_order(), QUOTE)

    assert counter.states == [EntryState.REFUSED]
    assert counter.books.asked == ["Settle"]


async def test_i05_a_lost_answer_is_asked_for_again_and_is_one_payment(tmp_path: Path) -> None:
    async with a_counter(tmp_path, Books(says={"Settle": [LOST]})) as counter:
        await counter.cashier.settle(an_order(), QUOTE)

    assert counter.states == [EntryState.SETTLED]
    assert counter.books.asked == ["Settle", "Settle"]


async def test_i05_a_broken_platform_is_asked_what_became_of_it(tmp_path: Path) -> None:
    paid_then_broken = Says(code=grpc.StatusCode.INTERNAL, reason="INTERNAL", after_doing=True)
    async with a_counter(tmp_path, Books(says={"Settle": [paid_then_broken]})) as counter:
        await counter.cashier.settle(an_order(), QUOTE)

    assert counter.books.asked == ["Settle", "GetSettlement"]
    assert counter.states == [EntryState.SETTLED]


async def test_i05_a_broken_platform_that_paid_nothing_is_made_to_never_pay(tmp_path: Path) -> None:
    order = an_order()
    async with a_counter(tmp_path, Books(says={"Settle": [BROKEN]})) as counter:
        with pytest.raises(PlatformRefusedError, match="INTERNAL"):
            await counter.cashier.settle(order, QUOTE)

    assert counter.books.reversed == {order.transaction_id}
    assert counter.states == [EntryState.REVERSED]


async def test_i05_a_no_after_a_lost_answer_is_no_proof_that_it_is_not_paid(tmp_path: Path) -> None:
    says = {"Settle": [LOST, REVOKED], "GetSettlement": [REVOKED]}
    async with a_counter(tmp_path, Books(says=says)) as counter:
        with pytest.raises(OutcomeUnknownError):
            await counter.cashier.settle(an_order(), QUOTE)

        assert counter.states == [EntryState.OPEN]
        assert await counter.cashier.resume() == []
    assert counter.states == [EntryState.SETTLED]
    assert "settled" in counter.heard.names


async def test_i05_a_no_to_the_reversal_leaves_it_open(tmp_path: Path) -> None:
    async with a_counter(tmp_path, Books(says={"Settle": [BROKEN], "Reverse": [BROKEN, BROKEN]})) as counter:
        with pytest.raises(OutcomeUnknownError):
            await counter.cashier.settle(an_order(), QUOTE)
        left = await counter.cashier.resume()

        assert [entry.state for entry in left] == [EntryState.OPEN]
        assert counter.heard.names == ["unresolved"]
        assert await counter.cashier.resume() == []
    assert counter.states == [EntryState.REVERSED]


async def test_what_cannot_be_written_down_is_not_told_as_paid(tmp_path: Path) -> None:
    order = an_order()
    async with a_counter(tmp_path, Books()) as counter:
        counter.journal.begin(transaction_id=order.transaction_id, bill_number="B-1", total_fen=1)
        (tmp_path / "journal.sqlite").write_bytes(b"a broken disk" * 100)

        with pytest.raises(OutcomeUnknownError):
            await counter.cashier.find_out(order.transaction_id)

    assert counter.heard.names == []


async def test_an_id_that_was_used_is_not_sent_again(tmp_path: Path) -> None:
    order = an_order()
    async with a_counter(tmp_path, Books()) as counter:
        await counter.cashier.settle(order, QUOTE)

        with pytest.raises(Exception, match="already"):
            await counter.cashier.settle(order, QUOTE)

    assert counter.books.asked == ["Settle"]


AGES_AGO = "01700000-0000-7000-8000-000000000001"
TOO_OLD = Says(code=grpc.StatusCode.INVALID_ARGUMENT, reason="TRANSACTION_ID_TIME")


async def test_what_never_arrived_and_is_too_old_to_be_taken_is_closed(tmp_path: Path) -> None:
    async with a_counter(tmp_path, Books(says={"Reverse": [TOO_OLD]})) as counter:
        counter.journal.begin(transaction_id=AGES_AGO, bill_number="B-1", total_fen=1)

        assert await counter.cashier.resume() == []
    assert counter.states == [EntryState.REFUSED]
    assert counter.heard.names == ["never_arrived"]


async def test_a_young_id_stays_open_when_the_clock_is_to_blame(tmp_path: Path) -> None:
    async with a_counter(tmp_path, Books(says={"Reverse": [TOO_OLD]})) as counter:
        counter.journal.begin(transaction_id=str(uuid_utils.uuid7()), bill_number="B-1", total_fen=1)

        assert len(await counter.cashier.resume()) == 1
    assert counter.states == [EntryState.OPEN]
