"""Columns of what the fleet checks found."""

from sqlalchemy import Column, Index, Integer, String, Table, Text, text

from device_registry.fleet.finding import FindingKind, FindingState, Mitigation, Severity
from device_registry.tables.columns import UtcTime, Uuid, metadata, word

findings = Table(
    "findings",
    metadata,
    Column("finding_id", Uuid, primary_key=True),
    Column("kind", word(FindingKind), nullable=False),
    # A terminal's id or "fleet": not null, so that the unique index below holds for both.
    Column("subject", Uuid, nullable=False, index=True),
    Column("severity", word(Severity), nullable=False),
    Column("details", Text, nullable=False),
    Column("first_seen", UtcTime, nullable=False),
    Column("last_seen", UtcTime, nullable=False),
    Column("times", Integer, nullable=False),
    Column("state", word(FindingState), nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("state_by", String(128), nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("mitigation", word(Mitigation)),
    Column("mitigated_by", String(128)),
    Column("mitigated_at", UtcTime, index=True),
    # A repeat is added to the finding that is not closed; there is never a second one.
    Index(
        "uq_findings_kind_subject_not_closed",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text("state <> 'CLOSED'"),
        postgresql_where=text("state <> 'CLOSED'"),
    ),
)
