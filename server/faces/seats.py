"""How many face sessions run at once, and whose? Bounded, so that one terminal cannot starve another (I11)."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from server.refusals import FaceSessionsFullError, FaceSessionsOpenError

RETRY_AFTER = timedelta(seconds=2)


class FaceSeats:
    """A number of places; the last half of them is kept for terminals that have none."""

    def __init__(self, *, total: int, per_terminal: int) -> None:
        self._total = total
        self._per_terminal = per_terminal
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken.total()

    @contextmanager
    def seat(self, terminal_id: str) -> Iterator[None]:
        """Hold a place while the block runs.

        Raises:
            FaceSessionsOpenError: the terminal has as many as it may.
            FaceSessionsFullError: all places are taken, or those left are kept for terminals that have none.
        """
        mine = self._taken[terminal_id]
        if mine >= self._per_terminal:
            raise FaceSessionsOpenError(retry_after=RETRY_AFTER)
        if self.taken >= (self._total if mine == 0 else self._total // 2):
            raise FaceSessionsFullError(retry_after=RETRY_AFTER)
        self._taken[terminal_id] += 1
        try:
            yield
        finally:
            self._taken[terminal_id] -= 1
            if not self._taken[terminal_id]:
                del self._taken[terminal_id]
