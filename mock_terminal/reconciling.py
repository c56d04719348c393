"""Is the platform's day this terminal's day? Totals first; where they differ, transaction by transaction.

What the journal has open and the platform has ended is ended here too. Everything else that differs is told and left
to a person: a journal that corrects itself by whatever it hears proves nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

import uuid_utils
from grpc import aio

from mock_terminal.client import CALL_SECONDS_MAX, call
from mock_terminal.journal import Entry, EntryState, Journal
from mock_terminal.report import Reporter
from shualian.terminal.v1 import settlement_pb2, settlement_pb2_grpc

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAID: Final = settlement_pb2.SETTLEMENT_STATE_SETTLED
_UNDONE: Final = {
    settlement_pb2.SETTLEMENT_STATE_REVERSED: EntryState.REVERSED,
    settlement_pb2.SETTLEMENT_STATE_CANCELLED: EntryState.CANCELLED,
}
_IN_DOUBT: Final = frozenset({settlement_pb2.SETTLEMENT_STATE_PENDING, settlement_pb2.SETTLEMENT_STATE_UNKNOWN})


class Finding(StrEnum):
    """How one transaction differs."""

    UNKNOWN_HERE = "unknown_here"
    """The platform has it paid, the journal never heard of it."""
    UNKNOWN_THERE = "unknown_there"
    """The journal has it paid on that day, the platform has not."""
    AMOUNT = "amount"
    """Both have it paid, with other totals."""
    PAID_THERE = "paid_there"
    """The platform has it paid, the journal has it undone or refused."""
    UNDONE_THERE = "undone_there"
    """The journal has it paid, the platform has it undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How a day compares in the end."""

    agrees: bool
    repaired: int
    """Transactions that were open here and are ended now."""
    findings: int
    """Differences that are left to a person."""
    unfinished: int
    """Transactions of the journal, of any day, whose outcome is still open; `resume` goes on with them."""


class Reconciler:
    """Compares days."""

    def __init__(self, channel: aio.Channel, journal: Journal, report: Reporter, *, zone: tzinfo) -> None:
        """Take the platform, the journal, who is told, and the zone of the platform's calendar."""
        self._stub: Final = settlement_pb2_grpc.SettlementServiceStub(channel)
        self._journal: Final = journal
        self._report: Final = report
        self._zone: Final = zone

    async def compare(self, day: date) -> Compared:
        """Compare one day and repair what can be; a repair is checked by comparing again.

        Raises:
            PlatformRefusedError, UnreachableError: nothing is known.
        """
        compared, items = await self._ask(day)
        repaired, findings = 0, 0
        if not compared.agrees:
            repaired = sum([self._repair(item) for item in items])
            findings = self._tell_differences(day, items)
            if repaired:
                compared, _ = await self._ask(day)
        unfinished = len(self._journal.unfinished())
        totals = compared.platform
        self._report.event(
            "compared",
            day=day.isoformat(),
            agrees=compared.agrees,
            settlements=totals.settlements,
            total_fen=totals.total_fen,
            repaired=repaired,
            findings=findings,
            unfinished=unfinished,
        )
        return Compared(agrees=compared.agrees, repaired=repaired, findings=findings, unfinished=unfinished)

    async def _ask(self, day: date) -> tuple[settlement_pb2.DayCompared, Sequence[settlement_pb2.DayItem]]:
        paid = [entry for entry in self._journal.entries() if self._is_paid_on(entry, day)]
        request = settlement_pb2.ReconcileRequest(
            day=day.isoformat(),
            totals=settlement_pb2.DayTotals(settlements=len(paid), total_fen=sum(entry.total_fen for entry in paid)),
        )

        async def read() -> tuple[settlement_pb2.DayCompared, Sequence[settlement_pb2.DayItem]]:
            compared, items = settlement_pb2.DayCompared(), []
            async for part in self._stub.Reconcile(request, timeout=CALL_SECONDS_MAX):
                if part.WhichOneof("part") == "compared":
                    compared = part.compared
                else:
                    items.append(part.item)
            return compared, items

        return await call(read)

    def _repair(self, item: settlement_pb2.DayItem) -> bool:
        """End what is open here and ended there; return whether there was something to end."""
        entry = self._journal.entry(item.transaction_id)
        if entry is None or entry.state is not EntryState.OPEN or entry.total_fen != item.total_fen:
            return False
        if item.state == _PAID:
            self._journal.end(entry.transaction_id, EntryState.SETTLED, settled_at=_moment(item))
        elif item.state in _UNDONE:
            self._journal.end(entry.transaction_id, _UNDONE[item.state])
        else:
            return False
        now = self._journal.entry(entry.transaction_id)
        self._report.event(
            "repaired", transaction_id=entry.transaction_id, state=None if now is None else now.state.value
        )
        return True

    def _tell_differences(self, day: date, items: Sequence[settlement_pb2.DayItem]) -> int:
        entries = {entry.transaction_id: entry for entry in self._journal.entries()}
        told = 0
        for item in items:
            finding = _finding(item, entries.get(item.transaction_id))
            if finding is not None:
                told += 1
                self._report.event(
                    "difference", finding=finding.value, transaction_id=item.transaction_id, total_fen=item.total_fen
                )
        there = {item.transaction_id for item in items}
        for entry in entries.values():
            if entry.transaction_id not in there and self._is_paid_on(entry, day):
                told += 1
                self._report.event(
                    "difference",
                    finding=Finding.UNKNOWN_THERE.value,
                    transaction_id=entry.transaction_id,
                    total_fen=entry.total_fen,
                )
        return told

    def _is_paid_on(self, entry: Entry, day: date) -> bool:
        """Return whether the journal has it paid on a day, and not undone or about to be."""
        if entry.state is not EntryState.SETTLED:
            return False
        settled_at = entry.settled_at or made_at(entry.transaction_id)
        return settled_at.astimezone(self._zone).date() == day


def made_at(transaction_id: str) -> datetime:
    """Return when a UUIDv7 was made: the best guess for an entry of a journal that did not keep the moment."""
    return _EPOCH + timedelta(milliseconds=uuid_utils.UUID(transaction_id).timestamp)


def _finding(item: settlement_pb2.DayItem, entry: Entry | None) -> Finding | None:
    """Return what a person should look at; what is still open on either side is the business of `resume`."""
    if item.state in _IN_DOUBT or (entry is not None and entry.is_unfinished):
        return None
    if item.state == _PAID:
        if entry is None:
            return Finding.UNKNOWN_HERE
        if entry.state is not EntryState.SETTLED:
            return Finding.PAID_THERE
        return Finding.AMOUNT if entry.total_fen != item.total_fen else None
    return Finding.UNDONE_THERE if entry is not None and entry.state is EntryState.SETTLED else None


def _moment(item: settlement_pb2.DayItem) -> datetime | None:
    return item.settled_at.ToDatetime(tzinfo=UTC) if item.HasField("settled_at") else None
