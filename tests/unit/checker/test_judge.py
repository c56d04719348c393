"""The checker can fail: each way in which books can be wrong is put before the judge, and is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from server.checker.history import History
from server.checker.judge import (
    Account,
    Books,
    Breach,
    InsurerBooking,
    JournalEntry,
    OurSettlement,
    Violation,
    judge,
)
from server.checker.orders import BillOrder

ID = "019876d0-0000-7000-8000-000000000001"
OTHER = "019876d0-0000-7000-8000-000000000002"
BILL = "till-1-1"
PERSON = "person-1"
MONEY: Mapping[str, int] = {"total_fen": 900, "pooled_fund_fen": 500, "personal_account_fen": 300}


@dataclass(kw_only=True)
class Run:
    """A run with one bill that was paid; a test changes what it is about."""

    then: str = "keep"
    said: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"event": "paid", "bill_number": BILL, "transaction_id": ID, **MONEY},
            {"event": "outcome", "bill_number": BILL, "transaction_id": ID, "outcome": "settled"},
        ]
    )
    journal: str = "settled"
    ours: OurSettlement | None = field(
        default_factory=lambda: OurSettlement(state="SETTLED", bill_number=BILL, payer_id=PERSON, **MONEY)
    )
    bookings: Sequence[InsurerBooking] = field(default_factory=lambda: [booked()])
    holds_fen: int = 9_700
    more: dict[str, OurSettlement] = field(default_factory=dict)
    wrong_sums: Sequence[str] = ()
    wrong_audit: Sequence[str] = ()

    def judged(self) -> list[Violation]:
        """Return what the judge finds."""
        history = History()
        order = BillOrder(
            bill_number=BILL, terminal="till-1", payer=0, total_fen=900, not_covered_fen=0, then=self.then
        )
        history.order(order, life=1)
        for said in self.said:
            history.note("till-1", 1, said)
        entry = JournalEntry(terminal="till-1", bill_number=BILL, total_fen=900, state=self.journal)
        return judge(
            history,
            Books(
                journals={ID: entry} if self.journal else {},
                settlements={**({ID: self.ours} if self.ours else {}), **self.more},
                bookings=self.bookings,
                accounts=[Account(person_id=PERSON, opened_with_fen=10_000, holds_fen=self.holds_fen)],
                wrong_sums=self.wrong_sums,
                wrong_audit=self.wrong_audit,
            ),
        )

    def breaches(self) -> set[Breach]:
        """Return the kinds of what it finds."""
        return {violation.breach for violation in self.judged()}


def booked(transaction_id: str = ID, *, stands: bool = True, fund: int = 500, account: int = 300) -> InsurerBooking:
    return InsurerBooking(
        transaction_id=transaction_id, stands=stands, pooled_fund_fen=fund, personal_account_fen=account
    )


def ended(state: str) -> OurSettlement:
    return OurSettlement(state=state, bill_number=BILL, payer_id=PERSON, **MONEY)


def told(outcome: str) -> dict[str, Any]:
    return {"event": "outcome", "bill_number": BILL, "transaction_id": ID, "outcome": outcome}


def test_a_bill_that_is_paid_on_all_three_books_is_right() -> None:
    assert Run().judged() == []


@pytest.mark.parametrize(("then", "state"), [("reverse", "REVERSED"), ("cancel", "CANCELLED")])
def test_a_bill_that_was_paid_and_undone_on_all_three_books_is_right(then: str, state: str) -> None:
    run = Run(then=then, journal=state.lower(), ours=ended(state), bookings=[booked(stands=False)], holds_fen=10_000)
    run.said[1] = told(state.lower())

    assert run.judged() == []


def test_a_bill_that_was_refused_and_that_nobody_has_is_right() -> None:
    assert Run(said=[told("refused")], journal="refused", ours=None, bookings=[], holds_fen=10_000).judged() == []


def test_an_acknowledged_settlement_that_the_platform_lost_is_found() -> None:
    found = Run(ours=None, bookings=[], holds_fen=10_000).judged()

    assert {violation.breach for violation in found} == {Breach.LOST}
    assert {violation.transaction_id for violation in found} == {ID}


def test_an_acknowledged_settlement_that_the_insurer_lost_is_found() -> None:
    assert Breach.LOST in Run(bookings=[]).breaches()


def test_an_acknowledged_settlement_that_the_terminal_lost_is_found() -> None:
    assert Breach.LOST in Run(journal="").breaches()


def test_an_acknowledged_settlement_that_was_reversed_although_nobody_asked_is_found() -> None:
    run = Run(journal="reversed", ours=ended("REVERSED"), bookings=[booked(stands=False)], holds_fen=10_000)

    assert Breach.LOST in run.breaches()


def test_one_bill_under_two_transactions_is_a_double_charge() -> None:
    run = Run(more={OTHER: ended("SETTLED")}, bookings=[booked(), booked(OTHER)], holds_fen=9_400)

    assert Breach.TWICE in run.breaches()


def test_two_bookings_of_one_transaction_are_a_double_charge() -> None:
    assert Run(bookings=[booked(), booked()], holds_fen=9_400).breaches() == {Breach.TWICE, Breach.SUMS}


def test_a_booking_that_the_platform_knows_nothing_of_is_a_ghost() -> None:
    assert Run(bookings=[booked(), booked(OTHER)]).breaches() == {Breach.GHOST}


def test_a_booking_of_what_the_platform_has_as_refused_is_a_ghost() -> None:
    run = Run(said=[told("refused")], journal="refused", ours=ended("FAILED"), holds_fen=10_000)

    assert run.breaches() == {Breach.GHOST}


def test_what_was_reversed_and_is_still_booked_at_the_insurer_is_found() -> None:
    run = Run(then="reverse", journal="reversed", ours=ended("REVERSED"), holds_fen=10_000)
    run.said[1] = told("reversed")

    assert run.breaches() == {Breach.STILL_BOOKED}


@pytest.mark.parametrize("journal", ["reversed", "cancelled", "refused"])
def test_what_the_terminal_has_as_not_paid_and_the_platform_as_paid_is_found(journal: str) -> None:
    assert Breach.STILL_BOOKED in Run(then="cancel", said=[told(journal)], journal=journal).breaches()


def test_a_settlement_that_no_journal_knows_is_found() -> None:
    assert Breach.UNKNOWN_TO_TERMINAL in Run(said=[], journal="").breaches()


@pytest.mark.parametrize("state", ["PENDING", "UNKNOWN"])
def test_what_the_platform_never_finds_out_is_found(state: str) -> None:
    run = Run(said=[told("unknown")], journal="open", ours=ended(state), bookings=[], holds_fen=10_000)

    assert [violation.details for violation in run.judged()] == [f"{state} at the platform", "open at till-1"]
    assert run.breaches() == {Breach.IN_DOUBT}


def test_other_amounts_than_on_the_receipt_are_found() -> None:
    ours = replace(ended("SETTLED"), pooled_fund_fen=400, personal_account_fen=400)

    assert Breach.AMOUNT in Run(ours=ours, bookings=[booked(fund=400, account=400)], holds_fen=9_600).breaches()


def test_other_amounts_at_the_insurer_are_found() -> None:
    assert Run(bookings=[booked(fund=499, account=301)]).breaches() == {Breach.AMOUNT}


def test_an_account_that_holds_another_sum_than_the_receipts_leave_is_found() -> None:
    assert Run(holds_fen=9_699).breaches() == {Breach.SUMS}


def test_what_the_walks_over_ledger_and_audit_trail_find_is_passed_on() -> None:
    found = Run(wrong_sums=["posting p does not sum to zero"], wrong_audit=["entry 7 was changed"]).judged()

    assert [violation.breach for violation in found] == [Breach.SUMS, Breach.AUDIT]


def test_a_repetition_with_another_receipt_is_found() -> None:
    run = Run(then="repeat")
    run.said.append({"event": "repeated", "transaction_id": ID, "same_receipt": False})

    assert run.breaches() == {Breach.REPEATED}


@pytest.mark.parametrize("outcome", ["refused", "reversed", "cancelled", "not_asked"])
def test_a_cashier_who_was_told_otherwise_than_the_journal_says_is_found(outcome: str) -> None:
    run = Run(then="cancel")
    run.said[1] = told(outcome)

    assert run.breaches() == {Breach.OTHERWISE_TOLD}
