"""Is a practitioner at their site, by what the terminal says of its place, and which face is theirs?

The terminal is admitted by its certificate and belongs to one site; where it stands is its own word. So this proves
that a terminal of the practitioner's own site was used and said to be there; that it did not stand in a flat across
town is what the fleet checks look for (WRONG_PLACE, POSITION_JUMP), and what nobody can prove from here.
"""

from collections.abc import Callable
from math import ceil

from sqlalchemy import Connection

from device_registry import store
from device_registry.audit.log import AuditLog
from device_registry.fleet.places import Position, place_from
from face_pipeline import Template
from server.caller import Caller
from server.faces.errors import FaceRefusalError, OutsideGeofenceError, SitePlaceUnknownError
from server.faces.geofence import refuse_outside
from server.faces.practitioners import Practitioner, Practitioners
from server.store import UnitOfWork
from shualian.terminal.v1 import types_pb2


class Attendance:
    """Practitioners at their site."""

    def __init__(
        self, *, unit_of_work: UnitOfWork, practitioners: Practitioners, audit: AuditLog, tolerance_metres: int
    ) -> None:
        self._unit_of_work = unit_of_work
        self._practitioners = practitioners
        self._audit = audit
        self._tolerance_metres = tolerance_metres

    async def refuse_elsewhere(
        self, caller: Caller, session_id: str, location: types_pb2.Location, *, also: Callable[[Connection], None]
    ) -> None:
        """Refuse a terminal that does not say it stands at its site, and write down that it was refused.

        A refusal is a try as well, counted by `also` in the same transaction: without a bound a terminal could fill the
        audit with them (I11).

        Raises:
            SitePlaceUnknownError: nobody has said where the site stands.
            OutsideGeofenceError: it stands elsewhere, or is not sure enough.
        """
        where = Position(
            latitude=location.latitude, longitude=location.longitude, accuracy_metres=ceil(location.accuracy_m)
        )
        try:
            await self._unit_of_work.read(lambda connection: self._refuse_outside(connection, caller.site_id, where))
        except FaceRefusalError as refusal:
            reason = refusal

            def write(connection: Connection) -> None:
                also(connection)
                self._note(connection, caller, session_id, reason)

            await self._unit_of_work.write(write)
            raise

    async def find(self, caller: Caller, code: str) -> tuple[Practitioner | None, Template | None]:
        """Return who of the terminal's own site has this code, and their face; nobody for another site's."""

        def work(connection: Connection) -> tuple[Practitioner | None, Template | None]:
            found = self._practitioners.by_code(connection, code, site_id=caller.site_id)
            template = self._practitioners.template(connection, found.practitioner_id) if found else None
            return found, template

        return await self._unit_of_work.read(work)

    def _refuse_outside(self, connection: Connection, site_id: str, where: Position) -> None:
        site = store.find_site(connection, site_id)
        place = (
            place_from(latitude=site.latitude, longitude=site.longitude, radius_metres=site.radius_metres)
            if site is not None
            else None
        )
        if place is None:
            raise SitePlaceUnknownError
        refuse_outside(where, place, tolerance_metres=self._tolerance_metres)

    def _note(self, connection: Connection, caller: Caller, session_id: str, refusal: FaceRefusalError) -> None:
        """Write down the refusal, with how far off it was; not the place, which is where a person may live."""
        beyond = refusal.metres_beyond if isinstance(refusal, OutsideGeofenceError) else 0
        self._audit.append(
            connection,
            actor=f"terminal:{caller.terminal_id}",
            action="face.practitioner_elsewhere",
            subject=session_id,
            reason=refusal.reason,
            request_id=caller.request_id,
            details={"metres_beyond": beyond},
        )
