"""A small insurer of its own, in memory: keeps books elsewhere, and misbehaves when told to."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import date
from enum import Enum, auto
from typing import Literal

from server.settlement.errors import InsurerRefusedError
from server.settlement.insurers import Booking, Claim, Entitlement
from server.settlement.model import Quotation, Shares
from server.settlement.reconciliation.statements import Difference, DifferenceClass, StatementLine, StatementTotal

OPENING_BALANCE_FEN = 100_000


class Fault(Enum):
    """What can go wrong with one call."""

    DOWN = auto()
    """The call never arrives."""
    DROP_ANSWER = auto()
    """The call is carried out, its answer gets lost."""
    REFUSE = auto()
    """The insurer says no."""
    HANG = auto()
    """The call never arrives and never ends."""


class InsurerLineError(Exception):
    """The line to the insurer broke."""


class RemoteInsurerInMemory:
    """Pays half of what is covered from the pooled fund; remembers reversed ids for ever, as the port demands."""

    def __init__(self) -> None:
        self.booked: dict[str, Shares] = {}
        self.reversed_ids: set[str] = set()
        self.calls: list[str] = []
        self.entitlements: list[Entitlement | None] = []
        """What each quote and settle came with."""
        self.days_asked: list[date] = []
        self.only_on: dict[str, date] = {}
        """Bookings that stand on the statement of one day alone; all others on every one."""
        self.late_in_statements: set[str] = set()
        """Bookings that no statement has yet."""
        self.totals_are_wrong = False
        self.gate: asyncio.Event | None = None
        """When set, a settle waits for it before it is carried out."""
        self.settle_arrived = asyncio.Event()
        """Set with the first settle that arrives."""
        self._faults: dict[str, deque[Fault]] = {}

    @property
    def is_in_house(self) -> Literal[False]:
        """Books elsewhere."""
        return False

    @property
    def statements(self) -> "RemoteInsurerInMemory":
        """Its own."""
        return self

    def fail_next(self, call: str, *faults: Fault) -> None:
        """Let the next calls of one kind go wrong, in this order."""
        self._faults.setdefault(call, deque()).extend(faults)

    def moved_fen(self) -> int:
        """Return what the insurer has paid in all, by its own books."""
        return sum(shares.pooled_fund_fen + shares.personal_account_fen for shares in self.booked.values())

    async def quote(self, claim: Claim) -> Quotation:
        """Half of what is covered, the rest from the pocket."""
        self.entitlements.append(claim.entitlement)
        fault = await self._meet("quote")
        fund = (claim.bill.total_fen - claim.bill.not_covered_fen) // 2
        self._lose_answer(fault)
        shares = Shares(
            total_fen=claim.bill.total_fen,
            pooled_fund_fen=fund,
            personal_account_fen=0,
            self_pay_fen=claim.bill.total_fen - fund,
        )
        return Quotation(shares=shares)

    async def settle(self, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:
        """Book once per id, unless the id was reversed."""
        self.entitlements.append(claim.entitlement)
        fault = await self._meet("settle")
        self.settle_arrived.set()
        if self.gate is not None:
            await self.gate.wait()
        if transaction_id in self.reversed_ids:
            raise InsurerRefusedError(code="REVERSED")
        self.booked.setdefault(transaction_id, quoted)
        self._lose_answer(fault)
        return self._booking()

    async def query(self, transaction_id: str) -> Booking | None:
        """Say what is booked."""
        fault = await self._meet("query")
        self._lose_answer(fault)
        return self._booking() if transaction_id in self.booked else None

    async def cancel(self, transaction_id: str) -> None:
        """Take a booking back."""
        fault = await self._meet("cancel")
        self.booked.pop(transaction_id, None)
        self._lose_answer(fault)

    async def reverse(self, transaction_id: str) -> bool:
        """Take a booking back and never book under this id again."""
        fault = await self._meet("reverse")
        had_moved = self.booked.pop(transaction_id, None) is not None
        self.reversed_ids.add(transaction_id)
        self._lose_answer(fault)
        return had_moved

    async def totals_agree(self, day: date, ours: Sequence[StatementTotal]) -> bool:
        """Compare in two numbers."""
        fault = await self._meet("totals")
        self.days_asked.append(day)
        self._lose_answer(fault)
        shares = self._stated(day).values()
        theirs = (len(shares), sum(each.pooled_fund_fen + each.personal_account_fen for each in shares))
        return not self.totals_are_wrong and theirs == (
            sum(total.settlements for total in ours),
            sum(total.pooled_fund_fen + total.personal_account_fen for total in ours),
        )

    async def differences(self, day: date, ours: Sequence[StatementLine]) -> Sequence[Difference]:
        """Compare one by one."""
        fault = await self._meet("details")
        self._lose_answer(fault)
        lines = {line.transaction_id: line for line in ours}
        stated = self._stated(day)
        names = sorted(lines.keys() | stated.keys())
        found = [self._difference(name, lines.get(name), stated.get(name)) for name in names]
        return [difference for difference in found if difference is not None]

    def _stated(self, day: date) -> dict[str, Shares]:
        return {
            name: shares
            for name, shares in self.booked.items()
            if name not in self.late_in_statements and self.only_on.get(name, day) == day
        }

    @staticmethod
    def _difference(transaction_id: str, line: StatementLine | None, shares: Shares | None) -> Difference | None:
        theirs = None if shares is None else shares.pooled_fund_fen + shares.personal_account_fen
        stands = line is not None and line.stands
        ours = None if line is None else line.insured_fen if stands else 0
        match stands, theirs:
            case (True, None):
                kind = DifferenceClass.OURS_ONLY
            case (True, _) if theirs != ours:
                kind = DifferenceClass.AMOUNT
            case (False, int()):
                kind = DifferenceClass.THEIRS_ONLY if line is None else DifferenceClass.STATE
            case _:
                return None
        return Difference(difference_class=kind, transaction_id=transaction_id, ours_fen=ours, theirs_fen=theirs)

    def _booking(self) -> Booking:
        return Booking(personal_account_balance_fen=OPENING_BALANCE_FEN)

    async def _meet(self, call: str) -> Fault | None:
        self.calls.append(call)
        waiting = self._faults.get(call)
        fault = waiting.popleft() if waiting else None
        if fault is Fault.DOWN:
            raise InsurerLineError
        if fault is Fault.REFUSE:
            raise InsurerRefusedError(code="NO_COVER")
        if fault is Fault.HANG:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        return fault

    @staticmethod
    def _lose_answer(fault: Fault | None) -> None:
        if fault is Fault.DROP_ANSWER:
            raise InsurerLineError
