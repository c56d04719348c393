"""The embedded insurer: benefit rules from data over the ledger in our own database.

Which day counts: the day a bill is paid on, by the platform's zone. A quote that was made before midnight is booked
only if the rules and the year of the new day come to the same shares; otherwise it is outdated, and the terminal asks
again. So nothing is ever paid by rules that are not in force.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Final, Literal

from sqlalchemy import Connection

from server.settlement.errors import QuoteOutdatedError
from server.settlement.insurers import Booked, Booking, Claim
from server.settlement.insurers.local.errors import ChronicDiseaseNotRegisteredError
from server.settlement.insurers.local.reckoning import reckon, reckon_prepayment
from server.settlement.insurers.local.registrations import is_filed, is_registered
from server.settlement.insurers.local.rules import Place, RuleBook, RuleSet, is_prepayment
from server.settlement.insurers.local.split import Benefits, Split, split_bill, split_prepayment
from server.settlement.insurers.local.standing import Standing, open_standing, standing_of, use_up
from server.settlement.insurers.local.stays import (
    check_refundable,
    close_stay,
    reopen_stay,
    stay_for,
    take_stay,
)
from server.settlement.ledger import OUTSIDE, Account, AccountKind, Ledger
from server.settlement.model import Quotation, Reckoning, Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reckoned:
    """A claim, split by what holds now."""

    claim: Claim
    standing: Standing
    split: Split
    place: Place = Place.HOME
    benefits: Benefits | None = None
    """None for a prepayment: nothing is granted."""

    @property
    def lines(self) -> tuple[Reckoning, ...]:
        """How it came about."""
        if self.benefits is None:
            return reckon_prepayment(self.claim.bill)
        return reckon(
            self.claim.bill,
            self.split,
            benefits=self.benefits,
            used=self.standing.used,
            place=self.place,
            is_family=self.claim.payer_id != self.claim.person_id,
        )


class LocalInsurer:
    """Splits by the rules, books in the ledger, counts the year; all in the transaction it is handed."""

    def __init__(self, *, rules: RuleBook, ledger: Ledger, now: Callable[[], datetime], zone: tzinfo) -> None:
        """Take what it works with.

        Args:
            rules: all sets of them; the day says which holds.
            ledger: where the money is.
            now: the clock.
            zone: whose midnight begins a day and a year of benefits.
        """
        self._rules: Final = rules
        self._ledger: Final = ledger
        self._now: Final = now
        self._zone: Final = zone
        self._looked_up: Final[dict[tuple[object, ...], Benefits]] = {}

    @property
    def is_in_house(self) -> Literal[True]:
        """Books in our database."""
        return True

    def quote(self, connection: Connection, claim: Claim) -> Quotation:
        """Return who would pay what, and why; opens the accounts and the year that a settlement will need.

        Raises:
            RulesNotInForceError, BusinessTypeNotPayableError, BillInvalidError: nothing is granted for such a bill.
            ChronicDiseaseNotRegisteredError, StayForeignError, StaySettledError: not for this person, or not now.
        """
        self._ledger.open_accounts(
            connection,
            (
                Account(AccountKind.POOLED_FUND, claim.person_region),
                Account(AccountKind.PERSON, claim.payer_id),
                Account(AccountKind.SITE, claim.site_id),
            ),
        )
        open_standing(connection, claim)
        reckoned = self._reckoned(connection, claim)
        split = reckoned.split
        return Quotation(shares=split.shares, reckoning=reckoned.lines, prepaid_back_fen=split.prepaid_back_fen)

    def book(self, connection: Connection, *, transaction_id: str, claim: Claim, quoted: Shares) -> Booking:
        """Move the money exactly as quoted; see the port."""
        reckoned = self._reckoned(connection, claim)
        split, standing = reckoned.split, reckoned.standing
        if split.shares != quoted:
            raise QuoteOutdatedError
        fund, account = quoted.pooled_fund_fen, quoted.personal_account_fen
        amounts = {}
        if fund or account:
            amounts = dict(zip(_account_ids(claim), (-fund, -account, fund + account), strict=True))
        if claim.bill.stay_number:
            amounts |= self._book_stay(connection, transaction_id, claim)
        if amounts:
            self._ledger.post(connection, f"settle:{transaction_id}", amounts)
        if reckoned.benefits is not None:
            use_up(
                connection,
                claim,
                deductible_fen=split.deductible_fen,
                eligible_fen=split.eligible_fen,
                fund_fen=fund,
                catastrophic_fen=quoted.catastrophic_fen,
            )
        return Booking(
            personal_account_balance_fen=standing.balance_fen - account,
            deductible_fen=split.deductible_fen,
            eligible_fen=split.eligible_fen,
            prepaid_back_fen=split.prepaid_back_fen,
        )

    def unbook(self, connection: Connection, booked: Booked) -> None:
        """Give back exactly what `book` moved and used up.

        Raises:
            StaySettledError: a prepayment that the settlement of its stay has used up; cancel that one first.
        """
        transaction_id, claim = booked.transaction_id, booked.claim
        if is_prepayment(claim.bill):
            check_refundable(connection, claim)
        elif claim.bill.stay_number:
            reopen_stay(connection, settled_by=transaction_id)
        self._ledger.undo(connection, f"settle:{transaction_id}", undone_by=f"undo:{transaction_id}")
        # A prepayment has used nothing up; but the release before paid use type 1104 as any other bill, without a stay.
        use_up(
            connection,
            claim,
            deductible_fen=-booked.deductible_fen,
            eligible_fen=-booked.eligible_fen,
            fund_fen=-booked.shares.pooled_fund_fen,
            catastrophic_fen=-booked.shares.catastrophic_fen,
        )

    def _reckoned(self, connection: Connection, claim: Claim) -> _Reckoned:
        """Return the claim split by what holds now."""
        day = self._now().astimezone(self._zone).date()
        if day.year != claim.benefit_year:
            raise QuoteOutdatedError  # quoted last year, and paid in this one
        rules, bill = self._rules.on(day), claim.bill
        if is_prepayment(bill):
            rules.check_prepayment(bill, site_kind=claim.site_kind)
            stay_for(connection, claim)
            return _Reckoned(claim=claim, standing=standing_of(connection, claim), split=split_prepayment(bill))
        place = self._place(connection, claim, day)
        benefits = self._granted(rules, claim, place)
        _check_registered(connection, claim, day)
        stay = stay_for(connection, claim) if bill.stay_number else None
        standing = standing_of(connection, claim)
        split = split_bill(
            bill,
            benefits=benefits,
            used=standing.used,
            personal_account_fen=standing.balance_fen,
            prepaid_fen=stay.prepaid_fen if stay else 0,
        )
        return _Reckoned(claim=claim, standing=standing, split=split, place=place, benefits=benefits)

    def _book_stay(self, connection: Connection, transaction_id: str, claim: Claim) -> dict[str, int]:
        """Return what moves on the stay's account; a settlement of the stay closes it."""
        stay = take_stay(connection, claim, at=self._now())
        if is_prepayment(claim.bill):
            self._ledger.open_accounts(connection, (stay.account, OUTSIDE))
            return dict(stay.moves(claim.bill.total_fen))
        close_stay(connection, stay, settled_by=transaction_id)
        return dict(stay.moves(-stay.prepaid_fen)) if stay.prepaid_fen else {}

    def _granted(self, rules: RuleSet, claim: Claim, place: Place) -> Benefits:
        """Return what the rules grant; what was looked up is kept, there are only so many answers in a file."""
        bill = claim.bill
        is_stay = bool(bill.stay_number)
        key = (rules.effective_from, claim.site_kind, place, bill.business_type, is_stay, bill.chronic_disease)
        granted = self._looked_up.get(key)
        if granted is None:
            granted = self._looked_up[key] = rules.benefits_for(bill, site_kind=claim.site_kind, place=place)
        return granted

    @staticmethod
    def _place(connection: Connection, claim: Claim, day: date) -> Place:
        if claim.person_region == claim.site_region:
            return Place.HOME
        filed = is_filed(connection, person_id=claim.person_id, region=claim.site_region, day=day)
        return Place.FILED if filed else Place.UNFILED


def _check_registered(connection: Connection, claim: Claim, day: date) -> None:
    disease = claim.bill.chronic_disease
    if disease and not is_registered(connection, person_id=claim.person_id, disease=disease, day=day):
        raise ChronicDiseaseNotRegisteredError


def _account_ids(claim: Claim) -> tuple[str, str, str]:
    """Return the fund, the personal account and the site: who pays, who pays, who is paid."""
    return f"fund:{claim.person_region}", f"person:{claim.payer_id}", f"site:{claim.site_id}"
