"""Who did what, when and why: an append-only log in which every entry carries the hash of the one before.

Verification finds an edited, inserted, removed or moved entry. Entries cut off at the end leave a shorter chain that
is whole in itself; they are found by comparing with a report noted earlier (`verify(known=...)`), which should be
kept outside the database.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from sqlalchemy import Connection, Row, insert, select

from device_registry.tables import audit_log, microseconds_from_time

FIRST_HASH = "0" * 64
_NOTHING: Mapping[str, str | int] = MappingProxyType({})
_ROWS_AT_ONCE = 1000

# Built once: SQLAlchemy finds the compiled form by the statement's identity instead of walking it anew.
_HEAD = select(audit_log.c.entry_id, audit_log.c.entry_hash).order_by(audit_log.c.entry_id.desc()).limit(1)
_APPEND = insert(audit_log)
_WALK = select(audit_log).order_by(audit_log.c.entry_id)
_canonical_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False).encode


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
        head = connection.execute(_HEAD).first()
        number, previous = (head.entry_id + 1, head.entry_hash) if head is not None else (1, FIRST_HASH)
        recorded_at = microseconds_from_time(self._now())
        written = _canonical_json(dict(details)) if details else "{}"
        connection.execute(
            _APPEND,
            {
                "entry_id": number,
                "recorded_at": recorded_at,
                "actor": actor,
                "action": action,
                "subject": subject,
                "reason": reason,
                "request_id": request_id,
                "details": written,
                "entry_hash": _entry_hash(
                    previous, number, recorded_at, actor, action, subject, reason, request_id, written
                ),
            },
        )

    def verify(self, connection: Connection, *, known: AuditReport | None = None) -> AuditReport:
        """Walk the whole log; with an earlier report also check that it is still part of the chain."""
        number, head = 0, FIRST_HASH
        for row in connection.execute(_WALK.execution_options(yield_per=_ROWS_AT_ONCE)):
            number += 1
            detail = _misfit(row, number, head)
            if not detail and known is not None and number == known.entries and row.entry_hash != known.head:
                detail = "another entry was noted here earlier"
            if detail:
                return AuditReport(entries=number - 1, head=head, broken_at=number, detail=detail)
            head = row.entry_hash
        if known is not None and number < known.entries:
            detail = f"the log ends here and had {known.entries} entries"
            return AuditReport(entries=number, head=head, broken_at=number + 1, detail=detail)
        return AuditReport(entries=number, head=head, broken_at=None)


def _misfit(row: Row[tuple[object, ...]], number: int, previous: str) -> str:
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
