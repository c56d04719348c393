"""What is asked of somebody who pays the self-paid part with more than cash?"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfPayPolicy:
    """The choices of the self-pay channels; see `[self_pay]` of the configuration, which says why."""

    credit_needs_pin: bool = True
    credit_refused_when_overdue: bool = True
    credit_for_prepayments: bool = False
    credit_limit_fen_max: int = 500_000
