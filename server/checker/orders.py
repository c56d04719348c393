"""Which bills come to the terminals? A stream for each, from the seed: who pays, how much, with what, what follows."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

BY_CARD: Final = "card"
BY_CODE: Final = "code"
_THEN: Final = ("keep", "repeat", "cancel", "reverse", "overtake")
_THEN_WEIGHTS: Final = (70, 8, 8, 8, 6)
_TOTAL_FEN: Final = (100, 30_000)
_NOT_COVERED_ONE_IN: Final = 2
_BUSY_ONE_IN: Final = 4
"""Of the people: they get half of all bills, so that several terminals have the same person's at once."""
_BY_CODE_ONE_IN: Final = 3
_FOR_RELATIVE_ONE_IN: Final = 3
"""Of the bills of those who have one."""
_SELF_PAY: Final = ((), ("electronic",), ("credit",), ("electronic", "credit"), ("credit", "electronic"))
_SELF_PAY_WEIGHTS: Final = (4, 4, 3, 3, 2)
_PART_FEN: Final = (1_000, 5_000, 30_000)
"""A channel pays so much at most; the last is a whole bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BillOrder:
    """One bill for one terminal."""

    bill_number: str
    """Its own, in the whole run."""
    terminal: str
    payer: int
    """Which of the run's people pays, from 0."""
    total_fen: int
    not_covered_fen: int
    then: str
    """What is done with it, as the till takes it: keep, repeat, cancel, reverse, overtake."""
    by: str = BY_CARD
    """What is shown for it, as the till takes it: card, code."""
    self_pay: str = ""
    """How much each channel pays of the self-paid part at most, as the till takes it."""
    is_for_relative: bool = False
    """Whether the payer's relative was treated."""


def orders(
    *, seed: int, terminal: str, payers: Sequence[int], with_relative: Collection[int] = frozenset()
) -> Iterator[BillOrder]:
    """Yield the bills of one terminal, without end; `with_relative` are the payers who have a relative to pay for."""
    dice = random.Random(f"{seed}/orders/{terminal}")  # noqa: S311 - repeatable on purpose
    busy = payers[: max(1, len(payers) // _BUSY_ONE_IN)]
    number = 0
    while True:
        number += 1
        total_fen = dice.randint(*_TOTAL_FEN)
        payer = dice.choice(dice.choice((payers, busy)))
        yield BillOrder(
            bill_number=f"{terminal}-{number}",
            terminal=terminal,
            payer=payer,
            total_fen=total_fen,
            not_covered_fen=0 if dice.randrange(_NOT_COVERED_ONE_IN) else dice.randint(0, total_fen),
            then=dice.choices(_THEN, _THEN_WEIGHTS)[0],
            by=BY_CARD if dice.randrange(_BY_CODE_ONE_IN) else BY_CODE,
            self_pay=_self_pay(dice),
            is_for_relative=not dice.randrange(_FOR_RELATIVE_ONE_IN) and payer in with_relative,
        )


def _self_pay(dice: random.Random) -> str:
    channels = dice.choices(_SELF_PAY, _SELF_PAY_WEIGHTS)[0]
    return ",".join(f"{channel}:{dice.choice(_PART_FEN)}" for channel in channels)
