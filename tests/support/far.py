"""A desk whose insurer is far away, with one payment about to be made, and all that deals with its doubt."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from server.settlement import Bill, FaceAuthorization, Quote, Receipt, SettlementState
from server.settlement.closing import Doubts
from server.settlement.errors import OutcomeUnknownError
from server.settlement.quote import CHINA
from server.settlement.reconciliation.actions import ReconciliationItems
from server.settlement.reconciliation.items import Item
from server.settlement.reconciliation.runs import DayResult, Reconciliation, ReconciliationPolicy
from server.settlement.reconciliation.statements import Statements
from server.settlement.remote import Upstream
from server.store.unit_of_work import UnitOfWork
from tests.support.insurer import Fault, RemoteInsurerInMemory
from tests.support.money import PATIENCE, Money, a_bill, a_settlement_desk


@dataclass(slots=True, kw_only=True)
class Far:
    """A desk, its insurer far away, and one payment about to be made."""

    money: Money
    insurer: RemoteInsurerInMemory
    bill: Bill
    face: FaceAuthorization
    quote: Quote
    transaction_id: str
    patience: timedelta = PATIENCE
    """How long the operators' doors wait for the insurer."""

    async def settle(self) -> Receipt:
        """Pay; again is a repetition."""
        return await self.money.desk.settle(
            self.money.caller,
            transaction_id=self.transaction_id,
            quote_id=self.quote.quote_id,
            bill=self.bill,
            authorization=self.face,
        )

    async def settle_in_vain(self, fault: Fault = Fault.DROP_ANSWER) -> None:
        """Pay, and hear nothing."""
        self.insurer.fail_next("settle", fault)
        with suppress(OutcomeUnknownError):
            await self.settle()

    def loses_patience_soon(self) -> None:
        """Wait for the insurer only for a moment: for tests of an insurer that says nothing."""
        self.patience = timedelta(milliseconds=200)
        self.money.desk = self.money.another_desk(self.insurer, insurer_timeout=self.patience)

    async def another(self) -> "Far":
        """Return one more payment about to be made at the same desk."""
        bill, face = a_bill(), await self.money.a_face()
        quote = await self.money.a_quote(bill, face)
        return Far(
            money=self.money,
            insurer=self.insurer,
            bill=bill,
            face=face,
            quote=quote,
            transaction_id=self.money.an_id(),
        )

    async def state(self) -> SettlementState:
        """Return where the settlement stands."""
        return (await self.money.desk.get(self.money.caller, self.transaction_id)).state

    async def reverse(self) -> bool:
        """Reverse it; return whether money moved back."""
        reversal = await self.money.desk.reverse(
            self.money.caller, transaction_id=self.money.an_id(), settlement_transaction_id=self.transaction_id
        )
        return reversal.money_moved_back

    def upstream(self, unit_of_work: UnitOfWork | None = None) -> Upstream:
        """Return a line to the insurer of its own, as another process has one."""
        return Upstream(
            unit_of_work=unit_of_work or self.money.unit_of_work,
            now=self.money.clock.now,
            insurer=self.insurer,
            audit=self.money.audit,
            self_pays=self.money.self_pays,
            timeout=self.patience,
            retry_after=timedelta(seconds=2),
        )

    @property
    def doubts(self) -> Doubts:
        """The operators' door."""
        return Doubts(
            unit_of_work=self.money.unit_of_work,
            now=self.money.clock.now,
            audit=self.money.audit,
            self_pays=self.money.self_pays,
            upstream=self.upstream(),
        )

    @property
    def items(self) -> ReconciliationItems:
        """The operators' door to differences."""
        return ReconciliationItems(
            unit_of_work=self.money.unit_of_work,
            now=self.money.clock.now,
            zone=CHINA,
            audit=self.money.audit,
            upstream=self.upstream(),
        )

    async def the_item(self) -> Item:
        """Return the one difference that is open."""
        (item,) = await self.items.listed()
        return item

    def reconciliation(
        self,
        *,
        unit_of_work: UnitOfWork | None = None,
        told: list[DayResult] | None = None,
        policy: ReconciliationPolicy | None = None,
        statements: Statements | None = None,
    ) -> Reconciliation:
        """Return the reconciliation of one replica."""
        return Reconciliation(
            unit_of_work=unit_of_work or self.money.unit_of_work,
            now=self.money.clock.now,
            zone=CHINA,
            statements=statements or self.insurer.statements,
            upstream=self.upstream(unit_of_work),
            audit=self.money.audit,
            policy=policy or ReconciliationPolicy(),
            on_day=(lambda _: None) if told is None else told.append,
        )


@asynccontextmanager
async def a_far_desk(engine: Engine) -> AsyncIterator[Far]:
    """Run a desk before a remote insurer."""
    insurer = RemoteInsurerInMemory()
    async with a_settlement_desk(engine, insurer=insurer) as money:
        bill, face = a_bill(), await money.a_face()
        quote = await money.a_quote(bill, face)
        yield Far(money=money, insurer=insurer, bill=bill, face=face, quote=quote, transaction_id=money.an_id())
