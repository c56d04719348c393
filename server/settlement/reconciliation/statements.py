"""How does an insurer compare its statement with our books? The port: totals first, details only where they differ.

Only what stands is compared: of the transactions that were settled on a day, those that nobody has undone since, so
that a bill cancelled in the afternoon is on neither side. Transactions in doubt are left to the resolver; an insurer
that has one of them may tell it, and is not heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol


class DifferenceClass(StrEnum):
    """How the two books differ about one transaction."""

    OURS_ONLY = "OURS_ONLY"
    """We have it paid, the insurer knows nothing of it."""
    THEIRS_ONLY = "THEIRS_ONLY"
    """The insurer has it paid, we do not."""
    AMOUNT = "AMOUNT"
    """Both have it paid, with other amounts."""
    STATE = "STATE"
    """Both know it, one has it undone and the other paid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTotal:
    """What stands of one day, of one site and one business type; a day without any has no totals."""

    site_id: str
    business_type: int
    """National use type without its leading zero."""
    settlements: int
    total_fen: int
    """Whole bills."""
    pooled_fund_fen: int
    personal_account_fen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One transaction of that day: it was settled then, and stands or was undone since."""

    transaction_id: str
    site_id: str
    business_type: int
    stands: bool
    """False when it was cancelled or reversed since, and the money moved back."""
    settled_at: datetime
    total_fen: int
    pooled_fund_fen: int
    personal_account_fen: int

    @property
    def insured_fen(self) -> int:
        """What the insurance pays of it: fund and account."""
        return self.pooled_fund_fen + self.personal_account_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One transaction about which the two books differ."""

    difference_class: DifferenceClass
    transaction_id: str | None
    """Ours, where it is known or can be found from the insurer's reference."""
    reference: str = ""
    """The insurer's own number, up to 64 characters; nothing personal. Needed where there is no transaction id."""
    ours_fen: int | None
    """What our book has the insurance pay (fund and account); 0 when it is undone, None when it is not there at all."""
    theirs_fen: int | None
    """The same by the insurer's book."""
    theirs_stands: bool | None = None
    """Whether it is paid there; None: where it pays anything. A bill below the deductible stands there with 0."""

    @property
    def stands_there(self) -> bool:
        """Whether the insurer has it paid."""
        return bool(self.theirs_fen) if self.theirs_stands is None else self.theirs_stands


class Statements(Protocol):
    """An insurer's statement of a day, by the platform's calendar."""

    async def totals_agree(self, day: date, ours: Sequence[StatementTotal]) -> bool:
        """Return whether its totals of a day are ours (3201).

        Raises:
            Exception: nobody knows; the day stays open and is asked about again.
        """
        ...

    async def differences(self, day: date, ours: Sequence[StatementLine]) -> Sequence[Difference]:
        """Return where its transactions of a day and ours differ (3202); to be asked when the totals do.

        Args:
            day: of settlement.
            ours: all of our transactions of that day, also those that do not stand any more.

        Raises:
            Exception: as above.
        """
        ...
