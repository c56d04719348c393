"""What can go wrong with the self-paid part."""

from server.settlement.errors import SettlementError


class SelfPayInvalidError(SettlementError):
    """A channel is named twice, or the parts are not together what is to be paid."""

    reason = "SELF_PAY_INVALID"

    def __init__(self, *, due_fen: int) -> None:
        super().__init__(f"{due_fen} fen are to be paid")
        self.due_fen = due_fen


class ChannelNotForThisError(SettlementError):
    """A channel does not pay for this business."""

    reason = "SELF_PAY_NOT_FOR_THIS"


class CreditRefusedError(SettlementError):
    """No credit for this person now: no line was approved, it was stopped, or something owed is overdue."""

    reason = "CREDIT_REFUSED"


class CreditLineUnknownError(SettlementError):
    """No credit was ever approved for this person."""

    reason = "CREDIT_LINE_UNKNOWN"


class CreditLimitInvalidError(SettlementError):
    """The limit is above what may be approved at all."""

    reason = "CREDIT_LIMIT_INVALID"

    def __init__(self, *, limit_fen_max: int) -> None:
        super().__init__(f"at most {limit_fen_max} fen")
        self.limit_fen_max = limit_fen_max


class CreditLimitBelowDebtError(SettlementError):
    """More is owed already than the new limit allows."""

    reason = "CREDIT_LIMIT_BELOW_DEBT"

    def __init__(self, *, owed_fen: int) -> None:
        super().__init__(f"{owed_fen} fen are owed")
        self.owed_fen = owed_fen


class RepaymentTooLargeError(SettlementError):
    """More would be repaid than is owed."""

    reason = "REPAYMENT_TOO_LARGE"

    def __init__(self, *, owed_fen: int) -> None:
        super().__init__(f"{owed_fen} fen are owed")
        self.owed_fen = owed_fen
