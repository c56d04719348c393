"""Does a terminal stand inside its site, by what it says of its place?

A location is a point and a radius that holds the true place with 68 % probability (types.proto). Somebody is inside
when the point's distance from the site's middle and that radius together stay within the site's own radius and a
tolerance: so the true place is, in two cases of three at the very least, no farther than the tolerance outside of the
site. To look at the point alone would let in whoever says "somewhere here, give or take fifty kilometres"; without the
tolerance, an honest window near the wall of a small clinic is shut out: indoors a location is good to tens of metres.
"""

from math import ceil, isfinite

from device_registry.fleet.places import Place, Position, metres_between
from server.faces.errors import OutsideGeofenceError


def refuse_outside(where: Position, place: Place, *, tolerance_metres: int) -> None:
    """Refuse a position that is not inside a place, or not closely enough known to be.

    Raises:
        OutsideGeofenceError: says how far beyond it may be, in whole metres.
    """
    reach = metres_between(where, place) + where.accuracy_metres
    beyond = reach - place.radius_metres - tolerance_metres
    if not beyond <= 0:  # so that a distance that is no number is outside, too
        raise OutsideGeofenceError(metres_beyond=ceil(beyond) if isfinite(beyond) else 0)
