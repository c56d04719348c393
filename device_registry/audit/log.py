"""Who did what, when and why: an append-only log in which every entry carries the hash of the one before.

Verification finds an edited, inserted, removed or moved entry. Entries cut off at the end leave a shorter chain that
is whole in itself; they are found by comparing with a report noted earlier (`verify(known=...)`), which is kept,
signed, outside the database (`checkpoints.py`).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, insert, select

from device_registry.tables import audit_log, microseconds_from_time, time_from_microseconds
from device_registry.tables.prepared import Prepared

FIRST_HASH = "0" * 64
_NOTHING: Mapping[str, str | int] = MappingProxyType({})
_ROWS_AT_ONCE = 1000

_HEAD = Prepared(select(audit_log.c.entry_id, audit_log.c.entry_hash).order_by(audit_log.c.entry_id.desc()).limit(1))
_APPEND = Prepared(insert(audit_log).values({column.name: bindparam(column.name) for column in audit_log.columns}))
_WALK = select(audit_log).order_by(audit_log.c.entry_id)
_HASH = select(audit_log.c.entry_hash).where(audit_log.c.entry_id == bindparam("entry_id"))
_canonical_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry; the fields stand in the order in which they are hashed."""

    entry_id: int
    recorded_at: int
    """Microseconds since 1970, UTC."""
    actor: str
    action: str
    subject: str
    reason: str
    request_id: str
    details: str
    """A JSON object."""
    entry_hash: str

    @property
    def at(self) -> datetime:
        """When it was written."""
        return time_from_microseconds(self.recorded_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries are asked for; what is empty does not matter."""

    since: datetime | None = None
    until: datetime | None = None
    actor: str = ""
    action: str = ""
    subject: str = ""
    after: int = 0
    """Entries whose number is above this one."""
    before: int | None = None
    """Entries whose number is below this one."""
    limit: int | None = None
    newest_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What a walk over the log found."""

    entries: int
    head: str
    """Hash of the last entry."""
    broken_at: int | None
    """Number of the first entry that does not fit, None when the chain is whole."""
    detail: str = ""
    """What does not fit there."""


class AuditLog:
    """Writes entries and walks them; whoever changes something writes here in the same transaction."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now

    def append(
        self,
        connection: Connection,
        *,
        actor: str,
        action: str,
        subject: str,
        reason: str = "",
        request_id: str = "",
        details: Mapping[str, str | int] = _NOTHING,
    ) -> None:
        """Write one entry. Nothing personal in any field.

        Two writers cannot fork the chain: both would take the same number, and the second one's INSERT fails.
        """
        entries, previous = self.head(connection)
        number = entries + 1
        recorded_at = microseconds_from_time(self._now())
        written = _canonical_json(dict(details)) if details else "{}"
        _APPEND.run(
            connection,
            entry_id=number,
            recorded_at=recorded_at,
            actor=actor,
            action=action,
            subject=subject,
            reason=reason,
            request_id=request_id,
            details=written,
            entry_hash=_entry_hash(previous, number, recorded_at, actor, action, subject, reason, request_id, written),
        )

    def verify(self, connection: Connection, *, known: AuditReport | None = None) -> AuditReport:
        """Walk the whole log; with an earlier report also check that it is still part of the chain."""
        return verify_entries(_entries(connection, AuditFilter()), known=known)

    def verify_since(self, connection: Connection, known: AuditReport) -> AuditReport:
        """Walk what came after an earlier report, which must still be part of the chain."""
        if known.entries and connection.scalar(_HASH, {"entry_id": known.entries}) != known.head:
            number, _ = self.head(connection)
            detail = "another entry was noted here earlier"
            if number < known.entries:
                detail = f"the log ends at {number} and had {known.entries} entries"
            return AuditReport(entries=number, head="", broken_at=min(number + 1, known.entries), detail=detail)
        return verify_entries(_entries(connection, AuditFilter(after=known.entries)), start=known)

    def head(self, connection: Connection) -> tuple[int, str]:
        """Return number and hash of the last entry; 0 and zeros of an empty log."""
        found = _HEAD.row(connection)
        return (found[0], found[1]) if found is not None else (0, FIRST_HASH)

    def entries(self, connection: Connection, where: AuditFilter) -> Iterator[AuditEntry]:
        """Yield the entries that a filter asks for."""
        return _entries(connection, where)


def verify_entries(
    entries: Iterable[AuditEntry], *, known: AuditReport | None = None, start: AuditReport | None = None
) -> AuditReport:
    """Walk entries from the first one, or from the one after `start`; pure, so that an exported log can be checked."""
    number, head = (start.entries, start.head) if start is not None else (0, FIRST_HASH)
    for entry in entries:
        number += 1
        detail = _misfit(entry, number, head)
        if not detail and known is not None and number == known.entries and entry.entry_hash != known.head:
            detail = "another entry was noted here earlier"
        if detail:
            return AuditReport(entries=number - 1, head=head, broken_at=number, detail=detail)
        head = entry.entry_hash
    if known is not None and number < known.entries:
        detail = f"the log ends here and had {known.entries} entries"
        return AuditReport(entries=number, head=head, broken_at=number + 1, detail=detail)
    return AuditReport(entries=number, head=head, broken_at=None)


def _entries(connection: Connection, where: AuditFilter) -> Iterator[AuditEntry]:
    statement = _WALK if not where.newest_first else _WALK.order_by(None).order_by(audit_log.c.entry_id.desc())
    if where.since is not None:
        statement = statement.where(audit_log.c.recorded_at >= microseconds_from_time(where.since))
    if where.until is not None:
        statement = statement.where(audit_log.c.recorded_at < microseconds_from_time(where.until))
    for name in ("actor", "action", "subject"):
        if wanted := getattr(where, name):
            statement = statement.where(audit_log.c[name] == wanted)
    if where.after:
        statement = statement.where(audit_log.c.entry_id > where.after)
    if where.before is not None:
        statement = statement.where(audit_log.c.entry_id < where.before)
    if where.limit is not None:
        statement = statement.limit(where.limit)
    # Closed by hand: whoever stops half way leaves a cursor open on the server otherwise.
    with connection.execute(statement.execution_options(yield_per=_ROWS_AT_ONCE)) as rows:
        for row in rows:
            yield AuditEntry(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _misfit(row: AuditEntry, number: int, previous: str) -> str:
    """Return what is wrong with an entry, empty when nothing is."""
    if row.entry_id != number:
        return f"entry {number} is missing"
    expected = _entry_hash(
        previous,
        row.entry_id,
        row.recorded_at,
        row.actor,
        row.action,
        row.subject,
        row.reason,
        row.request_id,
        row.details,
    )
    return "" if row.entry_hash == expected else "the entry or the one before was changed"


def _entry_hash(previous: str, *fields: str | int) -> str:
    """Return the hash that binds an entry to the one before; a JSON list keeps neighbours apart."""
    return hashlib.sha256(_canonical_json([previous, *fields]).encode()).hexdigest()
