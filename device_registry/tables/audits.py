"""Columns of the fleet audits that were run: when the last one was is what keeps replicas from doing the same work."""

from sqlalchemy import Column, Integer, String, Table

from device_registry.tables.columns import UtcTime, Uuid, metadata

fleet_audits = Table(
    "fleet_audits",
    metadata,
    Column("audit_id", Uuid, primary_key=True),
    Column("run_at", UtcTime, nullable=False, index=True),
    Column("run_by", String(128), nullable=False),
    Column("terminals", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("opened", Integer, nullable=False),
    Column("cleared", Integer, nullable=False),
    Column("mitigated", Integer, nullable=False),
)
