"""Credit: what somebody may owe up to an approved limit, what they owe, until when, and what they have repaid.

The approved limit is booked into the ledger as the account `credit:<person>`: what may still be taken. Taking lowers
it, repaying raises it, and the ledger's guard keeps it from going below zero; so more than the limit is never owed,
whatever happens at the same time. Beside it every taking is a debt of its own, with a day on which it is due.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from device_registry.audit.log import AuditLog
from device_registry.tables.prepared import Prepared
from server.settlement.errors import PostingRepeatedError
from server.settlement.ledger import OUTSIDE, Account, AccountKind, Ledger
from server.settlement.model import SelfPayKind
from server.settlement.self_pay.channel import Taking
from server.settlement.self_pay.electronic_account import electronic_account
from server.settlement.self_pay.errors import (
    CreditLimitBelowDebtError,
    CreditLimitInvalidError,
    CreditLineUnknownError,
    CreditRefusedError,
    RepaymentTooLargeError,
)
from server.settlement.self_pay.policy import SelfPayPolicy
from server.store.tables.self_pay import IS_OWED, credit_debts, credit_lines
from server.store.tables.settlement import ledger_postings

PREPAYMENTS: Final = frozenset({1103, 1104})
"""Business types of admission and prepayment, as the protocol counts them."""
TAKEN: Final = "credit:"
GIVEN_BACK: Final = "credit-undo:"
OVERPAID: Final = "credit-overpaid:"
"""What had been repaid of a debt that was undone: it becomes the person's own money."""
LIMIT: Final = "credit-limit:"
REPAID: Final = "credit-repaid:"

_TERMS = Prepared(
    select(
        credit_lines.c.pay_within_days,
        credit_lines.c.is_stopped,
        select(func.min(credit_debts.c.due_on))
        .where(IS_OWED, credit_debts.c.person_id == bindparam("person_id"))
        .scalar_subquery()
        .label("next_due_on"),
    ).where(credit_lines.c.person_id == bindparam("person_id"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """What is owed of one settlement."""

    transaction_id: str
    taken_fen: int
    repaid_fen: int
    taken_at: datetime
    due_on: date
    """The last day on which it is not overdue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditLine:
    """What somebody may owe, and what they owe."""

    person_id: str
    limit_fen: int
    owed_fen: int
    available_fen: int
    """What may still be taken; less than the rest of the limit never, more never."""
    overdue_fen: int
    next_due_on: date | None
    """When the oldest debt is due; None when nothing is owed."""
    pay_within_days: int
    is_stopped: bool
    approved_by: str
    approved_at: datetime


class CreditLines:
    """Approves, lends, takes back; the channel CREDIT."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        audit: AuditLog,
        now: Callable[[], datetime],
        zone: tzinfo,
        policy: SelfPayPolicy,
    ) -> None:
        """Take what it works with; `zone` says when a day begins."""
        self._ledger: Final = ledger
        self._audit: Final = audit
        self._now: Final = now
        self._zone: Final = zone
        self._policy: Final = policy

    @property
    def kind(self) -> SelfPayKind:
        """Credit."""
        return SelfPayKind.CREDIT

    @property
    def needs_pin(self) -> bool:
        """As the policy says."""
        return self._policy.credit_needs_pin

    def pays_for(self, business_type: int) -> bool:
        """Everything, but prepayments only where the policy says so: what is left of one is given back in cash."""
        return self._policy.credit_for_prepayments or business_type not in PREPAYMENTS

    def available_fen(self, connection: Connection, payer_id: str, *, now: datetime) -> int | None:
        """Return how much may be taken now: nothing without a line, from a stopped one, or while a debt is overdue."""
        if self._terms(connection, payer_id, now) is None:
            return 0
        return self._ledger.balance(connection, credit_account(payer_id))

    def take(self, connection: Connection, taking: Taking, *, now: datetime) -> None:
        """Owe it to the site.

        Raises:
            CreditRefusedError: no line, a stopped one, or something owed is overdue.
            InsufficientFundError: more would be owed than the limit.
        """
        pay_within_days = self._terms(connection, taking.payer_id, now)
        if pay_within_days is None:
            raise CreditRefusedError
        line, site = credit_account(taking.payer_id), Account(AccountKind.SITE, taking.site_id)
        self._ledger.open_accounts(connection, (site,))
        self._ledger.post(
            connection,
            f"{TAKEN}{taking.transaction_id}",
            {line.account_id: -taking.amount_fen, site.account_id: taking.amount_fen},
        )
        connection.execute(
            insert(credit_debts).values(
                transaction_id=taking.transaction_id,
                person_id=taking.payer_id,
                taken_fen=taking.amount_fen,
                repaid_fen=0,
                taken_at=now,
                due_on=self._day(now) + timedelta(days=pay_within_days),
            )
        )

    def give_back(self, connection: Connection, taking: Taking, *, now: datetime) -> None:
        """Owe it no more. What was repaid of it meanwhile goes to the person's electronic account."""
        transaction_id = taking.transaction_id
        repaid_fen = connection.scalar(
            update(credit_debts)
            .where(credit_debts.c.transaction_id == transaction_id, credit_debts.c.given_back_at.is_(None))
            .values(given_back_at=now)
            .returning(credit_debts.c.repaid_fen)
        )
        self._ledger.undo(connection, f"{TAKEN}{transaction_id}", undone_by=f"{GIVEN_BACK}{transaction_id}")
        if repaid_fen:
            line, own = credit_account(taking.payer_id), electronic_account(taking.payer_id)
            self._ledger.open_accounts(connection, (own,))
            self._ledger.post(
                connection,
                f"{OVERPAID}{transaction_id}",
                {line.account_id: -repaid_fen, own.account_id: repaid_fen},
            )

    def approve(
        self, connection: Connection, person_id: str, *, limit_fen: int, pay_within_days: int, actor: str
    ) -> CreditLine:
        """Allow somebody to owe up to a limit; again is a new limit, and starts a stopped line anew.

        Args:
            connection: the transaction to write in.
            person_id: who is known to us.
            limit_fen: what may be owed at once.
            pay_within_days: when what is taken from now on is due.
            actor: who approves.

        Raises:
            CreditLimitInvalidError: below zero, or above what may be approved at all.
            CreditLimitBelowDebtError: more is owed already.
        """
        if not 0 <= limit_fen <= self._policy.credit_limit_fen_max:
            raise CreditLimitInvalidError(limit_fen_max=self._policy.credit_limit_fen_max)
        known = connection.execute(
            select(credit_lines.c.limit_fen, credit_lines.c.version).where(credit_lines.c.person_id == person_id)
        ).one_or_none()
        before_fen, version = (0, 1) if known is None else (known.limit_fen, known.version + 1)
        line = credit_account(person_id)
        self._ledger.open_accounts(connection, (line, OUTSIDE))
        if limit_fen != before_fen:
            more_fen = limit_fen - before_fen
            amounts = {line.account_id: more_fen, OUTSIDE.account_id: -more_fen}
            if self._ledger.balance(connection, line) + more_fen < 0:
                raise CreditLimitBelowDebtError(owed_fen=self.line(connection, person_id).owed_fen)
            self._ledger.post(connection, f"{LIMIT}{person_id}:{version}", amounts)
        terms: dict[str, object] = {
            "limit_fen": limit_fen,
            "pay_within_days": pay_within_days,
            "is_stopped": False,
            "version": version,
            "approved_by": actor,
            "approved_at": self._now(),
        }
        if known is None:
            connection.execute(insert(credit_lines).values(person_id=person_id, **terms))
        else:
            connection.execute(update(credit_lines).where(credit_lines.c.person_id == person_id).values(**terms))
        self._note(connection, actor, "credit.approved", person_id, limit_fen=limit_fen, days=pay_within_days)
        return self.line(connection, person_id)

    def stop(self, connection: Connection, person_id: str, *, actor: str) -> CreditLine:
        """Lend no more to somebody; what is owed stays owed.

        Raises:
            CreditLineUnknownError: nothing was ever approved.
        """
        stopped = update(credit_lines).where(credit_lines.c.person_id == person_id).values(is_stopped=True)
        if connection.execute(stopped).rowcount != 1:
            raise CreditLineUnknownError
        self._note(connection, actor, "credit.stopped", person_id)
        return self.line(connection, person_id)

    def repay(
        self, connection: Connection, person_id: str, *, amount_fen: int, reference: str, actor: str
    ) -> CreditLine:
        """Write a repayment down: what is due first is repaid first.

        Args:
            connection: the transaction to write in.
            person_id: who owes.
            amount_fen: above zero, at most what is owed.
            reference: names this repayment; the same one cannot be booked twice.
            actor: who received it.

        Raises:
            CreditLineUnknownError: nothing was ever approved.
            RepaymentTooLargeError: not so much is owed, or it is nothing.
            PostingRepeatedError: the reference was booked before.
        """
        line = self.line(connection, person_id)
        posting_id = f"{REPAID}{reference}"
        if connection.scalar(select(ledger_postings.c.posting_id).where(ledger_postings.c.posting_id == posting_id)):
            raise PostingRepeatedError(posting_id=posting_id)
        if not 0 < amount_fen <= line.owed_fen:
            raise RepaymentTooLargeError(owed_fen=line.owed_fen)
        account = credit_account(person_id)
        self._ledger.open_accounts(connection, (OUTSIDE,))
        self._ledger.post(connection, posting_id, {account.account_id: amount_fen, OUTSIDE.account_id: -amount_fen})
        left_fen = amount_fen
        for debt in self.debts(connection, person_id):
            part_fen = min(left_fen, debt.taken_fen - debt.repaid_fen)
            connection.execute(
                update(credit_debts)
                .where(credit_debts.c.transaction_id == debt.transaction_id)
                .values(repaid_fen=credit_debts.c.repaid_fen + part_fen)
            )
            left_fen -= part_fen
            if not left_fen:
                break
        self._note(connection, actor, "credit.repaid", person_id, amount_fen=amount_fen, reference=reference)
        return self.line(connection, person_id)

    def line(self, connection: Connection, person_id: str) -> CreditLine:
        """Return what somebody may owe and owes.

        Raises:
            CreditLineUnknownError: nothing was ever approved.
        """
        found = self.lines(connection, person_id=person_id)
        if not found:
            raise CreditLineUnknownError
        return found[0]

    def lines(
        self, connection: Connection, *, person_id: str | None = None, overdue_only: bool = False, limit: int = 1000
    ) -> list[CreditLine]:
        """Return the lines, those whose oldest debt is due first at the top: who is to be asked, and for how much."""
        today = self._day(self._now())
        owed = credit_debts.c.taken_fen - credit_debts.c.repaid_fen
        debts = (
            select(
                credit_debts.c.person_id,
                func.sum(owed).label("owed_fen"),
                func.sum(owed).filter(credit_debts.c.due_on < today).label("overdue_fen"),
                func.min(credit_debts.c.due_on).label("next_due_on"),
            )
            .where(IS_OWED)
            .group_by(credit_debts.c.person_id)
            .subquery()
        )
        query = (
            select(credit_lines, debts.c.owed_fen, debts.c.overdue_fen, debts.c.next_due_on)
            .outerjoin(debts, debts.c.person_id == credit_lines.c.person_id)
            .order_by(debts.c.next_due_on.is_(None), debts.c.next_due_on, credit_lines.c.person_id)
            .limit(limit)
        )
        if person_id is not None:
            query = query.where(credit_lines.c.person_id == person_id)
        if overdue_only:
            query = query.where(debts.c.overdue_fen > 0)
        return [
            CreditLine(
                person_id=row.person_id,
                limit_fen=row.limit_fen,
                owed_fen=int(row.owed_fen or 0),
                available_fen=self._ledger.balance(connection, credit_account(row.person_id)),
                overdue_fen=int(row.overdue_fen or 0),
                next_due_on=row.next_due_on,
                pay_within_days=row.pay_within_days,
                is_stopped=row.is_stopped,
                approved_by=row.approved_by,
                approved_at=row.approved_at,
            )
            for row in connection.execute(query)
        ]

    def debts(self, connection: Connection, person_id: str) -> list[Debt]:
        """Return what somebody owes, what is due first at the top."""
        columns = credit_debts.c
        rows = connection.execute(
            select(columns.transaction_id, columns.taken_fen, columns.repaid_fen, columns.taken_at, columns.due_on)
            .where(IS_OWED, columns.person_id == person_id)
            .order_by(columns.due_on, columns.transaction_id)
        )
        return [Debt(**row._asdict()) for row in rows]

    def _terms(self, connection: Connection, person_id: str, now: datetime) -> int | None:
        """Return within how many days what is taken now is due; None when nothing is lent."""
        found = _TERMS.row(connection, person_id=person_id)
        if found is None:
            return None
        pay_within_days, is_stopped, next_due_on = found
        is_overdue = next_due_on is not None and next_due_on < self._day(now)
        if is_stopped or (is_overdue and self._policy.credit_refused_when_overdue):
            return None
        return int(pay_within_days)

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()

    def _note(self, connection: Connection, actor: str, action: str, person_id: str, **details: str | int) -> None:
        self._audit.append(connection, actor=actor, action=action, subject=person_id, details=details)


def credit_account(person_id: str) -> Account:
    """Return the name of the account that holds what somebody may still owe."""
    return Account(AccountKind.CREDIT, person_id)
