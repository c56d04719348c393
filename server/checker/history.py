"""What happened, in order? Every order given, everything a terminal said, every fault: kept in memory and in a file."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from server.checker.orders import BillOrder

PAID: Final = "paid"
"""A receipt was in the cashier's hand: the settlement is acknowledged."""
ASKING: Final = "asking"
OUTCOME: Final = "outcome"
REPEATED: Final = "repeated"
MONEY_FIELDS: Final = (
    "total_fen",
    "pooled_fund_fen",
    "personal_account_fen",
    "electronic_account_fen",
    "credit_fen",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of the history."""

    ms: int
    who: str
    """A terminal, or `checker`."""
    life: int
    """Which of its lives."""
    what: Mapping[str, Any]

    @property
    def event(self) -> str:
        """What kind of line it is."""
        return str(self.what.get("event", ""))


@dataclass(slots=True, kw_only=True)
class History:
    """All of a run, as it was seen from outside."""

    orders: dict[str, BillOrder] = field(default_factory=dict)
    """By bill number."""
    happenings: list[Happening] = field(default_factory=list)
    file: Path | None = None
    began: float = field(default_factory=time.monotonic)

    def order(self, order: BillOrder, *, life: int) -> None:
        """Note that a terminal was given a bill."""
        self.orders[order.bill_number] = order
        self.note(order.terminal, life, {"event": "order", **asdict(order)})

    def note(self, who: str, life: int, what: Mapping[str, Any]) -> None:
        """Note one thing."""
        happening = Happening(ms=round((time.monotonic() - self.began) * 1000), who=who, life=life, what=what)
        self.happenings.append(happening)
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(asdict(happening), ensure_ascii=False) + "\n")

    def said(self, event: str) -> Iterator[Happening]:
        """Yield what the terminals said of one kind."""
        return (happening for happening in self.happenings if happening.event == event)

    def of(self, transaction_id: str, bill_number: str = "") -> list[Happening]:
        """Return everything about one transaction, oldest first."""
        return [
            happening
            for happening in self.happenings
            if happening.what.get("transaction_id") == transaction_id
            or (bill_number and happening.what.get("bill_number") == bill_number)
        ]

    def acknowledged(self) -> dict[str, Happening]:
        """Return what was acknowledged, by transaction: the first receipt of each."""
        found: dict[str, Happening] = {}
        for happening in self.said(PAID):
            found.setdefault(str(happening.what["transaction_id"]), happening)
        return found

    def outcomes(self) -> dict[str, list[str]]:
        """Return what each transaction was told to have become, in order."""
        found = defaultdict[str, list[str]](list)
        for happening in self.said(OUTCOME):
            found[str(happening.what["transaction_id"])].append(str(happening.what["outcome"]))
        return found
