"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Hands out the time a test has set; pass `clock.now` wherever the platform asks for its clock."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """Return the time."""
        return self._now

    def advance(self, by: timedelta) -> datetime:
        """Move on, or back with a negative span, and return the new time."""
        self._now += by
        return self._now

    def set(self, to: datetime) -> datetime:
        """Go to a moment and return it."""
        self._now = to
        return to
