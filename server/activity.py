"""When was each terminal last used? Asked of the books of faces and money, for the fleet checks."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain

from sqlalchemy import Connection, bindparam, func, select

from device_registry.tables import sites
from server.store.tables.people import consents
from server.store.tables.settlement import settlements

CLOCKS_OFF_BY = timedelta(days=1)
"""A terminal makes its transaction ids by its own clock; use on one farther behind is not found, its clock is."""

_HAS_HOURS = sites.c.opening_hours.is_not(None)
# By site and time: the index that is there.
_FACES = (
    select(consents.c.terminal_id, func.max(consents.c.recorded_at))
    .join(sites, sites.c.site_id == consents.c.site_id)
    .where(_HAS_HOURS, consents.c.recorded_at >= bindparam("since"))
    .group_by(consents.c.terminal_id)
)
# By primary key: a UUIDv7 begins with its time, so that the settlement path needs no further index for this.
_SETTLEMENTS = (
    select(settlements.c.terminal_id, func.max(settlements.c.began_at))
    .join(sites, sites.c.site_id == settlements.c.site_id)
    .where(
        _HAS_HOURS, settlements.c.transaction_id >= bindparam("first_id"), settlements.c.began_at >= bindparam("since")
    )
    .group_by(settlements.c.terminal_id)
)


class FleetActivity:
    """Face sessions and settlements of the terminals whose site has opening hours."""

    def last_uses(self, connection: Connection, *, since: datetime) -> Mapping[str, datetime]:
        """Return when each of them was last used, in two statements."""
        uses: dict[str, datetime] = {}
        faces = connection.execute(_FACES, {"since": since})
        paid = connection.execute(_SETTLEMENTS, {"since": since, "first_id": first_id_of(since - CLOCKS_OFF_BY)})
        for terminal_id, at in chain(faces, paid):
            uses[terminal_id] = max(at, uses.get(terminal_id, at))
        return uses


def first_id_of(moment: datetime) -> str:
    """Return the lowest UUIDv7 of a moment."""
    milliseconds = f"{int(moment.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-000000000000"
