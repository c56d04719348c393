"""Which ways to pay does a site offer beside the face? Noted once a day for each, for the fleet checks.

A site whose terminals only ever offer a face leaves people who refuse it with nothing (I8). What tells it apart is that
nothing else is ever shown to its terminals; so the first card or code of a site's day leaves one small row, and all
that come after it cost nothing.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Final

import structlog
from sqlalchemy import Connection, insert, update

from server.store import StoreError, UnitOfWork
from server.store.tables.outcomes import site_ways

log = structlog.get_logger()


class WaysSeen:
    """Remembers what was noted today, so that the database hears of it once."""

    def __init__(self, *, unit_of_work: UnitOfWork, now: Callable[[], datetime]) -> None:
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._noted: set[tuple[str, str]] = set()
        self._day = date.min

    async def note(self, site_id: str, way: str) -> None:
        """Note that something beside a face was shown at a site; a payment never fails for want of this note."""
        today = self._now().date()
        if today != self._day:
            self._day, self._noted = today, set()
        if (site_id, way) in self._noted:
            return
        self._noted.add((site_id, way))
        try:
            await self._unit_of_work.write(lambda connection: _write(connection, site_id, way, today))
        except StoreError as error:
            self._noted.discard((site_id, way))
            log.warning("way_not_noted", reason=error.reason)


def _write(connection: Connection, site_id: str, way: str, day: date) -> None:
    is_it = (site_ways.c.site_id == site_id, site_ways.c.way == way)
    if not connection.execute(update(site_ways).where(*is_it).values(last_on=day)).rowcount:
        connection.execute(insert(site_ways).values(site_id=site_id, way=way, last_on=day))
