"""What proves that a face was deleted, and can anybody check it afterwards?"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, func, select

from device_registry.audit.log import AuditEntry, AuditFilter, AuditLog
from server.store.tables.gallery import face_templates

FORGOTTEN: Final = "face_forgotten"
REMEMBERED: Final = "face_remembered"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgottenFace:
    """The receipt of a deletion: it names an entry of the audit log that nobody can change without a trace."""

    person_id: str
    sealed_sha256: str
    """Of the bytes that were deleted, in hex; they were encrypted, so it tells nothing about the face."""
    at: datetime
    audit_entry: int
    """Number of the entry that holds this digest."""
    audit_hash: str
    """Hash of that entry, and so of the log up to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    is_passed: bool | None
    """None: it cannot be looked at from here."""
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was found, and the receipt as the audit log has it."""

    receipt: ForgottenFace | None
    findings: Sequence[Finding]

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against it."""
        return all(finding.is_passed is not False for finding in self.findings)


def prove_forgotten(connection: Connection, audit: AuditLog, person_id: str, *, remnants: int | None) -> Proof:
    """Look at everything that can be looked at.

    Args:
        connection: reads one state of the database.
        audit: the log; all of it is walked.
        person_id: whose face was deleted.
        remnants: places in the database's files where a template of theirs begins; None when they cannot be read.
    """
    told = _last(connection, audit, person_id, FORGOTTEN)
    again = _last(connection, audit, person_id, REMEMBERED)
    is_later = told is not None and again is not None and again.entry_id > told.entry_id
    report = audit.verify(connection)
    rows = connection.scalar(
        select(func.count()).select_from(face_templates).where(face_templates.c.person_id == person_id)
    )
    return Proof(
        receipt=None if told is None else _receipt(told),
        findings=[
            Finding(
                name="audit_entry",
                is_passed=told is not None,
                detail="no deletion is on record" if told is None else f"entry {told.entry_id}",
            ),
            Finding(
                name="not_remembered_since",
                is_passed=not is_later,
                detail=f"entry {again.entry_id} remembers a face again" if is_later and again else "",
            ),
            Finding(name="audit_chain", is_passed=report.broken_at is None, detail=f"{report.entries} entries"),
            Finding(name="database_row", is_passed=not rows, detail=f"{rows} templates"),
            Finding(
                name="database_files",
                is_passed=None if remnants is None else remnants == 0,
                detail="not ours to read" if remnants is None else f"{remnants} remnants",
            ),
        ],
    )


def _last(connection: Connection, audit: AuditLog, person_id: str, action: str) -> AuditEntry | None:
    where = AuditFilter(action=action, subject=person_id, limit=1, newest_first=True)
    return next(iter(audit.entries(connection, where)), None)


def _receipt(entry: AuditEntry) -> ForgottenFace:
    return ForgottenFace(
        person_id=entry.subject,
        sealed_sha256=str(json.loads(entry.details).get("sealed_sha256", "")),
        at=entry.at,
        audit_entry=entry.entry_id,
        audit_hash=entry.entry_hash,
    )
