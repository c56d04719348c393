"""When is a core not asked any more for a while? A circuit breaker, with the clock handed in."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"
    """One call at a time may find out whether it is over."""


class Breaker:
    """Opens after some failures in a row, lets one call try after a while, closes with the first that succeeds."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        failures_max: int,
        open_for: timedelta,
        on_state: Callable[[BreakerState], None] = lambda _: None,
    ) -> None:
        """Take its bounds.

        Args:
            now: the clock.
            failures_max: failures in a row that open it.
            open_for: how long nothing passes then.
            on_state: told of each change.
        """
        self._now: Final = now
        self._failures_max: Final = failures_max
        self._open_for: Final = open_for
        self._on_state: Final = on_state
        self._failures = 0
        self._opened_at: datetime | None = None
        self._is_trying = False

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        is_over = abs(self._now() - self._opened_at) >= self._open_for  # abs: a clock set back opens it, too
        return BreakerState.HALF_OPEN if is_over else BreakerState.OPEN

    def let_pass(self) -> bool:
        """Return whether a call may be made; who hears True must tell how it ended."""
        state = self.state
        if state is BreakerState.HALF_OPEN and not self._is_trying:
            self._is_trying = True
            self._on_state(state)
            return True
        return state is BreakerState.CLOSED

    def succeeded(self) -> None:
        """Note that a core answered, whatever it said."""
        was_open, self._failures, self._opened_at, self._is_trying = self._opened_at is not None, 0, None, False
        if was_open:
            self._on_state(BreakerState.CLOSED)

    def failed(self) -> None:
        """Note that nothing usable came back."""
        self._failures += 1
        was_trying, self._is_trying = self._is_trying, False
        if was_trying or self._failures >= self._failures_max:
            self._opened_at = self._now()
            self._on_state(BreakerState.OPEN)

    def left(self) -> None:
        """Note that a call ended without telling anything: its caller left."""
        self._is_trying = False
