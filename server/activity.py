"""When was each terminal last used, and how did its face sessions end? Asked of the books, for the fleet checks."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import chain

from sqlalchemy import Connection, bindparam, func, select

from device_registry.fleet.attacks import CameraPast, FaceAttacksSeen, FaceOnlySeen
from device_registry.tables import sites, terminals
from server.store.tables.outcomes import DEPTH_BIT, INFRARED_BIT, face_cameras, face_hours, site_ways
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
_ATTACKS = (
    select(
        face_hours.c.terminal_id,
        func.sum(face_hours.c.sessions).label("sessions"),
        func.sum(face_hours.c.attacks).label("attacks"),
        func.sum(face_hours.c.seals_broken).label("seals_broken"),
        func.max(face_hours.c.last_attack_at).label("last_attack_at"),
        func.max(face_hours.c.last_seal_broken_at).label("last_seal_broken_at"),
    )
    .where(face_hours.c.hour >= bindparam("since"))
    .group_by(face_hours.c.terminal_id)
    .having(func.sum(face_hours.c.attacks) > 0)
)
_LEFT = (
    select(
        face_hours.c.terminal_id,
        terminals.c.site_id,
        func.sum(face_hours.c.refused).label("refused"),
        func.sum(face_hours.c.failed).label("failed"),
    )
    .join(terminals, terminals.c.terminal_id == face_hours.c.terminal_id)
    .where(face_hours.c.hour >= bindparam("since"))
    .group_by(face_hours.c.terminal_id, terminals.c.site_id)
    .having(func.sum(face_hours.c.refused + face_hours.c.failed) > 0)
)
_OTHER_WAYS = select(site_ways.c.site_id).where(site_ways.c.last_on >= bindparam("since"))
_LACKING = select(face_cameras).where(face_cameras.c.lacking_sessions > 0)
_BITS = {"NIR": INFRARED_BIT, "DEPTH": DEPTH_BIT}


class FleetActivity:
    """What the books of faces and money say of the terminals."""

    def last_uses(self, connection: Connection, *, since: datetime) -> Mapping[str, datetime]:
        """Return when each of them was last used, in two statements."""
        uses: dict[str, datetime] = {}
        faces = connection.execute(_FACES, {"since": since})
        paid = connection.execute(_SETTLEMENTS, {"since": since, "first_id": first_id_of(since - CLOCKS_OFF_BY)})
        for terminal_id, at in chain(faces, paid):
            uses[terminal_id] = max(at, uses.get(terminal_id, at))
        return uses

    def face_attacks(self, connection: Connection, *, since: datetime) -> Mapping[str, FaceAttacksSeen]:
        """Return how sessions ended where an attack was suspected since then; the hour it falls into counts whole."""
        began = since.replace(minute=0, second=0, microsecond=0)
        return {
            row.terminal_id: FaceAttacksSeen(
                sessions=int(row.sessions),
                attacks=int(row.attacks),
                seals_broken=int(row.seals_broken),
                last_attack_at=row.last_attack_at,
                last_seal_broken_at=row.last_seal_broken_at,
            )
            for row in connection.execute(_ATTACKS, {"since": began})
        }

    def face_only(self, connection: Connection, *, since: datetime) -> Mapping[str, FaceOnlySeen]:
        """Return where people needed another way to pay than their face, at sites where no other was shown since."""
        elsewhere = set(connection.scalars(_OTHER_WAYS, {"since": since.date()}))
        began = since.replace(minute=0, second=0, microsecond=0)
        left = [row for row in connection.execute(_LEFT, {"since": began}) if row.site_id not in elsewhere]
        at_site = Counter[str]()
        for row in left:
            at_site[row.site_id] += int(row.refused + row.failed)
        return {
            row.terminal_id: FaceOnlySeen(
                refused_consents=int(row.refused), failed_faces=int(row.failed), at_site=at_site[row.site_id]
            )
            for row in left
        }

    def lesser_cameras(self, connection: Connection) -> Mapping[str, CameraPast]:
        """Return the cameras that once promised more than they do now."""
        return {
            row.terminal_id: CameraPast(
                solid_sessions=row.solid_sessions,
                lacking_sessions=row.lacking_sessions,
                modalities=tuple(name for name, bit in _BITS.items() if row.modalities & bit),
            )
            for row in connection.execute(_LACKING)
        }


def first_id_of(moment: datetime) -> str:
    """Return the lowest UUIDv7 of a moment."""
    milliseconds = f"{int(moment.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-000000000000"
