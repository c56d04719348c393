"""The registry's tables, and the MetaData that every room's tables share."""

from device_registry.tables.audit import audit_log
from device_registry.tables.audits import fleet_audits
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
from device_registry.tables.findings import findings
from device_registry.tables.issuers import issuers
from device_registry.tables.makers import (
    device_models,
    factory_roots,
    firmware,
    installer_tickets,
    manufacturers,
)
from device_registry.tables.operators import operator_certificates, operators
from device_registry.tables.revocations import audit_checkpoints, revocations
from device_registry.tables.rollouts import rollout_choices, rollout_members, rollouts
from device_registry.tables.terminals import sites, terminals, vitals

__all__ = [
    "CountingId",
    "Duration",
    "Sha256Hex",
    "UtcTime",
    "Uuid",
    "audit_checkpoints",
    "audit_log",
    "certificates",
    "commands",
    "device_models",
    "enrollment_nonces",
    "enrollment_tokens",
    "factory_roots",
    "findings",
    "firmware",
    "fleet_audits",
    "installer_tickets",
    "issuers",
    "manufacturers",
    "metadata",
    "microseconds_from_time",
    "operator_certificates",
    "operators",
    "revocations",
    "rollout_choices",
    "rollout_members",
    "rollouts",
    "sites",
    "terminals",
    "time_from_microseconds",
    "vitals",
    "word",
]
