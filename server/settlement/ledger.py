"""Where is the money? Double-entry books in whole fen.

A posting moves money between accounts: its entries sum to zero, so money is neither made nor lost. What comes into the
scheme or leaves it is booked against the one account `outside`, which alone may go below zero; every other balance is
guarded by the UPDATE itself, so that two postings at once cannot both spend the last fen (I6). A posting's id says
what it is for, and the same id cannot be posted twice.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Final

from sqlalchemy import BigInteger, Connection, and_, bindparam, case, func, insert, not_, or_, select, update

from device_registry.tables.prepared import Prepared
from server.settlement.errors import (
    AccountUnknownError,
    ContributionInvalidError,
    InsufficientFundError,
    PostingRepeatedError,
    PostingUnbalancedError,
)
from server.store.tables.settlement import accounts, ledger_entries, ledger_postings


class AccountKind(StrEnum):
    """Whose money it is."""

    POOLED_FUND = "fund"
    """统筹基金 of a region."""
    PERSON = "person"
    """个人账户 of an insured person."""
    ELECTRONIC = "electronic"
    """电子账户 of a person: money of their own that lies with the scheme."""
    CREDIT = "credit"
    """What a person may still owe of their approved limit: taking lowers it, repaying raises it."""
    STAY = "stay"
    """What was prepaid for an inpatient stay (预缴金); it is the person's until the stay is settled."""
    SITE = "site"
    """What the scheme owes a site for bills it settled."""
    OUTSIDE = "outside"
    """The world beyond our books: contributions come from here. The only account that may go below zero."""


@dataclass(frozen=True, slots=True)
class Account:
    """The name of an account."""

    kind: AccountKind
    owner: str
    """Region, person_id or site_id."""
    key: str = ""
    """What names it when the owner has several of the kind, as of stays; else empty."""

    @property
    def account_id(self) -> str:
        """Key of the account's row."""
        return f"{self.kind.value}:{self.key or self.owner}"


OUTSIDE = Account(AccountKind.OUTSIDE, "world")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerReport:
    """What a walk over all books found."""

    transactions: int
    """Postings walked."""
    entries: int
    unbalanced: tuple[str, ...]
    """Postings whose entries do not sum to zero, or that have none."""
    negative: tuple[str, ...]
    """Guarded accounts below zero."""
    drifted: tuple[str, ...]
    """Accounts whose balance is not the sum of their entries."""

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.unbalanced or self.negative or self.drifted)


CONTRIBUTION_FEN_MAX: Final = 10**14
"""A trillion yuan at once is a mistake; far below 64 bits, so that no sum of many of them overflows."""
NAMES_PER_FINDING_MAX: Final = 100
_POST = Prepared(insert(ledger_postings).values(posting_id=bindparam("posting_id"), posted_at=bindparam("posted_at")))

_BALANCE = Prepared(select(accounts.c.balance_fen).where(accounts.c.account_id == bindparam("account_id")))


@cache
def _move(count: int) -> Prepared:
    """Return the one statement that changes `count` balances and names them; missing and short ones it leaves out."""
    keys = [bindparam(f"account_{n}", type_=accounts.c.account_id.type) for n in range(count)]
    change = case(
        *((accounts.c.account_id == key, bindparam(f"fen_{n}", type_=BigInteger())) for n, key in enumerate(keys))
    )
    is_guarded = accounts.c.account_id != OUTSIDE.account_id
    return Prepared(
        update(accounts)
        .where(or_(*(accounts.c.account_id == key for key in keys)))
        .where(not_(and_(is_guarded, accounts.c.balance_fen + change < 0)))
        .values(balance_fen=accounts.c.balance_fen + change)
        .returning(accounts.c.account_id)
    )


@cache
def _enter(count: int) -> Prepared:
    """Return the one statement that writes `count` entries of a posting."""
    return Prepared(
        insert(ledger_entries).values(
            [
                {
                    "posting_id": bindparam("posting_id"),
                    "account_id": bindparam(f"account_{n}"),
                    "amount_fen": bindparam(f"fen_{n}"),
                }
                for n in range(count)
            ]
        )
    )


class Ledger:
    """Double-entry books over a connection that it is handed."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now: Final = now

    def open_accounts(self, connection: Connection, names: Iterable[Account]) -> None:
        """Open those of the accounts that do not exist yet, empty."""
        wanted = {name.account_id: name for name in names}
        known = connection.scalars(select(accounts.c.account_id).where(accounts.c.account_id.in_(wanted)))
        missing = wanted.keys() - set(known)
        if missing:
            connection.execute(
                insert(accounts),
                [
                    {"account_id": key, "kind": wanted[key].kind.value, "owner": wanted[key].owner, "balance_fen": 0}
                    for key in sorted(missing)
                ],
            )

    def fund(self, connection: Connection, account: Account, *, amount_fen: int, reference: str) -> None:
        """Bring money into the scheme: a contribution to a fund or to a personal account.

        Args:
            connection: the transaction to book in.
            account: where it goes; opened when it is new.
            amount_fen: above zero, at most `CONTRIBUTION_FEN_MAX`.
            reference: names this contribution; the same one cannot be booked twice.

        Raises:
            ContributionInvalidError: the amount is out of bounds.
            PostingRepeatedError: the reference was booked before.
        """
        if not 0 < amount_fen <= CONTRIBUTION_FEN_MAX:
            raise ContributionInvalidError
        posting_id = f"fund:{reference}"
        if connection.scalar(select(ledger_postings.c.posting_id).where(ledger_postings.c.posting_id == posting_id)):
            raise PostingRepeatedError(posting_id=posting_id)
        self.open_accounts(connection, (account, OUTSIDE))
        amounts = {account.account_id: amount_fen, OUTSIDE.account_id: -amount_fen}
        self.post(connection, posting_id, amounts)

    def post(self, connection: Connection, posting_id: str, amounts: Mapping[str, int]) -> None:
        """Book one posting; on any error the caller's transaction must be rolled back.

        Args:
            connection: the transaction to book in.
            posting_id: says what it is for; a second posting with the same id is refused by the database.
            amounts: fen by account id, positive is into the account. They sum to zero; zeros are left out of the books.

        Raises:
            PostingUnbalancedError: they do not, or nothing moves.
            InsufficientFundError: a guarded account would go below zero.
            AccountUnknownError: an account was never opened.
        """
        moves = [(account_id, fen) for account_id, fen in amounts.items() if fen]
        if not moves or sum(fen for _, fen in moves) != 0:
            raise PostingUnbalancedError
        values: dict[str, object] = {}
        for n, (account_id, fen) in enumerate(moves):
            values[f"account_{n}"], values[f"fen_{n}"] = account_id, fen
        moved = _move(len(moves)).rows(connection, **values)
        if len(moved) != len(moves):
            raise self._refusal(
                connection, {account_id for account_id, _ in moves} - {account_id for (account_id,) in moved}
            )
        _POST.run(connection, posting_id=posting_id, posted_at=self._now())
        _enter(len(moves)).run(connection, posting_id=posting_id, **values)

    def undo(self, connection: Connection, posting_id: str, *, undone_by: str) -> None:
        """Book the exact opposite of an earlier posting; nothing when there is none, for then no money had moved."""
        entries = connection.execute(
            select(ledger_entries.c.account_id, ledger_entries.c.amount_fen).where(
                ledger_entries.c.posting_id == posting_id
            )
        ).all()
        if entries:
            self.post(connection, undone_by, {account_id: -fen for account_id, fen in entries})

    def balance(self, connection: Connection, account: Account) -> int:
        """Return what an account holds, in fen; zero when it was never opened."""
        found = _BALANCE.row(connection, account_id=account.account_id)
        return 0 if found is None else int(found[0])

    def verify(self, connection: Connection) -> LedgerReport:
        """Walk all books; of each kind of finding the first hundred are named."""
        sums = (
            select(ledger_entries.c.account_id, func.sum(ledger_entries.c.amount_fen).label("fen"))
            .group_by(ledger_entries.c.account_id)
            .subquery()
        )
        unbalanced = (
            select(ledger_postings.c.posting_id)
            .outerjoin(ledger_entries)
            .group_by(ledger_postings.c.posting_id)
            .having(func.coalesce(func.sum(ledger_entries.c.amount_fen), 1) != 0)
        )
        negative = select(accounts.c.account_id).where(
            accounts.c.balance_fen < 0, accounts.c.account_id != OUTSIDE.account_id
        )
        drifted = (
            select(accounts.c.account_id)
            .outerjoin(sums, sums.c.account_id == accounts.c.account_id)
            .where(accounts.c.balance_fen != func.coalesce(sums.c.fen, 0))
        )
        findings = [
            tuple(connection.scalars(query.limit(NAMES_PER_FINDING_MAX))) for query in (unbalanced, negative, drifted)
        ]
        return LedgerReport(
            transactions=connection.scalar(select(func.count()).select_from(ledger_postings)) or 0,
            entries=connection.scalar(select(func.count()).select_from(ledger_entries)) or 0,
            unbalanced=findings[0],
            negative=findings[1],
            drifted=findings[2],
        )

    @staticmethod
    def _refusal(connection: Connection, unmoved: Collection[str]) -> Exception:
        """Say which account is missing, or else whose money falls short."""
        known = connection.execute(
            select(accounts.c.account_id, accounts.c.kind)
            .where(accounts.c.account_id.in_(unmoved))
            .order_by(accounts.c.account_id)
        ).all()
        missing = set(unmoved) - {row.account_id for row in known}
        return (
            AccountUnknownError(account_id=min(missing))
            if missing
            else InsufficientFundError(account_kind=known[0].kind)
        )
