"""What changed, for every process that keeps a copy of it in memory."""

from sqlalchemy import Column, String, Table

from device_registry.tables import CountingId, metadata

events = Table(
    "events",
    metadata,
    # Counted by `announce`, without gaps. A pruned id never comes back, so that "after the last id I saw" stays true.
    Column("event_id", CountingId, primary_key=True, autoincrement=True),
    Column("topic", String(32), nullable=False),
    Column("subject", String(64), nullable=False),
    sqlite_autoincrement=True,
)
