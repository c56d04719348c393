"""Columns of certificates, and of the tokens and nonces that lead to one."""

from sqlalchemy import Column, ForeignKey, Index, String, Table

from device_registry.model import CertificateStatus
from device_registry.tables.columns import Sha256Hex, UtcTime, Uuid, metadata, word
from device_registry.tables.terminals import sites, terminals

enrollment_tokens = Table(
    "enrollment_tokens",
    metadata,
    Column("token_sha256", Sha256Hex, primary_key=True),
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), nullable=False, index=True),
    Column("serial_number", String(64), nullable=False),
    Column("site_id", Uuid, ForeignKey(sites.c.site_id), nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

enrollment_nonces = Table(
    "enrollment_nonces",
    metadata,
    Column("nonce_sha256", Sha256Hex, primary_key=True),
    Column("serial_number", String(64), nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
)

certificates = Table(
    "certificates",
    metadata,
    Column("fingerprint", Sha256Hex, primary_key=True),
    Column("certificate_serial", String(40), nullable=False, unique=True),
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), nullable=False),
    # Unique over all terminals and all time: a key gets one certificate in its life.
    Column("public_key_sha256", Sha256Hex, nullable=False, unique=True),
    Column("issued_at", UtcTime, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("good_until", UtcTime, nullable=False),
    Column("status", word(CertificateStatus), nullable=False),
    Column("status_since", UtcTime, nullable=False),
    Column("first_used_at", UtcTime),
    Column("issuer_id", String(16)),
    Index("ix_certificates_terminal_id_issued_at", "terminal_id", "issued_at"),
)
