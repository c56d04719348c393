"""Columns of the operators and their certificates."""

from sqlalchemy import Column, ForeignKey, String, Table

from device_registry.operators.roles import OperatorState, Role
from device_registry.tables.columns import Sha256Hex, UtcTime, Uuid, metadata, word

operators = Table(
    "operators",
    metadata,
    Column("operator_id", Uuid, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", word(Role), nullable=False),
    Column("state", word(OperatorState), nullable=False),
    Column("added_by", String(128), nullable=False),
    Column("added_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
)

operator_certificates = Table(
    "operator_certificates",
    metadata,
    Column("fingerprint", Sha256Hex, primary_key=True),
    Column("certificate_serial", String(40), nullable=False, unique=True),
    Column("operator_id", Uuid, ForeignKey(operators.c.operator_id), nullable=False, index=True),
    # Unique over all operators and all time: a key gets one certificate in its life.
    Column("public_key_sha256", Sha256Hex, nullable=False, unique=True),
    Column("issued_at", UtcTime, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("first_used_at", UtcTime),
    Column("closed_at", UtcTime),
    Column("issuer_id", String(16)),
)
