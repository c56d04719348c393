"""What the embedded insurer refuses beyond what every insurer does."""

from datetime import date

from server.settlement.errors import SettlementError


class RulesNotInForceError(SettlementError):
    """No set of benefit rules is in force on this day; the operator's file begins later."""

    reason = "RULES_NOT_IN_FORCE"

    def __init__(self, *, day: date) -> None:
        super().__init__(day.isoformat())
        self.day = day


class ChronicDiseaseNotRegisteredError(SettlementError):
    """The person is not registered for the disease that the bill is for. Which disease it was is not repeated."""

    reason = "CHRONIC_DISEASE_NOT_REGISTERED"


class StayForeignError(SettlementError):
    """The stay is another person's."""

    reason = "STAY_FOREIGN"


class StaySettledError(SettlementError):
    """The stay is settled: nothing is paid into it or taken from it until that settlement is cancelled."""

    reason = "STAY_SETTLED"


class PeriodInvalidError(SettlementError):
    """A registration ends before it begins."""

    reason = "PERIOD_INVALID"
