"""A till where the self-paid part is paid: a desk, somebody with an electronic account and credit, an insurer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, text

from server.settlement import AccountKind, Bill, FaceAuthorization, Receipt
from server.settlement.books import SettlementsReport, verify_settlements
from server.settlement.model import SelfPay, SelfPayKind
from server.settlement.self_pay.electronic_account import electronic_account
from server.settlement.self_pay.policy import SelfPayPolicy
from tests.support.database import Database, forget_checks
from tests.support.insurer import RemoteInsurerInMemory
from tests.support.money import Money, a_bill, a_settlement_desk

LIMIT_FEN = 5_000


def paying(**amounts: int) -> tuple[SelfPay, ...]:
    """Return parts by channel."""
    return tuple(SelfPay(kind=SelfPayKind(name), amount_fen=fen) for name, fen in amounts.items())


@dataclass(slots=True, kw_only=True)
class Till:
    """A desk, one person with money and credit, and an insurer in house or far away."""

    money: Money
    remote: RemoteInsurerInMemory | None

    async def pay(
        self,
        bill: Bill,
        self_pay: tuple[SelfPay, ...],
        *,
        transaction_id: str = "",
        face: FaceAuthorization | None = None,
    ) -> Receipt:
        """Quote and pay by face."""
        face = face or await self.money.a_face()
        quote = await self.money.a_quote(bill, face)
        return await self.money.desk.settle(
            self.money.caller,
            transaction_id=transaction_id or self.money.an_id(),
            quote_id=quote.quote_id,
            bill=bill,
            authorization=face,
            self_pay=self_pay,
        )

    async def balances(self) -> tuple[int, int, int]:
        """Return what lies in the electronic account, what may still be owed, and what the site is owed."""
        person_id = self.money.person.person_id
        return (
            await self.money.balance(AccountKind.ELECTRONIC, person_id),
            await self.money.balance(AccountKind.CREDIT, person_id),
            await self.money.paid_to_site(),
        )

    async def undo(self, transaction_id: str) -> None:
        """Cancel it."""
        await self.money.desk.cancel(
            self.money.caller, transaction_id=self.money.an_id(), settlement_transaction_id=transaction_id
        )

    async def books(self, *harm: str) -> SettlementsReport:
        """Compare settlements and books, after doing them some harm."""

        def work(connection: Connection) -> SettlementsReport:
            forget_checks(connection)
            for statement in harm:
                connection.execute(text(statement))
            return verify_settlements(connection, is_in_house=self.remote is None)

        def undone(connection: Connection) -> SettlementsReport:
            with connection.begin_nested() as harmed:
                report = work(connection)
                harmed.rollback()
            return report

        return await self.money.unit_of_work.write(undone)

    async def repay(self, amount_fen: int, reference: str = "first") -> None:
        """Repay what is owed."""
        await self.money.unit_of_work.write(
            lambda connection: self.money.credit.repay(
                connection,
                self.money.person.person_id,
                amount_fen=amount_fen,
                reference=reference,
                actor="operator:test",
            )
        )


def furnish(money: Money, connection: Connection) -> None:
    """Put 30 yuan into the electronic account, and allow 50 of credit."""
    person_id = money.person.person_id
    money.ledger.fund(connection, electronic_account(person_id), amount_fen=3_000, reference="top-up")
    money.credit.approve(connection, person_id, limit_fen=LIMIT_FEN, pay_within_days=30, actor="operator:test")


@asynccontextmanager
async def a_till(database: Database, *, is_remote: bool) -> AsyncIterator[Till]:
    """Run a till before an insurer in house or far away, where credit asks for no PIN."""
    remote = RemoteInsurerInMemory() if is_remote else None
    policy = SelfPayPolicy(credit_needs_pin=False)
    async with a_settlement_desk(
        database.engine, insurer=remote, personal_account_fen=0, deductible_used=False, credit_policy=policy
    ) as money:
        await money.unit_of_work.write(lambda connection: furnish(money, connection))
        yield Till(money=money, remote=remote)


def a_bill_from_the_pocket(total_fen: int = 10_000) -> Bill:
    """Return a bill of which the insurance pays nothing."""
    return a_bill(total_fen=total_fen, not_covered_fen=total_fen)
