"""Columns of the log of revocations, and of the checkpoints of the audit log."""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from device_registry.tables.columns import CountingId, Sha256Hex, metadata

# Plain text and numbers: what is hashed is what is stored, and the witness file repeats it as it stands.
revocations = Table(
    "revocations",
    metadata,
    Column("entry_id", CountingId, primary_key=True, autoincrement=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("code", String(24), nullable=False),
    Column("serial_number", String(64), nullable=False),
    Column("factory_key_sha256", String(64), nullable=False),
    Column("issuer_id", String(64), nullable=False),
    Column("certificate_serial", String(40), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("not_after", BigInteger, nullable=False),
    Column("entry_hash", Sha256Hex, nullable=False),
    Index("ix_revocations_subject", "subject"),
    Index("ix_revocations_serial_number", "serial_number"),
    Index("ix_revocations_factory_key_sha256", "factory_key_sha256"),
    Index("ix_revocations_issuer_id_not_after", "issuer_id", "not_after"),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("checkpoint_id", CountingId, primary_key=True, autoincrement=False),
    Column("entries", BigInteger, nullable=False),
    Column("head", Sha256Hex, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("token", Text, nullable=False),
)
