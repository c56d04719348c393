"""What is behind a difference, and what should be done? Pure: the statement, and our books as they are now.

Between our reading of the books and the insurer's answer bills are paid and cancelled. A difference counts only if it
is still one when both have been looked at again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from server.settlement.model import SettlementState
from server.settlement.reconciliation.ours import IN_DOUBT, NOT_PAID, Standing
from server.settlement.reconciliation.statements import Difference, DifferenceClass


class Proposal(StrEnum):
    """What we would do about a difference."""

    REVERSE_THERE = "REVERSE_THERE"
    """It is undone here, or was refused, and is paid there: reverse it there, when an operator confirms."""
    PERSON = "PERSON"
    """Somebody has to compare both books; no machine may move money on this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A difference that counts."""

    difference: Difference
    proposal: Proposal


def still_there(difference: Difference, ours: Standing | None, *, day: date) -> bool:
    """Return whether a difference is one by our books of this moment.

    What is in doubt is the resolver's. What was settled, or undone, after we had read our books is none: the insurer,
    asked later, knew already. A booking around midnight may stand on our next day.
    """
    if difference.transaction_id is None:  # the insurer's own number, or the totals: nothing here to look at again
        return True
    if ours is not None and ours.state in IN_DOUBT:
        return False
    match difference.difference_class:
        case DifferenceClass.OURS_ONLY | DifferenceClass.AMOUNT:
            return ours is not None and ours.state is SettlementState.SETTLED and ours.day == day
        case DifferenceClass.THEIRS_ONLY:
            return ours is None or ours.state is not SettlementState.SETTLED
        case DifferenceClass.STATE:
            is_paid_here = ours is not None and ours.state is SettlementState.SETTLED
            return is_paid_here is not difference.stands_there


def proposal_for(difference: Difference, ours: Standing | None, *, can_reverse: bool) -> Proposal:
    """Return what to do about it; an insurer in house has no reversal that could come too late."""
    is_over_here = ours is not None and ours.state in NOT_PAID
    if can_reverse and is_over_here and difference.stands_there and difference.transaction_id:
        return Proposal.REVERSE_THERE
    return Proposal.PERSON


def to_ask_again(differences: Sequence[Difference]) -> list[str]:
    """Return the transactions that only we have: one question each may show that the statement is late."""
    return [
        difference.transaction_id
        for difference in differences
        if difference.difference_class is DifferenceClass.OURS_ONLY and difference.transaction_id is not None
    ]


def judged(
    differences: Sequence[Difference],
    ours: Mapping[str, Standing],
    *,
    day: date,
    booked_there: Collection[str],
    can_reverse: bool = True,
) -> list[Judged]:
    """Return the differences that count, with what to do about each.

    Args:
        differences: as the statement has them.
        ours: our books at this moment.
        day: the day of the statement.
        can_reverse: whether the insurer can be asked to undo one.
        booked_there: transactions only we have by the statement, but which the insurer says it has when it is asked.
    """
    counting = []
    for difference in differences:
        standing = ours.get(difference.transaction_id) if difference.transaction_id else None
        if difference.transaction_id in booked_there:
            continue
        if still_there(difference, standing, day=day):
            counting.append(
                Judged(difference=difference, proposal=proposal_for(difference, standing, can_reverse=can_reverse))
            )
    return counting
