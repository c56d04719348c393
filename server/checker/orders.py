"""Which bills come to the terminals? A stream for each, from the seed: who pays, how much, and what follows."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_THEN: Final = ("keep", "repeat", "cancel", "reverse", "overtake")
_THEN_WEIGHTS: Final = (70, 8, 8, 8, 6)
_TOTAL_FEN: Final = (100, 30_000)
_NOT_COVERED_ONE_IN: Final = 4


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


def orders(*, seed: int, terminal: str, payers: Sequence[int]) -> Iterator[BillOrder]:
    """Yield the bills of one terminal, without end."""
    dice = random.Random(f"{seed}/orders/{terminal}")  # noqa: S311 - repeatable on purpose
    number = 0
    while True:
        number += 1
        total_fen = dice.randint(*_TOTAL_FEN)
        yield BillOrder(
            bill_number=f"{terminal}-{number}",
            terminal=terminal,
            payer=dice.choice(payers),
            total_fen=total_fen,
            not_covered_fen=0 if dice.randrange(_NOT_COVERED_ONE_IN) else dice.randint(0, total_fen),
            then=dice.choices(_THEN, _THEN_WEIGHTS)[0],
        )
