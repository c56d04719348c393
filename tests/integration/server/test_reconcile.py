"""A terminal compares its day with the platform's, over real mTLS."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
import uuid_utils

from mock_terminal.journal import EntryState, Journal
from mock_terminal.reconciling import Reconciler
from mock_terminal.report import Reporter
from server.settlement.ledger import Account, AccountKind
from server.settlement.quote import CHINA
from server.settlement.reconciliation.days import day_of
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc, types_pb2
from tests.support.platform import EnrolledTerminal, RunningPlatform, a_platform, an_enrolled_terminal
from tests.support.visitors import CARD_NUMBER, LIN, PIN, insured

CARD = settlement_pb2.Authorization(card=settlement_pb2.CardAuthorization(card_number=CARD_NUMBER, pin=PIN))


@pytest.fixture
async def running() -> AsyncIterator[RunningPlatform]:
    async with a_platform() as platform:
        fund = Account(kind=AccountKind.POOLED_FUND, owner="330100")
        await platform.write(
            lambda connection: platform.platform.domain.ledger.fund(
                connection, fund, amount_fen=100_000_000, reference="test"
            )
        )
        await insured(platform, LIN)
        yield platform


async def paid(channel: grpc.aio.Channel, total_fen: int) -> str:
    """Pay one bill and return its transaction id."""
    stub = settlement_pb2_grpc.SettlementServiceStub(channel)
    bill = settlement_pb2.Bill(
        bill_number="B-1", business_type=types_pb2.BUSINESS_TYPE_OUTPATIENT_SETTLEMENT, total_fen=total_fen
    )
    quote = await stub.PreSettle(settlement_pb2.PreSettleRequest(bill=bill, authorization=CARD))
    transaction_id = str(uuid_utils.uuid7())
    await stub.Settle(
        settlement_pb2.SettleRequest(
            transaction_id=transaction_id, quote_id=quote.quote_id, bill=bill, authorization=CARD
        )
    )
    return transaction_id


async def compared(
    terminal: EnrolledTerminal, day: str, *, settlements: int, total_fen: int
) -> list[settlement_pb2.ReconcileResponse]:
    """Compare a day and return all that the platform says."""
    totals = settlement_pb2.DayTotals(settlements=settlements, total_fen=total_fen)
    async with terminal.channel() as channel:
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        return [answer async for answer in stub.Reconcile(settlement_pb2.ReconcileRequest(day=day, totals=totals))]


def today(running: RunningPlatform, *, ago: timedelta = timedelta()) -> str:
    """Return the platform's day."""
    return day_of(running.platform.domain.now() - ago, CHINA).isoformat()


async def test_a_day_that_agrees_is_one_message_and_one_that_differs_names_every_settlement(
    running: RunningPlatform,
) -> None:
    terminal, other = await an_enrolled_terminal(running), await an_enrolled_terminal(running, serial_number="SL-0002")
    async with terminal.channel() as channel:
        kept, cancelled = await paid(channel, 12_000), await paid(channel, 5_000)
        stub = settlement_pb2_grpc.SettlementServiceStub(channel)
        await stub.Cancel(
            settlement_pb2.CancelRequest(transaction_id=str(uuid_utils.uuid7()), settlement_transaction_id=cancelled)
        )
    day = today(running)

    (agreed,) = await compared(terminal, day, settlements=1, total_fen=12_000)
    first, *items = await compared(terminal, day, settlements=2, total_fen=17_000)
    (nothing,) = await compared(terminal, today(running, ago=timedelta(days=1)), settlements=0, total_fen=0)
    (not_mine,) = await compared(other, day, settlements=0, total_fen=0)

    assert agreed.compared.agrees
    assert nothing.compared.agrees
    assert not_mine.compared.agrees  # I1: another terminal's are not there
    assert not first.compared.agrees
    assert first.compared.platform == settlement_pb2.DayTotals(settlements=1, total_fen=12_000)
    assert [(answer.item.transaction_id, answer.item.state, answer.item.total_fen) for answer in items] == [
        (kept, settlement_pb2.SETTLEMENT_STATE_SETTLED, 12_000),
        (cancelled, settlement_pb2.SETTLEMENT_STATE_CANCELLED, 5_000),
    ]
    assert all(answer.item.HasField("settled_at") for answer in items)
    assert running.counted("terminal_days_total", outcome="AGREES") == 3
    assert running.counted("terminal_days_total", outcome="DIFFERS") == 1


async def test_a_terminal_ends_what_it_has_open_and_tells_what_else_differs(running: RunningPlatform) -> None:
    terminal, report = await an_enrolled_terminal(running), Recorder()
    with TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        async with terminal.channel() as channel:
            heard, lost, unheard = [await paid(channel, total) for total in (12_000, 5_000, 700)]
            for transaction_id, total in ((heard, 12_000), (lost, 5_000)):
                journal.begin(transaction_id=transaction_id, bill_number="B-1", total_fen=total)
            journal.end(heard, EntryState.SETTLED, settled_at=running.platform.domain.now())
            reconciler = Reconciler(channel, journal, report, zone=CHINA)
            day = day_of(running.platform.domain.now(), CHINA)

            first = await reconciler.compare(day)
            journal.begin(transaction_id=unheard, bill_number="B-1", total_fen=700)
            second = await reconciler.compare(day)
        ended = {entry.transaction_id: entry for entry in journal.entries()}

    assert (first.agrees, first.repaired, first.findings) == (False, 1, 1)
    assert report.the("difference") == {"finding": "unknown_here", "transaction_id": unheard, "total_fen": 700}
    assert (second.agrees, second.repaired, second.findings, second.unfinished) == (True, 1, 0, 0)
    assert {entry.state for entry in ended.values()} == {EntryState.SETTLED}
    assert ended[lost].settled_at is not None


class Recorder(Reporter):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, name: str, **fields: object) -> None:
        """Remember it."""
        self.events.append((name, fields))

    def the(self, name: str) -> dict[str, object]:
        """Return the one event of that name."""
        (found,) = [fields for each, fields in self.events if each == name]
        return found
