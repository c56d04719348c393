"""Whatever is taken, given back, repaid and approved in whatever order: no fen is lost and no limit is passed."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.settlement import Ledger
from server.settlement.errors import InsufficientFundError, SettlementError
from server.settlement.model import Intent, SelfPay, SelfPayKind, SettlementState
from server.settlement.quote import CHINA
from server.settlement.self_pay.books import misstated_credit
from server.settlement.self_pay.cash import Cash
from server.settlement.self_pay.channels import SelfPays
from server.settlement.self_pay.credit import CreditLines, credit_account
from server.settlement.self_pay.electronic_account import ElectronicAccount, electronic_account
from server.settlement.self_pay.errors import CreditLineUnknownError
from server.settlement.self_pay.policy import SelfPayPolicy
from server.settlement.store import SettlementRow
from tests.support.clock import Clock
from tests.support.database import SqliteDatabase
from tests.support.money import an_id

SITE = "01980000-0000-7000-8000-00000000b001"
FEN = st.integers(min_value=0, max_value=400)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pay"), FEN, FEN, FEN),
        st.tuples(st.just("undo"), FEN),
        st.tuples(st.just("top_up"), FEN),
        st.tuples(st.just("approve"), FEN),
        st.tuples(st.just("repay"), FEN),
        st.tuples(st.just("wait"), FEN),
    ),
    max_size=15,
)


class Walk:
    """One person, their money and their debts, and what a careful clerk would have written down."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.clock = connection, Clock()
        self.ledger = Ledger(now=self.clock.now)
        audit = AuditLog(now=self.clock.now)
        self.credit = CreditLines(
            ledger=self.ledger, audit=audit, now=self.clock.now, zone=CHINA, policy=SelfPayPolicy()
        )
        self.self_pays = SelfPays(Cash(), ElectronicAccount(ledger=self.ledger), self.credit)
        self.person_id = an_id(self.clock.now())
        self.standing: list[SettlementRow] = []
        self.put_in = self.repaid = self.limit = 0

    def pay(self, electronic: int, on_credit: int, cash: int) -> None:
        """Pay a bill of this much in all, if it can be paid."""
        total = electronic + on_credit + cash
        row = self._row(total)
        kinds = (
            (SelfPayKind.ELECTRONIC_ACCOUNT, electronic),
            (SelfPayKind.CREDIT, on_credit),
            (SelfPayKind.CASH, cash),
        )
        parts = tuple(SelfPay(kind=kind, amount_fen=fen) for kind, fen in kinds if fen)
        before = self._balances()
        try:
            with self.connection.begin_nested():
                self.self_pays.take(self.connection, row, parts, now=self.clock.now())
        except InsufficientFundError:
            assert electronic > before[0] or on_credit > before[1]
            assert self._balances() == before
            return
        except SettlementError:
            assert on_credit  # no line, or a debt is overdue
            assert self._balances() == before
            return
        paid = SettlementRow(
            **{
                **{name: getattr(row, name) for name in row.__slots__},
                "electronic_account_fen": electronic,
                "credit_fen": on_credit,
            }
        )
        assert sum(part.amount_fen for part in paid.self_pay) == total
        assert self._balances() == (before[0] - electronic, before[1] - on_credit)
        self.standing.append(paid)

    def undo(self, which: int) -> None:
        """Undo one of those that stand."""
        if self.standing:
            row = self.standing.pop(which % len(self.standing))
            self.self_pays.ended(self.connection, row, now=self.clock.now())

    def top_up(self, fen: int) -> None:
        """Put money into the electronic account."""
        if fen:
            reference = an_id(self.clock.now())
            self.ledger.fund(self.connection, electronic_account(self.person_id), amount_fen=fen, reference=reference)
            self.put_in += fen

    def approve(self, fen: int) -> None:
        """Approve another limit; below what is owed it stays as it was."""
        with suppress(SettlementError), self.connection.begin_nested():
            self.credit.approve(self.connection, self.person_id, limit_fen=fen, pay_within_days=30, actor="test")
            self.limit = fen

    def repay(self, fen: int) -> None:
        """Repay a part of what is owed, or a fen too much."""
        fen %= self._owed() + 2
        with suppress(SettlementError), self.connection.begin_nested():
            reference = an_id(self.clock.now())
            self.credit.repay(self.connection, self.person_id, amount_fen=fen, reference=reference, actor="test")
            self.repaid += fen

    def wait(self, days: int) -> None:
        """Let some days pass."""
        self.clock.advance(timedelta(days=days % 20))

    def check(self) -> None:
        """Compare the books with what the clerk knows."""
        electronic, available = self._balances()
        spent = sum(row.electronic_account_fen or 0 for row in self.standing)
        lent = sum(row.credit_fen or 0 for row in self.standing)
        owed = self._owed()
        assert electronic >= 0
        assert 0 <= owed <= self.limit
        assert available == self.limit - owed
        # What was put in or repaid is in the account, spent, or has repaid what is lent: nothing else happens to it.
        assert self.put_in + self.repaid == electronic + spent + (lent - owed)
        assert misstated_credit(self.connection) == ()
        assert self.ledger.verify(self.connection).is_sound

    def _balances(self) -> tuple[int, int]:
        return (
            self.ledger.balance(self.connection, electronic_account(self.person_id)),
            self.ledger.balance(self.connection, credit_account(self.person_id)),
        )

    def _owed(self) -> int:
        try:
            return self.credit.line(self.connection, self.person_id).owed_fen
        except CreditLineUnknownError:
            return 0

    def _row(self, total_fen: int) -> SettlementRow:
        return SettlementRow(
            transaction_id=an_id(self.clock.now()),
            terminal_id=SITE,
            state=SettlementState.SETTLED,
            intent=Intent.SETTLE,
            person_id=self.person_id,
            site_id=SITE,
            total_fen=total_fen,
            pooled_fund_fen=0,
            personal_account_fen=0,
            began_at=self.clock.now(),
        )


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_i06_no_walk_through_the_channels_makes_or_loses_money(
    sqlite_database: SqliteDatabase, steps: list[tuple[str, int]]
) -> None:
    with sqlite_database.engine.connect() as connection, connection.begin() as whole:
        walk = Walk(connection)
        for name, *arguments in (("top_up", 600), ("approve", 800), *steps):
            act: Callable[..., None] = getattr(walk, name)
            act(*arguments)
            walk.check()
        whole.rollback()
