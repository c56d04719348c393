"""The embedded insurer: benefit rules from data over the ledger in our own database."""

from typing import Final, Literal

from sqlalchemy import Connection, and_, bindparam, insert, select, update

from server.settlement.errors import QuoteOutdatedError
from server.settlement.insurers import Booked, Booking, Claim
from server.settlement.insurers.rules import LocalRules
from server.settlement.ledger import Account, AccountKind, Ledger
from server.settlement.model import Quotation, Shares
from server.settlement.split import BenefitYear, Split, split_bill
from server.store.prepared import Prepared
from server.store.tables.settlement import accounts, benefit_years

_STANDING = Prepared(
    select(
        accounts.c.balance_fen,
        benefit_years.c.deductible_used_fen,
        benefit_years.c.eligible_used_fen,
        benefit_years.c.fund_used_fen,
    )
    .select_from(accounts)
    .join(
        benefit_years,
        and_(
            benefit_years.c.person_id == bindparam("person_id"),
            benefit_years.c.benefit_year == bindparam("benefit_year"),
        ),
    )
    .where(accounts.c.account_id == bindparam("account"))
)
_USE_UP = Prepared(
    update(benefit_years)
    .where(
        benefit_years.c.person_id == bindparam("person_id"), benefit_years.c.benefit_year == bindparam("benefit_year")
    )
    .values(
        deductible_used_fen=benefit_years.c.deductible_used_fen + bindparam("deductible"),
        eligible_used_fen=benefit_years.c.eligible_used_fen + bindparam("eligible"),
        fund_used_fen=benefit_years.c.fund_used_fen + bindparam("fund"),
    )
)


class LocalInsurer:
    """Splits by the rules, books in the ledger, counts the year; all in the transaction it is handed."""

    def __init__(self, *, rules: LocalRules, ledger: Ledger) -> None:
        self._rules: Final = rules
        self._ledger: Final = ledger

    @property
    def is_in_house(self) -> Literal[True]:
        """Books in our database."""
        return True

    def quote(self, connection: Connection, claim: Claim) -> Quotation:
        """Return who would pay what; opens the accounts and the year that a settlement will need."""
        self._open(connection, claim)
        split, _ = self._split(connection, claim)
        return Quotation(shares=split.shares)

    def book(self, connection: Connection, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:
        """Move the money exactly as quoted; see the port."""
        split, balance = self._split(connection, claim)
        if split.shares != quoted:
            raise QuoteOutdatedError
        fund, account = quoted.pooled_fund_fen, quoted.personal_account_fen
        if fund or account:
            amounts = dict(zip(_account_ids(claim), (-fund, -account, fund + account), strict=True))
            self._ledger.post(connection, f"settle:{transaction_id}", amounts)
        self._use_up(connection, claim, deductible=split.deductible_fen, eligible=split.eligible_fen, fund=fund)
        return Booking(
            personal_account_balance_fen=balance - account,
            deductible_fen=split.deductible_fen,
            eligible_fen=split.eligible_fen,
        )

    def unbook(self, connection: Connection, booked: Booked) -> None:
        """Give back exactly what `book` moved and used up."""
        transaction_id = booked.transaction_id
        self._ledger.undo(connection, f"settle:{transaction_id}", undone_by=f"undo:{transaction_id}")
        self._use_up(
            connection,
            booked.claim,
            deductible=-booked.deductible_fen,
            eligible=-booked.eligible_fen,
            fund=-booked.shares.pooled_fund_fen,
        )

    def _split(self, connection: Connection, claim: Claim) -> tuple[Split, int]:
        """Return the split by what holds now, and what the personal account holds."""
        standing = _STANDING.row(
            connection,
            person_id=claim.person_id,
            benefit_year=claim.benefit_year,
            account=f"person:{claim.person_id}",
        )
        if standing is None:
            raise QuoteOutdatedError  # never quoted by us: there would be an account and a year
        balance, deductible_used, eligible_used, fund_used = standing
        benefits = self._rules.benefits_for(site_kind=claim.site_kind, business_type=claim.bill.business_type)
        used = BenefitYear(
            deductible_used_fen=deductible_used, eligible_used_fen=eligible_used, fund_used_fen=fund_used
        )
        split = split_bill(
            claim.bill,
            benefits=benefits,
            used=used,
            personal_account_fen=balance,
            out_of_region=claim.person_region != claim.site_region,
        )
        return split, balance

    def _open(self, connection: Connection, claim: Claim) -> None:
        self._ledger.open_accounts(
            connection,
            (
                Account(AccountKind.POOLED_FUND, claim.person_region),
                Account(AccountKind.PERSON, claim.person_id),
                Account(AccountKind.SITE, claim.site_id),
            ),
        )
        key = {"person_id": claim.person_id, "benefit_year": claim.benefit_year}
        if connection.scalar(select(benefit_years.c.person_id).filter_by(**key)) is None:
            connection.execute(
                insert(benefit_years).values(**key, deductible_used_fen=0, eligible_used_fen=0, fund_used_fen=0)
            )

    @staticmethod
    def _use_up(connection: Connection, claim: Claim, *, deductible: int, eligible: int, fund: int) -> None:
        _USE_UP.run(
            connection,
            person_id=claim.person_id,
            benefit_year=claim.benefit_year,
            deductible=deductible,
            eligible=eligible,
            fund=fund,
        )


def _account_ids(claim: Claim) -> tuple[str, str, str]:
    """Return the fund, the person and the site: who pays, who pays, who is paid."""
    return f"fund:{claim.person_region}", f"person:{claim.person_id}", f"site:{claim.site_id}"
