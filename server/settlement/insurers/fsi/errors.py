"""What can go wrong between us and a provincial core; but for a plain refusal, all of it means: nobody knows.

None of these reaches a caller. `Upstream` turns what a quote raises into INSURER_UNAVAILABLE and whatever else a
settlement raises into a settlement in doubt; the reason is for metrics and logs, and no text here holds what a core
wrote, because that may be a name.
"""

from typing import ClassVar


class FsiError(Exception):
    """Something is wrong with the core, the line or our settings."""

    reason: ClassVar[str] = "FSI"


class AmountUnreadableError(FsiError):
    """No amount in yuan with at most two decimals."""

    reason = "AMOUNT_UNREADABLE"


class FieldUnfitError(FsiError):
    """A value of ours does not fit the profile's field; nothing was sent."""

    reason = "FIELD_UNFIT"

    def __init__(self, *, field: str) -> None:
        super().__init__(field)
        self.field = field


class NotSentError(FsiError):
    """No connection came about, or the breaker is open: the core certainly heard nothing."""

    reason = "NOT_SENT"


class LineBrokenError(FsiError):
    """The request may have arrived; no answer came in time."""

    reason = "LINE_BROKEN"


class AnswerGarbledError(FsiError):
    """Something came back that is no answer of a core."""

    reason = "ANSWER_GARBLED"

    def __init__(self, *, what: str) -> None:
        super().__init__(what)
        self.what = what


class AnswerForeignError(AnswerGarbledError):
    """The answer belongs to another message."""

    reason = "ANSWER_FOREIGN"


class AnswerUnsignedError(AnswerGarbledError):
    """The profile wants the core's signature, and this is none."""

    reason = "ANSWER_UNSIGNED"


class CoreRefusedError(FsiError):
    """The core read the message and said no."""

    reason = "CORE_REFUSED"

    def __init__(self, *, infcode: str, err_msg: str) -> None:
        super().__init__(infcode)
        self.infcode = infcode
        self.err_msg = err_msg
        """Verbatim; may hold names. Sealed with the message, never logged or handed on."""


class CoreDoubtfulError(FsiError):
    """An answer that is neither yes nor no, such as a gateway's."""

    reason = "CORE_DOUBTFUL"

    def __init__(self, *, infcode: str, err_msg: str) -> None:
        super().__init__(infcode)
        self.infcode = infcode
        self.err_msg = err_msg


class OutcomeDisagreesError(FsiError):
    """What the core says it booked is not what was quoted, or does not add up."""

    reason = "OUTCOME_DISAGREES"

    def __init__(self, *, field: str) -> None:
        super().__init__(field)
        self.field = field


class ReversalUnprovenError(FsiError):
    """The core answered a reversal, but still has the settlement, or may still get it."""

    reason = "REVERSAL_UNPROVEN"


class MessageIdsExhaustedError(FsiError):
    """So many messages were numbered that the next number would lie too far ahead of the clock; nothing was sent."""

    reason = "MESSAGE_IDS_EXHAUSTED"


class VisitTakenError(FsiError):
    """The bill was settled, numbered by another quote, or its visit dropped while it was quoted; nothing moved.

    A quote asked for anew finds the visit as it is, or begins another.
    """

    reason = "VISIT_TAKEN"


class VisitUnknownError(FsiError):
    """There is no quote of ours for this bill any more; nothing was sent."""

    reason = "VISIT_UNKNOWN"
