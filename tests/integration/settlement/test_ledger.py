"""The books: zero sums, no guarded balance below zero, and a walk that finds what was changed behind their back."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError

from server.settlement import Account, AccountKind, Ledger
from server.settlement.errors import (
    AccountUnknownError,
    ContributionInvalidError,
    InsufficientFundError,
    PostingRepeatedError,
    PostingUnbalancedError,
)
from server.settlement.ledger import CONTRIBUTION_FEN_MAX
from tests.support.clock import Clock
from tests.support.database import Database, a_database, forget_checks

FUND = Account(AccountKind.POOLED_FUND, "330100")
PERSON = Account(AccountKind.PERSON, "p")
SITE = Account(AccountKind.SITE, "s")


@pytest.fixture
def ledger() -> Ledger:
    """Return the books."""
    return Ledger(now=Clock().now)


@pytest.fixture
def connection(database: Database, ledger: Ledger) -> Iterator[Connection]:
    """Return a connection to books with 100 fen in the fund and 10 in a personal account."""
    with database.engine.connect() as opened:
        ledger.open_accounts(opened, (FUND, PERSON, SITE))
        ledger.fund(opened, FUND, amount_fen=100, reference="fund")
        ledger.fund(opened, PERSON, amount_fen=10, reference="person")
        yield opened


def balances(connection: Connection, ledger: Ledger) -> list[int]:
    """Return fund, person, site."""
    return [ledger.balance(connection, account) for account in (FUND, PERSON, SITE)]


def test_a_posting_moves_money_and_undoing_it_moves_exactly_that_back(connection: Connection, ledger: Ledger) -> None:
    ledger.post(connection, "settle:1", {FUND.account_id: -70, PERSON.account_id: -10, SITE.account_id: 80})
    moved = balances(connection, ledger)
    ledger.undo(connection, "settle:1", undone_by="undo:1")
    ledger.undo(connection, "settle:never", undone_by="undo:never")

    assert moved == [30, 0, 80]
    assert balances(connection, ledger) == [100, 10, 0]
    report = ledger.verify(connection)
    assert report.is_sound
    assert (report.transactions, report.entries) == (4, 10)


def test_zero_amounts_are_left_out_of_the_books(connection: Connection, ledger: Ledger) -> None:
    ledger.post(connection, "settle:1", {FUND.account_id: -1, PERSON.account_id: 0, SITE.account_id: 1})

    assert ledger.verify(connection).entries == 6


@pytest.mark.parametrize(
    "amounts", [{}, {"fund:330100": 0}, {"fund:330100": -1}, {"fund:330100": -2, "site:s": 1}, {"site:s": 5}]
)
def test_i06_a_posting_that_does_not_sum_to_zero_is_refused(
    connection: Connection, ledger: Ledger, amounts: dict[str, int]
) -> None:
    with pytest.raises(PostingUnbalancedError):
        ledger.post(connection, "settle:1", amounts)


def test_i06_no_guarded_account_pays_more_than_it_holds(connection: Connection, ledger: Ledger) -> None:
    for amounts, kind in (
        ({FUND.account_id: -101, SITE.account_id: 101}, AccountKind.POOLED_FUND),
        ({FUND.account_id: -50, PERSON.account_id: -11, SITE.account_id: 61}, AccountKind.PERSON),
        ({SITE.account_id: -1, FUND.account_id: 1}, AccountKind.SITE),
    ):
        attempt = connection.begin_nested()
        with pytest.raises(InsufficientFundError) as refused:
            ledger.post(connection, "settle:1", amounts)
        attempt.rollback()
        assert refused.value.account_kind == kind
    assert balances(connection, ledger) == [100, 10, 0]


def test_an_account_that_was_never_opened_is_named(connection: Connection, ledger: Ledger) -> None:
    with pytest.raises(AccountUnknownError) as refused:
        ledger.post(connection, "settle:1", {FUND.account_id: -1, "site:nowhere": 1})

    assert refused.value.account_id == "site:nowhere"
    assert ledger.balance(connection, Account(AccountKind.SITE, "nowhere")) == 0


def test_the_same_posting_cannot_be_booked_twice(connection: Connection, ledger: Ledger) -> None:
    ledger.post(connection, "settle:1", {FUND.account_id: -1, SITE.account_id: 1})

    with pytest.raises(IntegrityError):
        ledger.post(connection, "settle:1", {FUND.account_id: -1, SITE.account_id: 1})


def test_a_contribution_is_positive_and_booked_once(connection: Connection, ledger: Ledger) -> None:
    for amount_fen in (-1, 0, CONTRIBUTION_FEN_MAX + 1):
        with pytest.raises(ContributionInvalidError):
            ledger.fund(connection, FUND, amount_fen=amount_fen, reference="nothing")
    ledger.fund(connection, FUND, amount_fen=CONTRIBUTION_FEN_MAX, reference="the largest")
    with pytest.raises(PostingRepeatedError):
        ledger.fund(connection, FUND, amount_fen=1, reference="fund")


@pytest.mark.parametrize(
    ("harm", "finding"),
    [
        (
            "UPDATE ledger_entries SET amount_fen = 101 WHERE posting_id = 'fund:fund' AND amount_fen = 100",
            "unbalanced",
        ),
        ("DELETE FROM ledger_entries WHERE posting_id = 'fund:person'", "unbalanced"),
        ("UPDATE accounts SET balance_fen = 99 WHERE account_id = 'fund:330100'", "drifted"),
    ],
)
def test_i06_verification_finds_what_was_changed(
    connection: Connection, ledger: Ledger, harm: str, finding: str
) -> None:
    connection.exec_driver_sql(harm)

    report = ledger.verify(connection)

    assert not report.is_sound
    assert getattr(report, finding)


def test_i06_the_database_itself_refuses_a_guarded_balance_below_zero(connection: Connection, ledger: Ledger) -> None:
    with pytest.raises(IntegrityError), connection.begin_nested():
        connection.exec_driver_sql("UPDATE accounts SET balance_fen = -1 WHERE account_id = 'site:s'")
    forget_checks(connection)
    connection.exec_driver_sql("UPDATE accounts SET balance_fen = -1 WHERE account_id = 'site:s'")

    assert ledger.verify(connection).negative == ("site:s",)


def test_i06_a_balance_past_64_bits_is_refused_and_never_becomes_a_float(connection: Connection) -> None:
    with pytest.raises((IntegrityError, DataError)):  # PostgreSQL: or "out of range", whichever row comes first
        connection.exec_driver_sql("UPDATE accounts SET balance_fen = balance_fen + 9223372036854775807")


def test_i06_only_the_one_account_outside_may_be_below_zero_whatever_an_account_calls_itself(
    connection: Connection, ledger: Ledger
) -> None:
    connection.exec_driver_sql("UPDATE accounts SET kind = 'outside' WHERE account_id = 'site:s'")
    with pytest.raises(InsufficientFundError):
        ledger.post(connection, "settle:1", {SITE.account_id: -1, FUND.account_id: 1})
    forget_checks(connection)
    connection.exec_driver_sql("UPDATE accounts SET balance_fen = -1 WHERE account_id = 'site:s'")

    assert ledger.verify(connection).negative == ("site:s",)


ACCOUNTS = [
    Account(kind, owner)
    for kind, owner in (
        (AccountKind.POOLED_FUND, "a"),
        (AccountKind.POOLED_FUND, "b"),
        (AccountKind.PERSON, "c"),
        (AccountKind.SITE, "d"),
    )
]


class Books(RuleBasedStateMachine):
    """Posts at random, and compares with a model that is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._engine = a_database(Path(self._folder.name))
        self._connection = self._engine.connect()
        self._ledger = Ledger(now=Clock().now)
        self._model = {account.account_id: 0 for account in ACCOUNTS}
        self._posted: list[dict[str, int]] = []
        self._undone: set[int] = set()
        self._contributions = 0

    @initialize()
    def open_accounts(self) -> None:
        """Open them twice: the second time changes nothing."""
        for _ in range(2):
            self._ledger.open_accounts(self._connection, ACCOUNTS)

    @rule(account=st.sampled_from(ACCOUNTS), fen=st.integers(1, 1_000))
    def fund(self, account: Account, fen: int) -> None:
        """Money comes in."""
        self._contributions += 1
        self._ledger.fund(self._connection, account, amount_fen=fen, reference=str(self._contributions))
        self._model[account.account_id] += fen

    @rule(amounts=st.lists(st.integers(-800, 800), min_size=3, max_size=3))
    def post(self, amounts: list[int]) -> None:
        """Money moves between four accounts, or is refused and nothing moves."""
        moves = dict(zip(self._model, (*amounts, -sum(amounts)), strict=True))
        if any(moves.values()) and self._try(f"settle:{len(self._posted)}", moves):
            self._posted.append(moves)

    @rule(choice=st.integers(0, 1_000))
    def undo(self, choice: int) -> None:
        """One of the postings is undone, once, if the money is still there."""
        waiting = [n for n in range(len(self._posted)) if n not in self._undone]
        if not waiting:
            return
        number = waiting[choice % len(waiting)]
        moves = {account: -fen for account, fen in self._posted[number].items()}
        before = self._connection.begin_nested()
        try:
            self._ledger.undo(self._connection, f"settle:{number}", undone_by=f"undo:{number}")
        except InsufficientFundError:
            before.rollback()
            assert self._would_be_negative(moves)
            return
        before.commit()
        self._undone.add(number)
        self._apply(moves)

    @invariant()
    def i06_books_are_sound_and_as_the_model(self) -> None:
        """Sums are zero, nothing guarded is negative, balances are what they should be."""
        report = self._ledger.verify(self._connection)
        assert report.is_sound, report
        found = {account.account_id: self._ledger.balance(self._connection, account) for account in ACCOUNTS}
        assert found == self._model
        assert min(found.values()) >= 0

    def teardown(self) -> None:
        """Close and remove."""
        self._connection.close()
        self._engine.dispose()
        self._folder.cleanup()

    def _try(self, posting_id: str, moves: dict[str, int]) -> bool:
        before = self._connection.begin_nested()
        try:
            self._ledger.post(self._connection, posting_id, moves)
        except InsufficientFundError:
            before.rollback()
            assert self._would_be_negative(moves)
            return False
        before.commit()
        self._apply(moves)
        return True

    def _apply(self, moves: dict[str, int]) -> None:
        for account, fen in moves.items():
            self._model[account] += fen

    def _would_be_negative(self, moves: dict[str, int]) -> bool:
        return any(self._model[account] + fen < 0 for account, fen in moves.items())


def test_i06_sums_stay_zero_and_no_balance_goes_below_zero_whatever_is_posted_and_undone() -> None:
    run_state_machine_as_test(Books, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
