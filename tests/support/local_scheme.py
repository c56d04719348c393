"""The embedded insurer over a real database, without the desk around it: people, bills, what is paid and undone."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import uuid_utils
from sqlalchemy import Connection, Engine, insert, select

from device_registry.audit.log import AuditLog
from server.settlement.insurers import Claim
from server.settlement.insurers.local import LocalInsurer, RuleBook, load_rules
from server.settlement.insurers.local.registrations import Registrations
from server.settlement.ledger import Account, AccountKind, Ledger
from server.settlement.model import Bill, Intent, Quotation, SettlementState
from server.settlement.quote import CHINA
from server.settlement.store import SettlementRow, find_settlement, insert_settlement, move_settlement
from server.store.tables.benefits import benefit_pots, inpatient_stays
from server.store.tables.people import insured_people
from server.store.tables.settlement import accounts, benefit_years
from tests.support.clock import Clock
from tests.support.money import REGION, a_bill

_NUMBERS = itertools.count(1)
SITE = "01980000-0000-7000-8000-00000000b001"


@dataclass(slots=True, kw_only=True)
class Scheme:
    """One insurer on one connection, whose transaction is the whole test."""

    connection: Connection
    rules: RuleBook
    clock: Clock = field(default_factory=Clock)
    site_kind: str = "HOSPITAL"
    site_region: str = REGION

    @property
    def ledger(self) -> Ledger:
        """The books."""
        return Ledger(now=self.clock.now)

    @property
    def insurer(self) -> LocalInsurer:
        """The insurer, by the rules as they are."""
        return LocalInsurer(rules=self.rules, ledger=self.ledger, now=self.clock.now, zone=CHINA)

    @property
    def registrations(self) -> Registrations:
        """Filings and diseases."""
        return Registrations(audit=AuditLog(now=self.clock.now))

    @property
    def today(self) -> date:
        """The day in China."""
        return self.clock.now().astimezone(CHINA).date()

    def a_person(self, *, balance_fen: int = 0) -> str:
        """Add a made-up person; return their id."""
        person_id = str(uuid_utils.uuid7())
        self.connection.execute(
            insert(insured_people).values(
                person_id=person_id,
                region=REGION,
                id_number_index=person_id.encode()[:32],
                id_number_sealed=b"",
                name_sealed=b"",
                added_at=self.clock.now(),
            )
        )
        if balance_fen:
            own = Account(AccountKind.PERSON, person_id)
            self.ledger.fund(self.connection, own, amount_fen=balance_fen, reference=person_id)
        return person_id

    def a_claim(self, person_id: str, bill: Bill, *, payer_id: str | None = None) -> Claim:
        """Return somebody's bill at the site, today."""
        return Claim(
            person_id=person_id,
            payer_id=payer_id or person_id,
            person_region=REGION,
            terminal_id="01980000-0000-7000-8000-00000000a001",
            site_id=SITE,
            site_region=self.site_region,
            site_kind=self.site_kind,
            benefit_year=self.today.year,
            bill=bill,
        )

    def quote(self, person_id: str, bill: Bill, *, payer_id: str | None = None) -> Quotation:
        """Ask who would pay what."""
        return self.insurer.quote(self.connection, self.a_claim(person_id, bill, payer_id=payer_id))

    def pay(self, person_id: str, bill: Bill, *, payer_id: str | None = None) -> SettlementRow:
        """Quote a bill and book it, as the desk does; return the settlement."""
        return self.book(
            self.a_claim(person_id, bill, payer_id=payer_id), self.quote(person_id, bill, payer_id=payer_id)
        )

    def book(self, claim: Claim, quotation: Quotation) -> SettlementRow:
        """Book a claim as quoted and write the settlement down."""
        transaction_id = str(uuid_utils.uuid7())
        shares, bill = quotation.shares, claim.bill
        booking = self.insurer.book(self.connection, transaction_id=transaction_id, claim=claim, quoted=shares)
        row = SettlementRow(
            transaction_id=transaction_id,
            terminal_id=claim.terminal_id,
            state=SettlementState.SETTLED,
            intent=Intent.SETTLE,
            person_id=claim.person_id,
            payer_id=claim.payer_id,
            person_region=claim.person_region,
            site_id=claim.site_id,
            site_region=claim.site_region,
            site_kind=claim.site_kind,
            benefit_year=claim.benefit_year,
            bill_number=bill.bill_number,
            business_type=bill.business_type,
            total_fen=bill.total_fen,
            not_covered_fen=bill.not_covered_fen,
            stay_number=bill.stay_number,
            chronic_disease=bill.chronic_disease,
            pooled_fund_fen=shares.pooled_fund_fen,
            personal_account_fen=shares.personal_account_fen,
            catastrophic_fen=shares.catastrophic_fen,
            prepaid_fen=shares.prepaid_fen,
            prepaid_back_fen=booking.prepaid_back_fen,
            deductible_fen=booking.deductible_fen,
            eligible_fen=booking.eligible_fen,
            personal_account_balance_fen=booking.personal_account_balance_fen,
            began_at=self.clock.now(),
            receipt_id=str(uuid_utils.uuid7()),
            settled_at=self.clock.now(),
        )
        insert_settlement(self.connection, row)
        return row

    def undo(self, row: SettlementRow) -> None:
        """Cancel a settlement, from what the database has of it."""
        found, _ = find_settlement(self.connection, row.transaction_id)
        assert found is not None
        with self.connection.begin_nested():
            self.insurer.unbook(self.connection, found.booked)
            move_settlement(
                self.connection,
                found,
                came_from=(SettlementState.SETTLED,),
                wanted=Intent.SETTLE,
                state=SettlementState.CANCELLED,
                intent=Intent.CANCEL,
                ended_at=self.clock.now(),
                money_moved_back=True,
            )

    def standing(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return every balance and every count that is not zero, and which stay is closed by what."""
        look: dict[str, Callable[[], list[Any]]] = {
            "accounts": lambda: [
                row for row in self._all(select(accounts.c.account_id, accounts.c.balance_fen)) if row[-1]
            ],
            "years": lambda: [row for row in self._all(select(benefit_years)) if any(row[2:])],
            "pots": lambda: [row for row in self._all(select(benefit_pots)) if any(row[3:])],
            "stays": lambda: [
                row for row in self._all(select(inpatient_stays.c.stay_id, inpatient_stays.c.settled_by)) if row[-1]
            ],
        }
        return {name: sorted(rows()) for name, rows in look.items()}

    def stay_balance(self) -> int:
        """Return what is prepaid in all."""
        rows = self._all(select(accounts.c.balance_fen).where(accounts.c.kind == AccountKind.STAY.value))
        return sum(row[0] for row in rows)

    def _all(self, statement: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - any SELECT
        return [tuple(row) for row in self.connection.execute(statement)]


@contextmanager
def a_scheme(engine: Engine, *, fund_fen: int = 10**10) -> Iterator[Scheme]:
    """Run a scheme by the shipped rules for the length of a test; nothing of it is committed."""
    with engine.connect() as connection:
        scheme = Scheme(connection=connection, rules=load_rules())
        fund = Account(AccountKind.POOLED_FUND, REGION)
        scheme.ledger.fund(connection, fund, amount_fen=fund_fen, reference="opening")
        yield scheme
        connection.rollback()


def rules_by(book: RuleBook, **changes: object) -> RuleBook:
    """Return a book whose one set has other rules."""
    return RuleBook(sets=(replace(book.sets[0], **changes),))  # type: ignore[arg-type] # fields by name


def a_stay(number: str = "Z-1", **changes: object) -> Bill:
    """Return the bill of a stay."""
    return a_bill(**{"stay_number": number, "total_fen": 1_000_000, **changes})


def a_prepayment(number: str = "Z-1", *, total_fen: int = 200_000) -> Bill:
    """Return money paid beforehand for a stay."""
    return a_bill(stay_number=number, business_type=1104, total_fen=total_fen)


def steps(quotation: Quotation) -> list[tuple[str, int]]:
    """Return the steps of a reckoning."""
    return [(line.step, line.amount_fen) for line in quotation.reckoning]
