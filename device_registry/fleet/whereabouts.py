"""Where a terminal called from lately: the last few origins and positions, as two columns of its vitals keep them."""

import json
from dataclasses import dataclass
from datetime import datetime

from device_registry.fleet.places import Position
from device_registry.tables import microseconds_from_time, time_from_microseconds

ORIGINS_MAX = 8
POSITIONS_MAX = 4
DEGREE_DIGITS = 4  # about ten metres: enough to tell a site from the next, and no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A network address from which a terminal called, and since when."""

    at: datetime
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighted:
    """A position that a terminal gave, and when."""

    at: datetime
    position: Position


def origins_from(column: str | None) -> list[Origin]:
    """Return the changes of origin that the column holds, newest first."""
    return [Origin(at=time_from_microseconds(at), origin=origin) for at, origin in json.loads(column or "[]")]


def positions_from(column: str | None) -> list[Sighted]:
    """Return the positions that the column holds, newest first."""
    return [
        Sighted(at=time_from_microseconds(at), position=Position(latitude=north, longitude=east, accuracy_metres=off))
        for at, north, east, off in json.loads(column or "[]")
    ]


def with_origin(column: str | None, origin: str, at: datetime) -> str | None:
    """Return the column with one more origin; the same as before is no change."""
    known = json.loads(column or "[]")
    if not origin or (known and known[0][1] == origin):
        return column
    return json.dumps([[microseconds_from_time(at), origin], *known][:ORIGINS_MAX])


def with_position(column: str | None, position: Position | None, at: datetime) -> str | None:
    """Return the column with one more position; the time of one that is the same as before is brought up to date."""
    if position is None:
        return column
    known = json.loads(column or "[]")
    north, east = round(position.latitude, DEGREE_DIGITS), round(position.longitude, DEGREE_DIGITS)
    if known and known[0][1:3] == [north, east]:
        del known[0]
    return json.dumps([[microseconds_from_time(at), north, east, position.accuracy_metres], *known][:POSITIONS_MAX])
