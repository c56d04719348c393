"""How are refusals of the self-paid part answered? Part of the one table in errors.py, kept apart for its length."""

from types import MappingProxyType

from grpc import StatusCode

from server.answers import Answer
from server.settlement.self_pay import errors as self_pay

SELF_PAY = MappingProxyType(
    {
        self_pay.SelfPayInvalidError: Answer(
            code=StatusCode.INVALID_ARGUMENT,
            public="Each channel may be named once, and together they pay the self-paid part, less what is prepaid.",
            details=("due_fen",),
            field="self_pay",
        ),
        self_pay.ChannelNotForThisError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="This channel does not pay for this business; the quote's offers name those that do.",
        ),
        self_pay.CreditRefusedError: Answer(
            code=StatusCode.FAILED_PRECONDITION,
            public="No credit is given to this person now. Offer another channel, or cash.",
        ),
        self_pay.CreditLineUnknownError: Answer(
            code=StatusCode.NOT_FOUND, public="No credit was approved for this person."
        ),
        self_pay.CreditLimitInvalidError: Answer(
            code=StatusCode.INVALID_ARGUMENT,
            public="The limit is above what may be approved.",
            details=("limit_fen_max",),
            field="limit_fen",
        ),
        self_pay.CreditLimitBelowDebtError: Answer(
            code=StatusCode.FAILED_PRECONDITION, public="More is owed than this limit allows.", details=("owed_fen",)
        ),
        self_pay.RepaymentTooLargeError: Answer(
            code=StatusCode.INVALID_ARGUMENT,
            public="Not so much is owed.",
            details=("owed_fen",),
            field="amount_fen",
        ),
    }
)
