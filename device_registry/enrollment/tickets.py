"""How does a technician let in terminals that nobody registered? With a ticket: one region, a number, a short life."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import uuid_utils
from sqlalchemy import Connection, bindparam, insert, select, update

from device_registry.changes import Changes
from device_registry.enrollment.attestation import token_sha256
from device_registry.errors import (
    FieldInvalidError,
    TicketExpiredError,
    TicketRefusedError,
    TicketRegionError,
    TicketSpentError,
    TicketUnknownError,
)
from device_registry.revocation.revocation_log import Revocations
from device_registry.revocation.revoked import RevocationKind
from device_registry.tables import installer_tickets
from device_registry.wording import refuse_reason

LIFETIME_MAX = timedelta(hours=72)
TERMINALS_MAX = 1000
REGION_LENGTH_MAX = 32  # as of a site
_TICKET_BYTES = 32

_COLUMNS = select(*(column for column in installer_tickets.columns if column.name != "ticket_sha256"))
_ALL = _COLUMNS.order_by(installer_tickets.c.ticket_id)
_BY_ID = _COLUMNS.where(installer_tickets.c.ticket_id == bindparam("ticket_id"))
# Looked up by hash: how long that takes tells nothing of the ticket, which has 256 random bits.
_BY_HASH = _COLUMNS.where(installer_tickets.c.ticket_sha256 == bindparam("ticket_sha256"))
_TAKE = (
    update(installer_tickets)
    .where(installer_tickets.c.ticket_id == bindparam("which"), installer_tickets.c.terminals_left > 0)
    .values(terminals_left=installer_tickets.c.terminals_left - 1)
)
_REVOKE = (
    update(installer_tickets)
    .where(installer_tickets.c.ticket_id == bindparam("which"), installer_tickets.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallerTicket:
    """What is remembered of a ticket; its text is not."""

    ticket_id: str
    region: str
    """Sites of this region alone."""
    terminals_max: int
    terminals_left: int
    issued_by: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        """Return whether it still lets somebody in."""
        return self.revoked_at is None and now < self.expires_at and self.terminals_left > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedTicket:
    """A ticket in clear text, for the only time; the registry keeps its hash."""

    ticket: str = field(repr=False)
    record: InstallerTicket


class Tickets:
    """Makes, lists, takes and revokes installer tickets."""

    def __init__(self, *, now: Callable[[], datetime], changes: Changes, revocations: Revocations) -> None:
        self._now = now
        self._changes = changes
        self._revocations = revocations

    def issue(
        self,
        connection: Connection,
        *,
        region: str,
        terminals_max: int,
        lifetime: timedelta,
        actor: str,
        reason: str,
        request_id: str = "",
    ) -> IssuedTicket:
        """Make a ticket for so many terminals at sites of one region."""
        if not 0 < len(region.strip()) <= REGION_LENGTH_MAX or not region.isprintable():
            raise FieldInvalidError(field="region", detail=f"1 to {REGION_LENGTH_MAX} printable characters")
        if not 0 < terminals_max <= TERMINALS_MAX:
            raise FieldInvalidError(field="terminals_max", detail=f"1 to {TERMINALS_MAX}")
        if not timedelta(minutes=1) <= lifetime <= LIFETIME_MAX:
            raise FieldInvalidError(field="lifetime", detail=f"1 minute to {LIFETIME_MAX // timedelta(hours=1)} hours")
        refuse_reason(reason)
        now, ticket = self._now(), secrets.token_urlsafe(_TICKET_BYTES)
        record = InstallerTicket(
            ticket_id=str(uuid_utils.uuid7()),
            region=region,
            terminals_max=terminals_max,
            terminals_left=terminals_max,
            issued_by=actor,
            issued_at=now,
            expires_at=now + lifetime,
            revoked_at=None,
        )
        fields = {name: getattr(record, name) for name in InstallerTicket.__dataclass_fields__}
        connection.execute(insert(installer_tickets), {**fields, "ticket_sha256": token_sha256(ticket)})
        self._changes.note(
            connection,
            actor=actor,
            action="ticket.issued",
            subject=record.ticket_id,
            reason=reason,
            request_id=request_id,
            details={"region": region, "terminals_max": terminals_max},
        )
        return IssuedTicket(ticket=ticket, record=record)

    def tickets(self, connection: Connection) -> list[InstallerTicket]:
        """Return every ticket, oldest first."""
        return [InstallerTicket(**row) for row in connection.execute(_ALL).mappings()]

    def ticket(self, connection: Connection, ticket_id: str) -> InstallerTicket:
        """Return a ticket."""
        row = connection.execute(_BY_ID, {"ticket_id": ticket_id}).mappings().first()
        if row is None:
            raise TicketUnknownError(ticket_id=ticket_id)
        return InstallerTicket(**row)

    def revoke(
        self, connection: Connection, *, ticket_id: str, actor: str, reason: str, request_id: str = ""
    ) -> InstallerTicket:
        """End a ticket's life now; the terminals it let in stay. One that was revoked before stays as it is."""
        refuse_reason(reason)
        self.ticket(connection, ticket_id)
        if connection.execute(_REVOKE, {"which": ticket_id, "at": self._now()}).rowcount:
            self._revocations.note_revoked(connection, kind=RevocationKind.TICKET, subject=ticket_id)
            self._changes.note(
                connection,
                actor=actor,
                action="ticket.revoked",
                subject=ticket_id,
                reason=reason,
                request_id=request_id,
            )
        return self.ticket(connection, ticket_id)

    def good(self, connection: Connection, *, ticket: str, serial_number: str) -> InstallerTicket:
        """Return the ticket that would let in this terminal, else raise why it does not."""
        row = connection.execute(_BY_HASH, {"ticket_sha256": token_sha256(ticket)}).mappings().first()
        if row is None:
            raise TicketRefusedError(serial_number=serial_number)
        found = InstallerTicket(**row)
        if found.revoked_at is not None or self._now() >= found.expires_at:
            raise TicketExpiredError(serial_number=serial_number)
        if found.terminals_left <= 0:
            raise TicketSpentError(serial_number=serial_number)
        return found

    def take(self, connection: Connection, found: InstallerTicket, *, region: str, serial_number: str) -> None:
        """Use the ticket up by one; of two in the same moment that want the last place, one gets through."""
        if found.region != region:
            raise TicketRegionError(serial_number=serial_number)
        if connection.execute(_TAKE, {"which": found.ticket_id}).rowcount != 1:
            raise TicketSpentError(serial_number=serial_number)
