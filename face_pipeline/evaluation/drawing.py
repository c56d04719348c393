"""Which of many are measured, when not all are? The same ones for the same seed."""

import random
from typing import TypeVar

Item = TypeVar("Item")


def drawn(items: list[Item], limit: int | None, draw: random.Random) -> list[Item]:
    """Return at most so many, drawn at random, in the order of the labels."""
    if limit is None or len(items) <= limit:
        return items
    return [items[place] for place in sorted(draw.sample(range(len(items)), limit))]
