"""Is what was paid beside the insurance where it should be, exactly once, and shown with what the cashier had?

Pure, as the judge: electronic accounts, credit and its debts, dynamic codes, and the day's payments without a PIN.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from server.checker.books import BESIDE_INSURANCE, Books, OurSettlement, Pocket, Taking
from server.checker.breaches import Breach, Violation
from server.checker.history import ASKING, PAID, History
from server.checker.orders import BY_CODE

DOUBTFUL: Final = frozenset({"PENDING", "UNKNOWN"})
UNDONE_HERE: Final = frozenset({"REVERSED", "CANCELLED"})
_SETTLED: Final = "SETTLED"
_CHOSEN: Final = ("electronic_account_fen", "credit_fen")


def judge_takings(books: Books) -> Iterator[Violation]:
    """Yield what of the self-paid parts is not on exactly the accounts that paid it, and not given back when undone."""
    standing = defaultdict[tuple[str, Pocket], list[Taking]](list)
    for taking in books.takings:
        if taking.stands:
            standing[taking.transaction_id, taking.pocket].append(taking)
    for transaction_id, ours in books.settlements.items():
        if ours.state in DOUBTFUL:
            continue
        for pocket in BESIDE_INSURANCE:
            taken = standing.get((transaction_id, pocket), [])
            if (found := _compared(ours, pocket, taken)) is not None:
                breach, details = found
                yield Violation(
                    breach=breach, transaction_id=transaction_id, bill_number=ours.bill_number, details=details
                )
    for transaction_id, pocket in standing:
        if transaction_id not in books.settlements:
            details = f"taken of the {pocket.value}, nothing at the platform"
            yield Violation(breach=Breach.GHOST, transaction_id=transaction_id, details=details)


def judge_choices(history: History) -> Iterator[Violation]:
    """Yield receipts whose self-paid part was not paid as the cashier had asked."""
    asked = {str(said.what["transaction_id"]): said.what for said in history.said(ASKING)}
    for paid in history.said(PAID):
        transaction_id, receipt = str(paid.what["transaction_id"]), paid.what
        wish = asked.get(transaction_id, {})
        for name in _CHOSEN:
            if receipt.get(name) != wish.get(name, receipt.get(name)):
                details = f"{name}: {wish.get(name)} was asked for, {receipt.get(name)} is on the receipt"
                yield Violation(breach=Breach.AMOUNT, transaction_id=transaction_id, details=details)


def judge_codes(history: History, books: Books) -> Iterator[Violation]:
    """Yield codes that paid for nothing or twice, and settlements by code that have used none up."""
    used = Counter(books.used_codes)
    for transaction_id, ours in books.settlements.items():
        order = history.orders.get(ours.bill_number)
        wanted = int(order is not None and order.by == BY_CODE)
        if used.pop(transaction_id, 0) != wanted and (order is not None or not ours.bill_number):
            details = f"{wanted} codes should have been used up for it ({ours.state})"
            yield Violation(
                breach=Breach.CODE, transaction_id=transaction_id, bill_number=ours.bill_number, details=details
            )
    for transaction_id in used:
        yield Violation(breach=Breach.CODE, transaction_id=transaction_id, details="a code was used up for nothing")


def judge_pin_free_days(books: Books) -> Iterator[Violation]:
    """Yield days whose count of payments without a PIN is not that of the settlements."""
    counted = {(day.person_id, day.day): (day.payments, day.total_fen) for day in books.pin_free_days}
    paid = defaultdict[tuple[str, str], list[int]](list)
    for ours in books.settlements.values():
        if ours.pin_free_on and (ours.state == _SETTLED or ours.state in DOUBTFUL):
            paid[ours.payer_id, ours.pin_free_on].append(ours.total_fen)
    for key in counted.keys() | paid.keys():
        amounts = paid.get(key, [])
        wanted, found = (len(amounts), sum(amounts)), counted.get(key, (0, 0))
        if wanted != found:
            details = f"{key[0]} on {key[1]}: payments and fen {found} are counted, {wanted} were made"
            yield Violation(breach=Breach.PIN_FREE, details=details)


def judge_people(history: History, books: Books) -> Iterator[Violation]:
    """Yield settlements of another payer than the one who stood there, or for another than the one treated."""
    for transaction_id, ours in books.settlements.items():
        order = history.orders.get(ours.bill_number)
        if order is None or order.payer >= len(books.households):
            continue
        household = books.households[order.payer]
        treated = household.relative_id if order.is_for_relative else household.person_id
        if (ours.payer_id, ours.person_id) != (household.person_id, treated):
            details = f"paid by {ours.payer_id} for {ours.person_id}, not by {household.person_id} for {treated}"
            yield Violation(
                breach=Breach.WRONG_PERSON,
                transaction_id=transaction_id,
                bill_number=ours.bill_number,
                details=details,
            )


def spent_of(settlements: Mapping[str, OurSettlement]) -> Counter[tuple[str, Pocket]]:
    """Return what the settlements that stand have taken of each person's pockets."""
    spent = Counter[tuple[str, Pocket]]()
    for ours in settlements.values():
        if ours.state == _SETTLED:
            for pocket in Pocket:
                spent[ours.payer_id, pocket] += ours.paid_from(pocket)
    return spent


def _compared(ours: OurSettlement, pocket: Pocket, taken: list[Taking]) -> tuple[Breach, str] | None:
    """Return what is wrong between a settlement and what stands as taken of one pocket for it."""
    due = ours.paid_from(pocket) if ours.state == _SETTLED else 0
    if len(taken) > 1:
        return Breach.TWICE, f"{len(taken)} takings of the {pocket.value}"
    if not taken:
        return (Breach.LOST, f"paid at the platform, nothing taken of the {pocket.value}") if due else None
    taking = taken[0]
    if ours.state != _SETTLED:
        breach = Breach.STILL_BOOKED if ours.state in UNDONE_HERE else Breach.GHOST
        return breach, f"{ours.state} at the platform, {taking.amount_fen} fen of the {pocket.value} not given back"
    if taking.person_id != ours.payer_id:
        return Breach.WRONG_PERSON, f"the {pocket.value} of {taking.person_id}, not of {ours.payer_id}"
    if taking.amount_fen != due:
        return Breach.AMOUNT, f"{taking.amount_fen} fen taken of the {pocket.value}, {due} at the platform"
    return None
