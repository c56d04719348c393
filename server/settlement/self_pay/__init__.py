"""From where does the part come that no insurance pays? The electronic account, credit, and cash.

Each is a `SelfPayChannel`; `SelfPays` knows them all. What they take, they take in the settlement's own transaction,
and give back in the one that undoes it.
"""

from server.settlement.self_pay.channel import SelfPayChannel, Taking
from server.settlement.self_pay.channels import SelfPays
from server.settlement.self_pay.credit import CreditLines
from server.settlement.self_pay.policy import SelfPayPolicy

__all__ = ["CreditLines", "SelfPayChannel", "SelfPayPolicy", "SelfPays", "Taking"]
