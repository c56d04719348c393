"""What can go wrong with money, in the words of the settlement room."""

from datetime import timedelta


class SettlementError(Exception):
    """Anything the settlement room refuses or cannot do."""

    reason = "SETTLEMENT"


class TransactionIdNotV7Error(SettlementError):
    """A transaction id is no UUIDv7 in its usual form."""

    reason = "TRANSACTION_ID_NOT_V7"


class TransactionIdTimeError(SettlementError):
    """A new transaction id was made too far in the past or in the future; the terminal's clock is probably wrong."""

    reason = "TRANSACTION_ID_TIME"

    def __init__(self, *, ahead: timedelta) -> None:
        super().__init__(f"transaction id is {ahead} ahead of our clock")
        self.ahead = ahead


class TransactionIdReusedError(SettlementError):
    """The id belongs to another request. Nothing is said about that one."""

    reason = "TRANSACTION_ID_REUSED"


class BillInvalidError(SettlementError):
    """A bill's amounts contradict each other or go over the bound."""

    reason = "BILL_INVALID"

    def __init__(self, *, field: str) -> None:
        super().__init__(field)
        self.field = field


class BusinessTypeNotPayableError(SettlementError):
    """Nothing is paid for under this use type."""

    reason = "BUSINESS_TYPE_NOT_PAYABLE"

    def __init__(self, *, business_type: int) -> None:
        super().__init__(str(business_type))
        self.business_type = business_type


class AuthorizationMissingError(SettlementError):
    """An ID number alone pays nothing (I12)."""

    reason = "AUTHORIZATION_MISSING"

    def __init__(self, *, ways: tuple[str, ...]) -> None:
        super().__init__(", ".join(ways))
        self.ways = ways


class PinRequiredError(SettlementError):
    """Above the PIN-free limit, and neither a PIN nor, where it may be, a practitioner came with the face."""

    reason = "PIN_REQUIRED"

    def __init__(self, *, pin_free_fen: int, staff_may_confirm: bool = False, field: str = "") -> None:
        super().__init__(f"above {pin_free_fen} fen")
        self.field = field
        self.pin_free_fen = pin_free_fen
        self.staff_may_confirm = staff_may_confirm


class AmountOverLimitError(SettlementError):
    """The bill is above what the face assertion is good for."""

    reason = "AMOUNT_OVER_LIMIT"

    def __init__(self, *, limit_fen: int) -> None:
        super().__init__(f"above {limit_fen} fen")
        self.limit_fen = limit_fen


class QuoteUnknownError(SettlementError):
    """There is no such open quote for this terminal: never made, used up, or long expired."""

    reason = "QUOTE_UNKNOWN"


class QuoteExpiredError(SettlementError):
    """The quote's time is over; ask for a new one."""

    reason = "QUOTE_EXPIRED"


class QuoteMismatchError(SettlementError):
    """The bill or the person is not the quoted one."""

    reason = "QUOTE_MISMATCH"


class QuoteOutdatedError(SettlementError):
    """The shares would no longer be as quoted, because something else was paid since; ask for a new one."""

    reason = "QUOTE_OUTDATED"


class InsufficientFundError(SettlementError):
    """An account does not hold what it would have to pay."""

    reason = "INSUFFICIENT_FUND"

    def __init__(self, *, account_kind: str) -> None:
        super().__init__(account_kind)
        self.account_kind = account_kind


class InsurerRefusedError(SettlementError):
    """The insurer said no; nothing moved."""

    reason = "INSURER_REFUSED"

    def __init__(self, *, code: str) -> None:
        super().__init__(code)
        self.code = code


class InsurerUnavailableError(SettlementError):
    """The insurer cannot be asked right now, and nothing is in doubt because of it."""

    reason = "INSURER_UNAVAILABLE"


class OutcomeUnknownError(SettlementError):
    """Nobody knows yet whether the insurer booked it; the same request later tells."""

    reason = "OUTCOME_UNKNOWN"

    def __init__(self, *, retry_after: timedelta) -> None:
        super().__init__(f"again in {retry_after}")
        self.retry_after = retry_after


class SettlementNotFoundError(SettlementError):
    """The caller has no such settlement; whether another terminal has is not said (I1)."""

    reason = "SETTLEMENT_NOT_FOUND"


class NotSettledError(SettlementError):
    """Only a settled bill can be cancelled."""

    reason = "NOT_SETTLED"

    def __init__(self, *, state: str) -> None:
        super().__init__(state)
        self.state = state


class CancelTooLateError(SettlementError):
    """A bill is cancelled on the day it was paid, or not at all."""

    reason = "CANCEL_TOO_LATE"


class ReversalTooLateError(SettlementError):
    """The settlement is too old for its outcome to be in doubt."""

    reason = "REVERSAL_TOO_LATE"


class TransactionReversedError(SettlementError):
    """The transaction was reversed and can never be paid."""

    reason = "TRANSACTION_REVERSED"


class TransactionCancelledError(SettlementError):
    """The transaction was paid and then cancelled; it is not paid again."""

    reason = "TRANSACTION_CANCELLED"


class ContributionInvalidError(SettlementError):
    """A contribution is above zero and below a trillion yuan."""

    reason = "CONTRIBUTION_INVALID"


class PostingUnbalancedError(SettlementError):
    """The entries of a posting do not sum to zero, or there are none; the caller is wrong."""

    reason = "POSTING_UNBALANCED"


class PostingRepeatedError(SettlementError):
    """This contribution was booked before, under the same reference."""

    reason = "POSTING_REPEATED"

    def __init__(self, *, posting_id: str) -> None:
        super().__init__(posting_id)
        self.posting_id = posting_id


class AccountUnknownError(SettlementError):
    """A posting names an account that was never opened."""

    reason = "ACCOUNT_UNKNOWN"

    def __init__(self, *, account_id: str) -> None:
        super().__init__(account_id)
        self.account_id = account_id


class RulesInvalidError(SettlementError):
    """The benefit rules contradict themselves; every problem is listed."""

    reason = "RULES_INVALID"

    def __init__(self, *, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class NotADeadLetterError(SettlementError):
    """Only a settlement that was given up on is for an operator to decide or to have tried anew."""

    reason = "NOT_A_DEAD_LETTER"


class ReversalWantedError(SettlementError):
    """Its terminal wanted it undone, and may have told the patient so: it cannot end as settled."""

    reason = "REVERSAL_WANTED"


class ClosingContradictedError(SettlementError):
    """The insurer was asked once more, and says otherwise."""

    reason = "CLOSING_CONTRADICTED"

    def __init__(self, *, insurer: str) -> None:
        super().__init__(insurer)
        self.insurer = insurer


class ReconciliationUnderWayError(SettlementError):
    """Another replica or command is comparing the books at this moment."""

    reason = "RECONCILIATION_UNDER_WAY"


class ReconciliationTooLargeError(SettlementError):
    """A day has more settlements than one comparison takes."""

    reason = "RECONCILIATION_TOO_LARGE"

    def __init__(self, *, settlements: int) -> None:
        super().__init__(f"{settlements} settlements")
        self.settlements = settlements


class ReconciliationItemUnknownError(SettlementError):
    """There is no such open item."""

    reason = "RECONCILIATION_ITEM_UNKNOWN"


class ReconciliationItemStateError(SettlementError):
    """The item's state does not allow this; only a proposed repair is confirmed, and what is closed stays closed."""

    reason = "RECONCILIATION_ITEM_STATE"

    def __init__(self, *, state: str) -> None:
        super().__init__(state)
        self.state = state
