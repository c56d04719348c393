"""What can be set about the part of a bill that no insurance pays?"""

from dataclasses import dataclass
from typing import Annotated

from server.settings import Between


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfPaySettings:
    """The self-paid part: electronic accounts and credit; see docs/operations/self-pay.md."""

    credit_needs_pin: bool = True
    """Whether credit asks for the PIN beside a face or a code, whatever the amount, or for a practitioner where one may
    stand in for it. A wrong accept would leave somebody with a debt, of which they hear weeks later."""
    electronic_account_needs_pin: bool = False
    """The same for the electronic account. It pays what lies in it, like the personal account of the insurance; the
    PIN-free limits hold for both."""
    credit_refused_when_overdue: bool = True
    """Whether somebody with an overdue debt gets no further credit."""
    credit_for_prepayments: bool = False
    """Whether credit also pays admissions and prepayments (01103, 01104). What is left of a prepayment is given back in
    cash at the end of the stay, so that credit would become cash."""
    credit_limit_fen_max: Annotated[int, Between(0, 100_000_000)] = 500_000
    """The highest limit that may be approved for one person, in fen."""
    credit_pay_within_days: Annotated[int, Between(1, 365)] = 30
    """Days after which what was taken on credit is due, where the approval says nothing else."""
