"""Which PINs are guessed first, and how many wrong ones may come from one terminal?"""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from server.credentials.errors import PinGuessableError

_STEPS: Final = (1, 9)
"""Up and down, modulo ten."""


def refuse_guessable(pin: str, *, id_number: str) -> None:
    """Refuse a six-digit PIN that a thief tries first: repeated, counted up or down, or read off the ID card.

    Raises:
        PinGuessableError: without saying which.
    """
    steps = {(int(after) - int(before)) % 10 for before, after in pairwise(pin)}
    is_counted = len(steps) == 1 and steps <= set(_STEPS)
    is_repeated = any(pin == pin[:length] * (len(pin) // length) for length in (1, 2, 3))
    year, month, day = id_number[8:10], id_number[10:12], id_number[12:14]
    is_on_card = pin in id_number or pin in {day + month + year, month + day + year}  # YYMMDD is in the number itself
    if is_counted or is_repeated or is_on_card:
        raise PinGuessableError


class WrongPins:
    """Counts the wrong PINs of each terminal: who tries a few on each of many cards meets this bound, not the lock."""

    def __init__(self, *, now: Callable[[], datetime], wrong_max: int, within: timedelta) -> None:
        self._now: Final = now
        self._wrong_max: Final = wrong_max
        self._within: Final = within
        self._wrong: Final[dict[str, list[datetime]]] = {}  # bounded by the fleet: callers have a certificate

    def wait(self, terminal_id: str) -> timedelta:
        """Return how long the terminal has to wait before its next PIN is looked at."""
        recent = self._recent(terminal_id)
        return recent[-self._wrong_max] + self._within - self._now() if len(recent) >= self._wrong_max else timedelta()

    def note(self, terminal_id: str) -> bool:
        """Count one; return whether the bound is reached with it."""
        recent = [*self._recent(terminal_id), self._now()]
        self._wrong[terminal_id] = recent
        return len(recent) == self._wrong_max

    def take_back(self, terminal_id: str) -> None:
        """Forget the last one that was counted: it was counted before it was known, and was right."""
        self._wrong[terminal_id] = self._recent(terminal_id)[:-1]

    def _recent(self, terminal_id: str) -> list[datetime]:
        since = self._now() - self._within
        return [at for at in self._wrong.get(terminal_id, ()) if at > since]
