"""The checker can fail: each way in which books can be wrong is put before the judge, and is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from server.checker.books import (
    Account,
    Books,
    Household,
    InsurerBooking,
    JournalEntry,
    OurSettlement,
    PinFreeDay,
    Pocket,
    Taking,
)
from server.checker.breaches import Breach, Violation
from server.checker.history import History
from server.checker.judge import judge
from server.checker.orders import BY_CARD, BY_CODE, BillOrder

ID = "019876d0-0000-7000-8000-000000000001"
OTHER = "019876d0-0000-7000-8000-000000000002"
BILL = "till-1-1"
PERSON = "person-1"
CHILD = "person-2"
DAY = "2031-05-06"
MONEY: Mapping[str, int] = {
    "total_fen": 900,
    "pooled_fund_fen": 500,
    "personal_account_fen": 300,
    "electronic_account_fen": 40,
    "credit_fen": 50,
}
BESIDE = {"electronic_account_fen": 40, "credit_fen": 50}


@dataclass(kw_only=True)
class Run:
    """A run with one bill that was paid; a test changes what it is about."""

    then: str = "keep"
    by: str = BY_CARD
    is_for_relative: bool = False
    said: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"event": "asking", "bill_number": BILL, "transaction_id": ID, **BESIDE},
            {"event": "paid", "bill_number": BILL, "transaction_id": ID, **MONEY},
            {"event": "outcome", "bill_number": BILL, "transaction_id": ID, "outcome": "settled"},
        ]
    )
    journal: str = "settled"
    ours: OurSettlement | None = field(default_factory=lambda: ended("SETTLED"))
    bookings: Sequence[InsurerBooking] = field(default_factory=lambda: [booked()])
    takings: Sequence[Taking] = field(default_factory=lambda: taken(stands=True))
    used_codes: Sequence[str] = ()
    pin_free_days: Sequence[PinFreeDay] = ()
    holds_fen: int = 9_700
    holds_beside: Mapping[Pocket, int] = field(
        default_factory=lambda: {Pocket.ELECTRONIC: 9_960, Pocket.CREDIT: 9_950, Pocket.DEBT: -50}
    )
    more: dict[str, OurSettlement] = field(default_factory=dict)
    wrong_sums: Sequence[str] = ()
    wrong_audit: Sequence[str] = ()

    def judged(self) -> list[Violation]:
        """Return what the judge finds."""
        history = History()
        order = BillOrder(
            bill_number=BILL,
            terminal="till-1",
            payer=0,
            total_fen=900,
            not_covered_fen=0,
            then=self.then,
            by=self.by,
            is_for_relative=self.is_for_relative,
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
                accounts=[
                    Account(person_id=PERSON, opened_with_fen=10_000, holds_fen=self.holds_fen),
                    *self._pockets(),
                ],
                takings=self.takings,
                used_codes=self.used_codes,
                pin_free_days=self.pin_free_days,
                households=[Household(person_id=PERSON, relative_id=CHILD)],
                wrong_sums=self.wrong_sums,
                wrong_audit=self.wrong_audit,
            ),
        )

    def _pockets(self) -> list[Account]:
        return [
            Account(
                person_id=PERSON, pocket=pocket, opened_with_fen=0 if pocket is Pocket.DEBT else 10_000, holds_fen=holds
            )
            for pocket, holds in self.holds_beside.items()
        ]

    def breaches(self) -> set[Breach]:
        """Return the kinds of what it finds."""
        return {violation.breach for violation in self.judged()}


def booked(transaction_id: str = ID, *, stands: bool = True, fund: int = 500, account: int = 300) -> InsurerBooking:
    return InsurerBooking(
        transaction_id=transaction_id, stands=stands, pooled_fund_fen=fund, personal_account_fen=account
    )


def ended(state: str) -> OurSettlement:
    return OurSettlement(state=state, bill_number=BILL, payer_id=PERSON, person_id=PERSON, pin_free_on="", **MONEY)


def taken(*, stands: bool = True) -> list[Taking]:
    """Return what the bill took of the electronic account, of the credit line, and the debt of it."""
    of = ((Pocket.ELECTRONIC, 40), (Pocket.CREDIT, 50), (Pocket.DEBT, 50))
    return [
        Taking(transaction_id=ID, pocket=pocket, person_id=PERSON, amount_fen=fen, stands=stands) for pocket, fen in of
    ]


def nothing_paid(**changes: Any) -> Run:  # noqa: ANN401 - fields of a run
    """Return a run in which everything was given back, or nothing was ever taken."""
    untouched = {Pocket.ELECTRONIC: 10_000, Pocket.CREDIT: 10_000, Pocket.DEBT: 0}
    return Run(
        **{"bookings": [], "takings": taken(stands=False), "holds_fen": 10_000, "holds_beside": untouched, **changes}
    )


def told(outcome: str) -> dict[str, Any]:
    return {"event": "outcome", "bill_number": BILL, "transaction_id": ID, "outcome": outcome}


def test_a_bill_that_is_paid_on_all_three_books_is_right() -> None:
    assert Run().judged() == []


@pytest.mark.parametrize(("then", "state"), [("reverse", "REVERSED"), ("cancel", "CANCELLED")])
def test_a_bill_that_was_paid_and_undone_on_all_three_books_is_right(then: str, state: str) -> None:
    run = nothing_paid(then=then, journal=state.lower(), ours=ended(state), bookings=[booked(stands=False)])
    run.said[2] = told(state.lower())

    assert run.judged() == []


def test_a_bill_that_was_refused_and_that_nobody_has_is_right() -> None:
    assert nothing_paid(said=[told("refused")], journal="refused", ours=None).judged() == []


def test_an_acknowledged_settlement_that_the_platform_lost_is_found() -> None:
    found = nothing_paid(ours=None).judged()

    assert {violation.breach for violation in found} == {Breach.LOST}
    assert {violation.transaction_id for violation in found} == {ID}


def test_an_acknowledged_settlement_that_the_insurer_lost_is_found() -> None:
    assert Breach.LOST in Run(bookings=[]).breaches()


def test_an_acknowledged_settlement_that_the_terminal_lost_is_found() -> None:
    assert Breach.LOST in Run(journal="").breaches()


def test_an_acknowledged_settlement_that_was_reversed_although_nobody_asked_is_found() -> None:
    run = nothing_paid(journal="reversed", ours=ended("REVERSED"), bookings=[booked(stands=False)])

    assert Breach.LOST in run.breaches()


def test_one_bill_under_two_transactions_is_a_double_charge() -> None:
    run = Run(more={OTHER: ended("SETTLED")}, bookings=[booked(), booked(OTHER)], holds_fen=9_400)

    assert Breach.TWICE in run.breaches()


def test_two_bookings_of_one_transaction_are_a_double_charge() -> None:
    assert Run(bookings=[booked(), booked()], holds_fen=9_400).breaches() == {Breach.TWICE, Breach.SUMS}


def test_a_booking_that_the_platform_knows_nothing_of_is_a_ghost() -> None:
    assert Run(bookings=[booked(), booked(OTHER)]).breaches() == {Breach.GHOST}


def test_a_booking_of_what_the_platform_has_as_refused_is_a_ghost() -> None:
    run = nothing_paid(said=[told("refused")], journal="refused", ours=ended("FAILED"), bookings=[booked()])

    assert run.breaches() == {Breach.GHOST}


def test_what_was_reversed_and_is_still_booked_at_the_insurer_is_found() -> None:
    run = nothing_paid(then="reverse", journal="reversed", ours=ended("REVERSED"), bookings=[booked()])
    run.said[2] = told("reversed")

    assert run.breaches() == {Breach.STILL_BOOKED}


@pytest.mark.parametrize("journal", ["reversed", "cancelled", "refused"])
def test_what_the_terminal_has_as_not_paid_and_the_platform_as_paid_is_found(journal: str) -> None:
    assert Breach.STILL_BOOKED in Run(then="cancel", said=[told(journal)], journal=journal).breaches()


def test_a_settlement_that_no_journal_knows_is_found() -> None:
    assert Breach.UNKNOWN_TO_TERMINAL in Run(said=[], journal="").breaches()


@pytest.mark.parametrize("state", ["PENDING", "UNKNOWN"])
def test_what_the_platform_never_finds_out_is_found(state: str) -> None:
    run = nothing_paid(said=[told("unknown")], journal="open", ours=ended(state))

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
    run.said[2] = told(outcome)

    assert run.breaches() == {Breach.OTHERWISE_TOLD}


def test_a_bill_that_a_code_paid_for_a_relative_is_right() -> None:
    day = PinFreeDay(person_id=PERSON, day=DAY, payments=1, total_fen=900)
    ours = replace(ended("SETTLED"), person_id=CHILD, pin_free_on=DAY)

    assert Run(by=BY_CODE, is_for_relative=True, ours=ours, used_codes=[ID], pin_free_days=[day]).judged() == []


@pytest.mark.parametrize("pocket", [Pocket.ELECTRONIC, Pocket.CREDIT, Pocket.DEBT])
def test_a_self_paid_part_that_nobody_took_is_found(pocket: Pocket) -> None:
    run = Run(takings=[taking for taking in taken() if taking.pocket is not pocket])

    assert [(found.breach, found.transaction_id) for found in run.judged()] == [(Breach.LOST, ID)]
    assert pocket.value in run.judged()[0].details


def test_a_self_paid_part_that_was_taken_twice_is_found() -> None:
    assert Run(takings=[*taken(), taken()[0]]).breaches() == {Breach.TWICE}


def test_a_self_paid_part_of_another_amount_is_found() -> None:
    assert Run(takings=[replace(taking, amount_fen=39) for taking in taken()]).breaches() == {Breach.AMOUNT}


def test_a_self_paid_part_of_somebody_elses_is_found() -> None:
    assert Run(takings=[replace(taking, person_id=CHILD) for taking in taken()]).breaches() == {Breach.WRONG_PERSON}


@pytest.mark.parametrize(
    ("state", "breach"),
    [("REVERSED", Breach.STILL_BOOKED), ("CANCELLED", Breach.STILL_BOOKED), ("FAILED", Breach.GHOST)],
)
def test_a_self_paid_part_that_an_undone_bill_has_not_given_back_is_found(state: str, breach: Breach) -> None:
    told_so = "refused" if state == "FAILED" else state.lower()
    run = nothing_paid(then="cancel", said=[told(told_so)], journal=told_so, ours=ended(state), takings=taken())

    assert run.breaches() == {breach}


def test_a_self_paid_part_that_was_taken_for_nothing_is_found() -> None:
    assert Run(takings=[*taken(), replace(taken()[0], transaction_id=OTHER)]).breaches() == {Breach.GHOST}


@pytest.mark.parametrize("pocket", [Pocket.ELECTRONIC, Pocket.CREDIT, Pocket.DEBT])
def test_a_pocket_that_holds_another_sum_than_the_receipts_leave_is_found(pocket: Pocket) -> None:
    run = Run()
    run.holds_beside = {**run.holds_beside, pocket: run.holds_beside[pocket] - 1}

    assert [(found.breach, found.details.partition(" of ")[0]) for found in run.judged()] == [
        (Breach.SUMS, pocket.value)
    ]


def test_a_receipt_that_was_paid_otherwise_than_the_cashier_asked_is_found() -> None:
    run = Run()
    run.said[0] = {**run.said[0], "credit_fen": 90, "electronic_account_fen": 0}

    assert run.breaches() == {Breach.AMOUNT}


def test_a_code_that_was_not_used_up_by_what_it_paid_is_found() -> None:
    assert Run(by=BY_CODE).breaches() == {Breach.CODE}


@pytest.mark.parametrize("used_codes", [[ID, ID], [ID, OTHER]])
def test_a_code_that_was_used_up_for_nothing_or_another_one_is_found(used_codes: Sequence[str]) -> None:
    assert Run(by=BY_CODE, used_codes=used_codes).breaches() == {Breach.CODE}


def test_a_code_that_a_reversed_and_never_settled_bill_has_used_up_is_found() -> None:
    tombstone = OurSettlement(state="REVERSED")
    run = nothing_paid(then="overtake", by=BY_CODE, said=[told("reversed")], journal="reversed", ours=tombstone)

    assert run.judged() == []
    run.used_codes = [ID]
    assert run.breaches() == {Breach.CODE}


@pytest.mark.parametrize(("payments", "total_fen"), [(0, 0), (2, 900), (1, 899)])
def test_a_day_whose_payments_without_a_pin_are_miscounted_is_found(payments: int, total_fen: int) -> None:
    day = PinFreeDay(person_id=PERSON, day=DAY, payments=payments, total_fen=total_fen)

    assert Run(ours=replace(ended("SETTLED"), pin_free_on=DAY), pin_free_days=[day]).breaches() == {Breach.PIN_FREE}


def test_a_day_that_still_counts_what_was_undone_is_found() -> None:
    day = PinFreeDay(person_id=PERSON, day=DAY, payments=1, total_fen=900)
    ours = replace(ended("REVERSED"), pin_free_on=DAY)
    run = nothing_paid(then="reverse", said=[told("reversed")], journal="reversed", ours=ours, pin_free_days=[day])

    assert run.breaches() == {Breach.PIN_FREE}


@pytest.mark.parametrize("is_for_relative", [True, False])
def test_a_bill_for_another_than_who_was_treated_is_found(*, is_for_relative: bool) -> None:
    treated = PERSON if is_for_relative else CHILD

    run = Run(is_for_relative=is_for_relative, ours=replace(ended("SETTLED"), person_id=treated))

    assert run.breaches() == {Breach.WRONG_PERSON}
