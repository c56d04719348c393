"""Which terminals are there? Looked up by id or serial number, and listed a page at a time by all that can be asked."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, bindparam, select

from device_registry import store
from device_registry.errors import TerminalUnknownError
from device_registry.health import presence, recent_connects
from device_registry.model import (
    CertificateStatus,
    Presence,
    RegistryPolicy,
    Terminal,
    TerminalClass,
    TerminalState,
)
from device_registry.tables import certificates, sites, terminals, vitals

ROWS_AT_ONCE = 1_000
"""Rows read at once when the presence decides, which is not in SQL but derived."""

_FROM = (
    terminals.join(sites, sites.c.site_id == terminals.c.site_id)
    .outerjoin(vitals, vitals.c.terminal_id == terminals.c.terminal_id)
    .outerjoin(
        certificates,
        and_(
            certificates.c.terminal_id == terminals.c.terminal_id,
            certificates.c.status == CertificateStatus.CURRENT,
        ),
    )
)
_VIEWS = (
    select(
        terminals,
        sites.c.region,
        vitals.c.is_connected,
        vitals.c.recent_connects,
        vitals.c.last_seen_at,
        vitals.c.firmware_version,
        certificates.c.not_after.label("certificate_not_after"),
        certificates.c.issuer_id,
    )
    .select_from(_FROM)
    .order_by(terminals.c.terminal_id)
)
_NEWEST = (
    select(terminals.c.terminal_id)
    .where(terminals.c.serial_number == bindparam("serial_number"))
    .order_by(terminals.c.terminal_id.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterFilter:
    """Which terminals a list is about; what is None does not matter."""

    state: TerminalState | None = None
    region: str | None = None
    site_id: str | None = None
    terminal_class: TerminalClass | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    firmware_version: str | None = None
    """As the terminal told it when it connected."""
    expiring_before: datetime | None = None
    """Those whose current certificate ends before this moment."""
    issuer_id: str | None = None
    """Those whose current certificate this authority signed."""
    presence: Presence | None = None
    after: str | None = None
    """Terminals whose id is above this one: the last id of the page before."""
    limit: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalView:
    """A terminal as a list shows it."""

    terminal: Terminal
    presence: Presence
    last_seen_at: datetime | None
    firmware_version: str
    certificate_not_after: datetime | None
    issuer_id: str


class Roster:
    """Finds terminals and lists them."""

    def __init__(
        self, *, now: Callable[[], datetime], policy: RegistryPolicy, rows_at_once: int = ROWS_AT_ONCE
    ) -> None:
        """Take what it works with; `rows_at_once` are read where a filter is not one that SQL knows."""
        self._now = now
        self._policy = policy
        self._rows_at_once = rows_at_once

    def meant(self, connection: Connection, given: str) -> Terminal:
        """Return the terminal with this id or serial number; of several, the one in service or else the newest.

        Raises:
            TerminalUnknownError: there is none.
        """
        found = store.find_terminal(connection, given) or store.find_in_service(connection, given)
        if found is None:
            newest = connection.execute(_NEWEST, {"serial_number": given}).scalar_one_or_none()
            found = None if newest is None else store.find_terminal(connection, newest)
        if found is None:
            raise TerminalUnknownError(terminal_id=given)
        return found

    def page(self, connection: Connection, where: RosterFilter) -> list[TerminalView]:
        """Return the terminals a filter asks for, oldest first, at most as many as it allows."""
        now = self._now()
        if where.presence is None:
            return [self._view(row, now) for row in connection.execute(_asked(where)).mappings()]
        wanted = (view for view in self._walked(connection, where, now) if view.presence is where.presence)
        return [view for view, _ in zip(wanted, range(where.limit), strict=False)]

    def _walked(self, connection: Connection, where: RosterFilter, now: datetime) -> Iterator[TerminalView]:
        """Yield everybody whom the rest of the filter asks for, some rows at a time."""
        after = where.after
        while True:
            rows = connection.execute(_asked(replace(where, after=after, limit=self._rows_at_once))).mappings().all()
            yield from (self._view(row, now) for row in rows)
            if len(rows) < self._rows_at_once:
                return
            after = rows[-1]["terminal_id"]

    def _view(self, row: RowMapping, now: datetime) -> TerminalView:
        state, _ = presence(
            is_connected=bool(row["is_connected"]),
            last_seen_at=row["last_seen_at"],
            recent_connects=recent_connects(row["recent_connects"] or "[]"),
            now=now,
            policy=self._policy,
        )
        return TerminalView(
            terminal=Terminal(**{name: row[name] for name in _TERMINAL_FIELDS}),
            presence=state,
            last_seen_at=row["last_seen_at"],
            firmware_version=row["firmware_version"] or "",
            certificate_not_after=row["certificate_not_after"],
            issuer_id=row["issuer_id"] or "",
        )


_TERMINAL_FIELDS = tuple(Terminal.__dataclass_fields__)


def _asked(where: RosterFilter) -> Select[*tuple[object, ...]]:
    wanted: dict[ColumnElement[object], object] = {
        terminals.c.state: where.state,
        sites.c.region: where.region,
        terminals.c.site_id: where.site_id,
        terminals.c.terminal_class: where.terminal_class,
        terminals.c.manufacturer: where.manufacturer,
        terminals.c.model: where.model,
        terminals.c.serial_number: where.serial_number,
        vitals.c.firmware_version: where.firmware_version,
        certificates.c.issuer_id: where.issuer_id,
    }
    query = _VIEWS.where(*(column == value for column, value in wanted.items() if value is not None))
    if where.expiring_before is not None:
        query = query.where(certificates.c.not_after < where.expiring_before)
    if where.after is not None:
        query = query.where(terminals.c.terminal_id > where.after)
    return query.limit(where.limit)
