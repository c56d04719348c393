"""The registry's tables, and the MetaData that every room's tables share."""

from device_registry.tables.audit import audit_log
from device_registry.tables.certificates import certificates, enrollment_nonces, enrollment_tokens
from device_registry.tables.columns import (
    CountingId,
    Duration,
    Sha256Hex,
    UtcTime,
    Uuid,
    metadata,
    microseconds_from_time,
    time_from_microseconds,
    word,
)
from device_registry.tables.commands import commands
from device_registry.tables.terminals import sites, terminals, vitals

__all__ = [
    "CountingId",
    "Duration",
    "Sha256Hex",
    "UtcTime",
    "Uuid",
    "audit_log",
    "certificates",
    "commands",
    "enrollment_nonces",
    "enrollment_tokens",
    "metadata",
    "microseconds_from_time",
    "sites",
    "terminals",
    "time_from_microseconds",
    "vitals",
    "word",
]
