"""What does each call need to do its work? The books, the people, the settlements and the clock, in one place."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from server.core_simulator.books import Books
from server.core_simulator.people import People
from server.core_simulator.settlements import Settlements


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where calls are worked off, one at a time, each inside a transaction of the books."""

    books: Books
    people: People
    settlements: Settlements
    now: Callable[[], datetime]
    """Aware UTC."""
    zone: ZoneInfo
    """Whose days the core counts in."""
    sign_in_lifetime: timedelta

    def here(self) -> datetime:
        """Return the time in the core's own zone."""
        return self.now().astimezone(self.zone)
