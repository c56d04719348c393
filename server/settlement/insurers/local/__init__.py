"""The embedded insurer: rules as data, split by pure arithmetic, booked in our own ledger."""

from server.settlement.insurers.local.insurer import LocalInsurer
from server.settlement.insurers.local.rules import RuleBook
from server.settlement.insurers.local.rules_file import load_rules

__all__ = ["LocalInsurer", "RuleBook", "load_rules"]
