"""Columns of the issuing authorities below the root."""

from sqlalchemy import Column, Index, LargeBinary, String, Table, Text, text

from device_registry.authority.issuer_states import IssuerState
from device_registry.tables.columns import Sha256Hex, UtcTime, metadata, word

IssuerId = String(16)

issuers = Table(
    "issuers",
    metadata,
    Column("issuer_id", IssuerId, primary_key=True),
    Column("state", word(IssuerState), nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("prepared_at", UtcTime, nullable=False),
    Column("key_backend", String(16), nullable=False),
    # What the root is asked to sign; the first issuer was signed before there was a database.
    Column("signing_request_der", LargeBinary),
    Column("certificate_der", LargeBinary),
    Column("fingerprint", Sha256Hex, unique=True),
    Column("subject_key_id", String(40)),
    Column("not_after", UtcTime),
    # New certificates come from one; the database itself sees to that.
    Index(
        "uq_issuers_active",
        "state",
        unique=True,
        sqlite_where=text("state = 'ACTIVE'"),
        postgresql_where=text("state = 'ACTIVE'"),
    ),
)
