"""Money: who pays what of a bill, once and for all to see. The door is the SettlementDesk."""

from server.settlement.desk import SettlementDesk
from server.settlement.errors import SettlementError
from server.settlement.ledger import Account, AccountKind, Ledger, LedgerReport
from server.settlement.limits import SettlementLimits
from server.settlement.model import (
    Authorization,
    BareIdNumber,
    Bill,
    CardAuthorization,
    CodeAuthorization,
    FaceAuthorization,
    Quote,
    Receipt,
    Reckoning,
    Reversal,
    Settlement,
    SettlementState,
    Shares,
)
from server.settlement.resolve import Resolver, ResolverPolicy

__all__ = [
    "Account",
    "AccountKind",
    "Authorization",
    "BareIdNumber",
    "Bill",
    "CardAuthorization",
    "CodeAuthorization",
    "FaceAuthorization",
    "Ledger",
    "LedgerReport",
    "Quote",
    "Receipt",
    "Reckoning",
    "Resolver",
    "ResolverPolicy",
    "Reversal",
    "Settlement",
    "SettlementDesk",
    "SettlementError",
    "SettlementLimits",
    "SettlementState",
    "Shares",
]
