"""Do the three books tell one story, and is it the story that the cashiers were told?

Pure: a history and three books in, violations out. What an end state of a terminal demands of the other two books
stands in one table; the rest are sums.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from server.checker.beside import (
    DOUBTFUL,
    judge_choices,
    judge_codes,
    judge_people,
    judge_pin_free_days,
    judge_takings,
    spent_of,
)
from server.checker.books import Books, InsurerBooking, OurSettlement
from server.checker.breaches import Breach, Violation
from server.checker.history import MONEY_FIELDS, REPEATED, History


@dataclass(slots=True, kw_only=True)
class _Case:
    """One run before the judge."""

    history: History
    books: Books
    standing: Mapping[str, list[InsurerBooking]] = field(init=False)

    def __post_init__(self) -> None:
        standing = defaultdict[str, list[InsurerBooking]](list)
        for booking in self.books.bookings:
            if booking.stands:
                standing[booking.transaction_id].append(booking)
        self.standing = standing


_MAY_BE: Final[Mapping[str, Collection[str]]] = {
    "settled": {"SETTLED"},
    "reversed": {"REVERSED", "CANCELLED"},
    "cancelled": {"CANCELLED"},
    "refused": {"", "FAILED", "REVERSED"},
}
"""By a terminal's end state: what the platform may have of it; empty is nothing."""
_FINAL: Final = frozenset(_MAY_BE)
_UNDONE: Final = frozenset({"reversed", "cancelled", "refused"})


def judge(history: History, books: Books) -> list[Violation]:
    """Return everything that is wrong, worst first."""
    case = _Case(history=history, books=books)
    found = [*_lost(case), *_twice(case), *_disagreements(case), *_insurer(case), *_doubt(case), *_sums(case)]
    found += [*judge_takings(books), *judge_choices(history), *judge_codes(history, books)]
    found += [*judge_pin_free_days(books), *judge_people(history, books)]
    found += [*_told(case), *(Violation(breach=Breach.AUDIT, details=finding) for finding in books.wrong_audit)]
    order = list(Breach)
    return sorted(dict.fromkeys(found), key=lambda violation: order.index(violation.breach))


def _lost(case: _Case) -> Iterator[Violation]:
    """Every acknowledged settlement is everywhere, with the amounts of its receipt, unless its terminal undid it."""
    for transaction_id, paid in case.history.acknowledged().items():
        entry = case.books.journals.get(transaction_id)
        ours = case.books.settlements.get(transaction_id)
        names = {"transaction_id": transaction_id, "bill_number": str(paid.what.get("bill_number", ""))}
        if entry is None or entry.state == "refused":
            yield Violation(
                breach=Breach.LOST, **names, details=f"the journal has {entry.state if entry else 'nothing'}"
            )
        if entry is not None and entry.state == "reversed" and not _was_to_be_undone(case, entry.bill_number):
            yield Violation(breach=Breach.LOST, **names, details="reversed, which nobody asked for")
        if ours is None:
            yield Violation(breach=Breach.LOST, **names, details="the platform has nothing")
        else:
            yield from _same_amounts(ours, paid.what, names)


def _was_to_be_undone(case: _Case, bill_number: str) -> bool:
    order = case.history.orders.get(bill_number)
    return order is not None and order.then in {"cancel", "reverse", "overtake"}


def _same_amounts(ours: OurSettlement, receipt: Mapping[str, object], names: Mapping[str, str]) -> Iterator[Violation]:
    for name in MONEY_FIELDS:
        if getattr(ours, name) != receipt.get(name):
            details = f"{name}: {receipt.get(name)} on the receipt, {getattr(ours, name)} at the platform"
            yield Violation(breach=Breach.AMOUNT, **names, details=details)


def _twice(case: _Case) -> Iterator[Violation]:
    """No bill is paid under two transactions, and none is booked twice."""
    paid = Counter(ours.bill_number for ours in case.books.settlements.values() if ours.state == "SETTLED")
    for bill_number, count in paid.items():
        if bill_number and count > 1:
            yield Violation(breach=Breach.TWICE, bill_number=bill_number, details=f"{count} settlements")
    for transaction_id, bookings in case.standing.items():
        if len(bookings) > 1:
            details = f"{len(bookings)} bookings at the insurer"
            yield Violation(breach=Breach.TWICE, transaction_id=transaction_id, details=details)


def _disagreements(case: _Case) -> Iterator[Violation]:
    """What a terminal ended with is what the platform has."""
    for transaction_id, entry in case.books.journals.items():
        ours = case.books.settlements.get(transaction_id)
        state = ours.state if ours else ""
        if entry.state not in _FINAL or state in DOUBTFUL or state in _MAY_BE[entry.state]:
            continue
        is_undone = entry.state in _UNDONE and state == "SETTLED"
        yield Violation(
            breach=Breach.STILL_BOOKED if is_undone else Breach.LOST,
            transaction_id=transaction_id,
            bill_number=entry.bill_number,
            details=f"{entry.state} at the terminal, {state or 'nothing'} at the platform",
        )
    for transaction_id, ours in case.books.settlements.items():
        if transaction_id not in case.books.journals and ours.state not in {"FAILED", "REVERSED"}:
            yield Violation(
                breach=Breach.UNKNOWN_TO_TERMINAL,
                transaction_id=transaction_id,
                bill_number=ours.bill_number,
                details=f"{ours.state} at the platform, nothing in any journal",
            )


def _insurer(case: _Case) -> Iterator[Violation]:
    """What the platform has as paid stands at the insurer with the same amounts, and nothing else does."""
    for transaction_id, ours in case.books.settlements.items():
        moved = (ours.pooled_fund_fen, ours.personal_account_fen)
        names = {"transaction_id": transaction_id, "bill_number": ours.bill_number}
        bookings = case.standing.get(transaction_id, [])
        if ours.state == "SETTLED" and any(moved) and not bookings:
            yield Violation(breach=Breach.LOST, **names, details="paid at the platform, not booked at the insurer")
        for booking in bookings if ours.state == "SETTLED" else []:
            if (booking.pooled_fund_fen, booking.personal_account_fen) != moved:
                details = f"fund and account {moved} at the platform, other at the insurer: {booking}"
                yield Violation(breach=Breach.AMOUNT, **names, details=details)
        if bookings and ours.state != "SETTLED" and ours.state not in DOUBTFUL:
            undone = ours.state in {"REVERSED", "CANCELLED"}
            breach = Breach.STILL_BOOKED if undone else Breach.GHOST
            yield Violation(breach=breach, **names, details=f"{ours.state} at the platform, booked at the insurer")
    for transaction_id in case.standing.keys() - case.books.settlements.keys():
        details = "booked at the insurer, nothing at the platform"
        yield Violation(breach=Breach.GHOST, transaction_id=transaction_id, details=details)


def _doubt(case: _Case) -> Iterator[Violation]:
    for transaction_id, ours in case.books.settlements.items():
        if ours.state in DOUBTFUL:
            names = {"transaction_id": transaction_id, "bill_number": ours.bill_number}
            yield Violation(breach=Breach.IN_DOUBT, **names, details=f"{ours.state} at the platform")
    for transaction_id, entry in case.books.journals.items():
        if entry.state not in _FINAL:
            names = {"transaction_id": transaction_id, "bill_number": entry.bill_number}
            yield Violation(breach=Breach.IN_DOUBT, **names, details=f"{entry.state} at {entry.terminal}")


def _sums(case: _Case) -> Iterator[Violation]:
    """Nobody's account holds anything but what the settlements left of it."""
    spent = spent_of(case.books.settlements)
    for account in case.books.accounts:
        wanted = account.opened_with_fen - spent[account.person_id, account.pocket]
        if account.holds_fen != wanted:
            details = (
                f"{account.pocket.value} of {account.person_id}: {account.holds_fen} fen, the receipts leave {wanted}"
            )
            yield Violation(breach=Breach.SUMS, details=details)
    yield from (Violation(breach=Breach.SUMS, details=finding) for finding in case.books.wrong_sums)


def _told(case: _Case) -> Iterator[Violation]:
    """What the cashier was told last is what the journal says; a repetition got the same receipt."""
    for transaction_id, outcomes in case.history.outcomes().items():
        entry = case.books.journals.get(transaction_id)
        last, state = outcomes[-1], entry.state if entry else "not_asked"
        if last in {*_FINAL, "not_asked"} and last != state:
            yield Violation(
                breach=Breach.OTHERWISE_TOLD,
                transaction_id=transaction_id,
                bill_number=entry.bill_number if entry else "",
                details=f"{last} was told, {state} is in the journal",
            )
    for repeated in case.history.said(REPEATED):
        if not repeated.what.get("same_receipt"):
            yield Violation(breach=Breach.REPEATED, transaction_id=str(repeated.what.get("transaction_id", "")))
