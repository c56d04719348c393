"""Which difference counts, and what is proposed: every class against every state of ours."""

from datetime import UTC, date, datetime, timedelta

import pytest

from server.convert import day as day_from
from server.refusals import InvalidRequestError
from server.settlement.model import SettlementState
from server.settlement.quote import CHINA
from server.settlement.reconciliation.days import bounds_of, day_of
from server.settlement.reconciliation.judging import Proposal, judged
from server.settlement.reconciliation.ledger_statements import first_id
from server.settlement.reconciliation.ours import Standing
from server.settlement.reconciliation.statements import Difference, DifferenceClass
from tests.support.money import an_id

DAY = date(2026, 3, 2)
PAID = Standing(state=SettlementState.SETTLED, day=DAY, insured_fen=5)
PAID_NEXT_DAY = Standing(state=SettlementState.SETTLED, day=DAY + timedelta(days=1), insured_fen=5)
UNDONE = Standing(state=SettlementState.REVERSED, day=DAY, insured_fen=5)
FAILED = Standing(state=SettlementState.FAILED, day=None, insured_fen=5)
DOUBTFUL = Standing(state=SettlementState.UNKNOWN, day=DAY, insured_fen=5)
OURS, THEIRS, AMOUNT, STATE = DifferenceClass


def outcome(kind: DifferenceClass, ours: Standing | None, theirs_fen: int | None) -> Proposal | None:
    """Return what is proposed about one difference, None when it does not count."""
    difference = Difference(difference_class=kind, transaction_id="t", ours_fen=5, theirs_fen=theirs_fen)
    found = judged([difference], {} if ours is None else {"t": ours}, day=DAY, booked_there=())
    return found[0].proposal if found else None


@pytest.mark.parametrize(
    ("kind", "ours", "theirs_fen", "expected"),
    [
        (OURS, PAID, None, Proposal.PERSON),
        (OURS, UNDONE, None, None),  # undone while they were asked
        (OURS, DOUBTFUL, None, None),
        (THEIRS, None, 5, Proposal.PERSON),  # perhaps our database was restored
        (THEIRS, UNDONE, 5, Proposal.REVERSE_THERE),
        (THEIRS, FAILED, 5, Proposal.REVERSE_THERE),
        (THEIRS, FAILED, 0, Proposal.PERSON),  # nothing stands there that could be undone
        (THEIRS, PAID, 5, None),  # paid while they were asked
        (THEIRS, PAID_NEXT_DAY, 5, None),  # booked around midnight
        (THEIRS, DOUBTFUL, 5, None),
        (AMOUNT, PAID, 6, Proposal.PERSON),
        (AMOUNT, UNDONE, 6, None),
        (STATE, UNDONE, 5, Proposal.REVERSE_THERE),
        (STATE, PAID, 0, Proposal.PERSON),
        (STATE, PAID, 5, None),
        (STATE, UNDONE, 0, None),
    ],
)
def test_a_difference_counts_when_it_still_is_one_and_only_what_is_not_paid_here_is_undone_there(
    kind: DifferenceClass, ours: Standing | None, theirs_fen: int | None, expected: Proposal | None
) -> None:
    assert outcome(kind, ours, theirs_fen) is expected


@pytest.mark.parametrize(
    ("kind", "ours", "stands_there", "expected"),
    [
        (STATE, UNDONE, True, Proposal.REVERSE_THERE),
        (THEIRS, UNDONE, True, Proposal.REVERSE_THERE),
        (STATE, UNDONE, False, None),
        (STATE, PAID, False, Proposal.PERSON),
        (STATE, PAID, True, None),
    ],
)
def test_a_bill_that_the_insurance_pays_nothing_of_is_no_less_a_difference(
    kind: DifferenceClass, ours: Standing, *, stands_there: bool, expected: Proposal | None
) -> None:
    difference = Difference(
        difference_class=kind, transaction_id="t", ours_fen=0, theirs_fen=0, theirs_stands=stands_there
    )

    found = judged([difference], {"t": ours}, day=DAY, booked_there=())

    assert (found[0].proposal if found else None) is expected


def test_a_day_begins_and_ends_at_the_platforms_midnight() -> None:
    begins, ends = bounds_of(DAY, CHINA)

    assert begins == datetime(2026, 3, 1, 16, tzinfo=UTC)
    assert ends - begins == timedelta(days=1)
    assert (day_of(begins, CHINA), day_of(ends, CHINA)) == (DAY, DAY + timedelta(days=1))


def test_ids_made_in_a_day_lie_between_the_first_of_it_and_the_first_of_the_next() -> None:
    begins, ends = bounds_of(DAY, CHINA)
    moments = (begins - timedelta(milliseconds=1), begins, ends - timedelta(milliseconds=1), ends)

    inside = [first_id(begins) <= an_id(moment) < first_id(ends) for moment in moments]

    assert inside == [False, True, True, False]


@pytest.mark.parametrize("text", ["2026-02-30", "0001-01-01", "9999-12-31", "1969-12-31"])
def test_a_day_that_no_calendar_of_ours_has_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        day_from(text, "day")

    assert [violation.field for violation in refused.value.violations] == ["day"]
