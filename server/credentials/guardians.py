"""Who may speak for a child, by the platform's own register? An operator has seen it on paper, and writes it down."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from device_registry.audit.log import AuditLog
from server.store.tables.people import person_guardians

_table = person_guardians.c


class Guardians:
    """The guardians of this platform's children. A register elsewhere knows its own."""

    def __init__(self, *, now: Callable[[], datetime], audit: AuditLog) -> None:
        self._now: Final = now
        self._audit: Final = audit

    def record(self, connection: Connection, *, child_id: str, guardian_id: str, actor: str, reason: str) -> bool:
        """Write down that somebody is a child's guardian; return whether that is new. Both are people of ours."""
        if self.is_guardian(connection, child_id=child_id, guardian_id=guardian_id):
            return False
        row = {"child_id": child_id, "guardian_id": guardian_id, "recorded_at": self._now()}
        connection.execute(insert(person_guardians).values(row))
        self._note(connection, "guardian.recorded", child_id, guardian_id, actor=actor, reason=reason)
        return True

    def end(self, connection: Connection, *, child_id: str, guardian_id: str, actor: str, reason: str) -> bool:
        """Strike somebody out as a child's guardian; return whether they were one."""
        theirs = delete(person_guardians).where(_table.child_id == child_id, _table.guardian_id == guardian_id)
        if connection.execute(theirs).rowcount == 0:
            return False
        self._note(connection, "guardian.ended", child_id, guardian_id, actor=actor, reason=reason)
        return True

    def is_guardian(self, connection: Connection, *, child_id: str, guardian_id: str) -> bool:
        """Return whether somebody is written down as a child's guardian."""
        theirs = select(_table.child_id).where(_table.child_id == child_id, _table.guardian_id == guardian_id)
        return connection.scalar(theirs) is not None

    def of(self, connection: Connection, child_id: str) -> list[str]:
        """Return the ids of a child's guardians, in the order in which they were written down."""
        theirs = select(_table.guardian_id).where(_table.child_id == child_id)
        return list(connection.scalars(theirs.order_by(_table.recorded_at, _table.guardian_id)))

    def _note(
        self, connection: Connection, action: str, child_id: str, guardian_id: str, *, actor: str, reason: str
    ) -> None:
        details = {"guardian_id": guardian_id}
        self._audit.append(connection, actor=actor, action=action, subject=child_id, reason=reason, details=details)
