"""How are refusals about doubts and differences between books answered? Rows of errors.py."""

from datetime import timedelta

from grpc import StatusCode

from server.answers import Answer
from server.settlement import errors as settlement


def _row(code: StatusCode, public: str, *details: str, retry_after: timedelta | None = None) -> Answer:
    return Answer(code=code, public=public, details=details, retry_after=retry_after)


DOUBT: dict[type[Exception], Answer] = {
    settlement.NotADeadLetterError: _row(
        StatusCode.FAILED_PRECONDITION, "The settlement was not given up on. Look at where it stands."
    ),
    settlement.ReversalWantedError: _row(
        StatusCode.FAILED_PRECONDITION, "Its terminal wanted it undone, so it cannot end as settled."
    ),
    settlement.ClosingContradictedError: _row(
        StatusCode.FAILED_PRECONDITION, "The insurer says otherwise. Have it tried anew instead.", "insurer"
    ),
    settlement.ReconciliationUnderWayError: _row(
        StatusCode.UNAVAILABLE,
        "The books are being compared already. Look in a minute.",
        retry_after=timedelta(minutes=1),
    ),
    settlement.ReconciliationTooLargeError: _row(
        StatusCode.FAILED_PRECONDITION, "The day has more settlements than one comparison takes.", "settlements"
    ),
    settlement.ReconciliationItemUnknownError: _row(StatusCode.NOT_FOUND, "There is no such item."),
    settlement.ReconciliationItemStateError: _row(
        StatusCode.FAILED_PRECONDITION, "The item's state does not allow this. Look at it again.", "state"
    ),
}
