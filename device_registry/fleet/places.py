"""Where sites stand and when they are open, and how far a terminal is from where it should be."""

import re
from dataclasses import dataclass
from datetime import time
from math import asin, cos, isfinite, radians, sin, sqrt

from sqlalchemy import Connection, bindparam, update

from device_registry.audit.log import AuditLog
from device_registry.errors import FieldInvalidError, SiteUnknownError
from device_registry.tables import sites
from device_registry.wording import refuse_actor

EARTH_RADIUS_METRES = 6_371_009  # mean radius, IUGG
LATITUDE_MAX = 90
LONGITUDE_MAX = 180
RADIUS_METRES_MAX = 50_000  # a hospital with far branches; beyond, the site is no place any more
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")

_PLACE = (
    update(sites)
    .where(sites.c.site_id == bindparam("which"))
    .values(
        latitude=bindparam("north"),
        longitude=bindparam("east"),
        radius_metres=bindparam("reach"),
        opening_hours=bindparam("hours"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """A point on the ground, in degrees (WGS 84)."""

    latitude: float
    """North of the equator, -90 to 90."""
    longitude: float
    """East of Greenwich, -180 to 180."""
    accuracy_metres: int = 0
    """How far off it may be, as its maker says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a site stands and how far it reaches."""

    latitude: float
    longitude: float
    radius_metres: int


def place_from(*, latitude: float | None, longitude: float | None, radius_metres: int | None) -> Place | None:
    """Return where a site stands, by the columns of its row; None when nobody said, or not all of it."""
    if latitude is None or longitude is None or radius_metres is None:
        return None
    return Place(latitude=latitude, longitude=longitude, radius_metres=radius_metres)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpeningHours:
    """From when to when a site is open, by its own clock, every day; over midnight when the end is the earlier one."""

    opens: time
    closes: time

    @classmethod
    def from_text(cls, text: str) -> "OpeningHours":
        """Return what `07:00-21:00` says.

        Raises:
            FieldInvalidError: the text is of another form, or opens and closes in the same minute.
        """
        found = _HOURS.fullmatch(text)
        if found is None or found[0][:5] == found[0][6:]:
            raise FieldInvalidError(field="opening_hours", detail="two different times of day as in 07:00-21:00")
        opens_hour, opens_minute, closes_hour, closes_minute = (int(part) for part in found.groups())
        return cls(opens=time(opens_hour, opens_minute), closes=time(closes_hour, closes_minute))

    def include(self, moment: time) -> bool:
        """Return whether the site is open at a time of its day."""
        if self.opens < self.closes:
            return self.opens <= moment < self.closes
        return moment >= self.opens or moment < self.closes


def metres_between(one: Position | Place, other: Position | Place) -> float:
    """Return the way over ground between two points (haversine; a sphere is near enough for a town)."""
    north, other_north = radians(one.latitude), radians(other.latitude)
    half_north = (other_north - north) / 2
    half_east = radians(other.longitude - one.longitude) / 2
    chord = sin(half_north) ** 2 + cos(north) * cos(other_north) * sin(half_east) ** 2
    return 2 * EARTH_RADIUS_METRES * asin(min(1.0, sqrt(chord)))


class SitePlaces:
    """Writes down where sites stand and when they are open."""

    def __init__(self, *, audit: AuditLog) -> None:
        self._audit = audit

    def settle(
        self,
        connection: Connection,
        *,
        site_id: str,
        place: Place | None,
        opening_hours: str | None,
        actor: str,
        request_id: str = "",
    ) -> None:
        """Say where a site stands and when it is open; None: nobody knows, and the fleet checks do not ask.

        Raises:
            SiteUnknownError: there is no such site.
            FieldInvalidError: the place is not on this earth, or the hours are of the wrong form.
        """
        refuse_actor(actor)
        if place is not None:
            _refuse_place(place)
        if opening_hours is not None:
            OpeningHours.from_text(opening_hours)
        values = {
            "which": site_id,
            "north": place and place.latitude,
            "east": place and place.longitude,
            "reach": place and place.radius_metres,
            "hours": opening_hours,
        }
        if connection.execute(_PLACE, values).rowcount != 1:
            raise SiteUnknownError(site_id=site_id)
        self._audit.append(
            connection,
            actor=actor,
            action="site.placed",
            subject=site_id,
            request_id=request_id,
            details={"radius_metres": place.radius_metres if place else 0, "opening_hours": opening_hours or ""},
        )


def _refuse_place(place: Place) -> None:
    if not isfinite(place.latitude) or abs(place.latitude) > LATITUDE_MAX:
        raise FieldInvalidError(field="latitude", detail=f"-{LATITUDE_MAX} to {LATITUDE_MAX} degrees")
    if not isfinite(place.longitude) or abs(place.longitude) > LONGITUDE_MAX:
        raise FieldInvalidError(field="longitude", detail=f"-{LONGITUDE_MAX} to {LONGITUDE_MAX} degrees")
    if not 1 <= place.radius_metres <= RADIUS_METRES_MAX:
        raise FieldInvalidError(field="radius_metres", detail=f"1 to {RADIUS_METRES_MAX} metres")
