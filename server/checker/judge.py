"""Do the three books tell one story, and is it the story that the cashiers were told?

Pure: a history and three books in, violations out. What an end state of a terminal demands of the other two books
stands in one table; the rest are sums.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from server.checker.history import MONEY_FIELDS, REPEATED, History


class Breach(StrEnum):
    """In which way a run is wrong."""

    LOST = "acknowledged but lost"
    """A receipt was given out, nobody asked for it back, and one of the books does not have it as paid."""
    AMOUNT = "other amounts"
    """Two books have one settlement with different amounts."""
    TWICE = "charged twice"
    """One bill, or one transaction, was booked more than once."""
    GHOST = "ghost booking"
    """The insurer has a booking that the platform does not have as paid, or nobody asked for."""
    STILL_BOOKED = "undone but booked"
    """A terminal was told that it is not paid, and somebody has it as paid."""
    UNKNOWN_TO_TERMINAL = "paid without the terminal"
    """The platform has a settlement that no terminal's journal knows."""
    IN_DOUBT = "in doubt for ever"
    """After everything was healed, and time enough, somebody still does not know."""
    SUMS = "sums are wrong"
    """A posting does not sum to zero, a balance is below it, or an account is not what its bookings make it."""
    AUDIT = "audit chain broken"
    REPEATED = "repetition differs"
    """The same request got another receipt."""
    OTHERWISE_TOLD = "told otherwise"
    """The cashier was told one end, and the terminal's own journal has another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What a terminal's journal says of a transaction in the end."""

    terminal: str
    bill_number: str
    total_fen: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OurSettlement:
    """What the platform's settlements say of it."""

    state: str
    bill_number: str = ""
    payer_id: str = ""
    total_fen: int = 0
    pooled_fund_fen: int = 0
    personal_account_fen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InsurerBooking:
    """One booking of the insurer's."""

    transaction_id: str
    stands: bool
    """Whether it is neither cancelled nor reversed."""
    pooled_fund_fen: int
    personal_account_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's account at the insurer."""

    person_id: str
    opened_with_fen: int
    holds_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """Everything that was found after the run."""

    journals: Mapping[str, JournalEntry]
    """By transaction."""
    settlements: Mapping[str, OurSettlement]
    """By transaction."""
    bookings: Sequence[InsurerBooking]
    accounts: Sequence[Account]
    wrong_sums: Sequence[str] = ()
    """What the walks over the books found."""
    wrong_audit: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing that must not be."""

    breach: Breach
    transaction_id: str = ""
    bill_number: str = ""
    details: str = ""


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
_DOUBTFUL: Final = frozenset({"PENDING", "UNKNOWN"})


def judge(history: History, books: Books) -> list[Violation]:
    """Return everything that is wrong, worst first."""
    case = _Case(history=history, books=books)
    found = [*_lost(case), *_twice(case), *_disagreements(case), *_insurer(case), *_doubt(case), *_sums(case)]
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
        if entry.state not in _FINAL or state in _DOUBTFUL or state in _MAY_BE[entry.state]:
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
        if bookings and ours.state != "SETTLED" and ours.state not in _DOUBTFUL:
            undone = ours.state in {"REVERSED", "CANCELLED"}
            breach = Breach.STILL_BOOKED if undone else Breach.GHOST
            yield Violation(breach=breach, **names, details=f"{ours.state} at the platform, booked at the insurer")
    for transaction_id in case.standing.keys() - case.books.settlements.keys():
        details = "booked at the insurer, nothing at the platform"
        yield Violation(breach=Breach.GHOST, transaction_id=transaction_id, details=details)


def _doubt(case: _Case) -> Iterator[Violation]:
    for transaction_id, ours in case.books.settlements.items():
        if ours.state in _DOUBTFUL:
            names = {"transaction_id": transaction_id, "bill_number": ours.bill_number}
            yield Violation(breach=Breach.IN_DOUBT, **names, details=f"{ours.state} at the platform")
    for transaction_id, entry in case.books.journals.items():
        if entry.state not in _FINAL:
            names = {"transaction_id": transaction_id, "bill_number": entry.bill_number}
            yield Violation(breach=Breach.IN_DOUBT, **names, details=f"{entry.state} at {entry.terminal}")


def _sums(case: _Case) -> Iterator[Violation]:
    """Nobody's account holds anything but what the settlements left of it."""
    spent = Counter[str]()
    for ours in case.books.settlements.values():
        if ours.state == "SETTLED":
            spent[ours.payer_id] += ours.personal_account_fen
    for account in case.books.accounts:
        wanted = account.opened_with_fen - spent[account.person_id]
        if account.holds_fen != wanted:
            details = f"account of {account.person_id}: {account.holds_fen} fen, the receipts leave {wanted}"
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
