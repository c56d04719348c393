"""Practitioners: who they are, the face that proves it, and what they confirmed with it."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, LargeBinary, String, Table

from device_registry.tables import UtcTime, Uuid, metadata

practitioners = Table(
    "practitioners",
    metadata,
    Column("practitioner_id", Uuid, primary_key=True),  # UUIDv7
    Column("site_id", Uuid, ForeignKey("sites.site_id"), nullable=False),
    Column("code_index", LargeBinary(32), nullable=False, unique=True),  # keyed hash: finds, does not tell
    Column("code_sealed", LargeBinary, nullable=False),
    Column("name_sealed", LargeBinary, nullable=False),
    Column("added_at", UtcTime, nullable=False),
    Column("removed_at", UtcTime),  # out of service; the row stays, for what was confirmed stays
)

practitioner_templates = Table(
    "practitioner_templates",
    metadata,
    Column("practitioner_id", Uuid, ForeignKey("practitioners.practitioner_id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("enrolled_at", UtcTime, nullable=False),
)

staff_assertions = Table(
    "staff_assertions",
    metadata,
    Column("assertion_id", Uuid, primary_key=True),  # jti, UUIDv7
    Column("terminal_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False, unique=True),  # one decision, one assertion
    Column("practitioner_id", Uuid, ForeignKey("practitioners.practitioner_id"), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("business_type", Integer, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Column("transaction_id", Uuid),  # what it confirmed
    CheckConstraint("(used_at IS NULL) = (transaction_id IS NULL)", name="used_by_a_transaction"),
)
