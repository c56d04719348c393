"""Columns of the audit log."""

from sqlalchemy import BigInteger, Column, String, Table, Text

from device_registry.tables.columns import CountingId, Sha256Hex, metadata

audit_log = Table(
    "audit_log",
    metadata,
    Column("entry_id", CountingId, primary_key=True, autoincrement=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("details", Text, nullable=False),
    Column("entry_hash", Sha256Hex, nullable=False),
)
