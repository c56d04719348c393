"""Who the terminals are: sites, terminals, certificates, the authority, health, commands and the audit log.

SQL runs on a `sqlalchemy.Connection` that is handed in. No gRPC and no sockets in here.
"""

from device_registry.audit import AuditLog, AuditReport
from device_registry.authority import DEFAULT_LIFETIMES, Authority, CertificateLifetimes
from device_registry.census import Census
from device_registry.changes import TOPIC_COMMAND, TOPIC_TERMINAL, Announce
from device_registry.model import (
    DEFAULT_POLICY,
    CameraState,
    CertificateRecord,
    CertificateStatus,
    Command,
    CommandAction,
    CommandOutcome,
    CommandState,
    Enrollment,
    EnrollmentChallenge,
    EnrollmentToken,
    HeartbeatReport,
    IssuedCertificate,
    Presence,
    ReceivedHeartbeat,
    RegistryPolicy,
    Site,
    SiteKind,
    Standing,
    Terminal,
    TerminalClass,
    TerminalFilter,
    TerminalState,
    Vitals,
)
from device_registry.registry import Registry
from device_registry.revocation import Standings, admit
from device_registry.tables import metadata

__all__ = [
    "DEFAULT_LIFETIMES",
    "DEFAULT_POLICY",
    "TOPIC_COMMAND",
    "TOPIC_TERMINAL",
    "Announce",
    "AuditLog",
    "AuditReport",
    "Authority",
    "CameraState",
    "Census",
    "CertificateLifetimes",
    "CertificateRecord",
    "CertificateStatus",
    "Command",
    "CommandAction",
    "CommandOutcome",
    "CommandState",
    "Enrollment",
    "EnrollmentChallenge",
    "EnrollmentToken",
    "HeartbeatReport",
    "IssuedCertificate",
    "Presence",
    "ReceivedHeartbeat",
    "Registry",
    "RegistryPolicy",
    "Site",
    "SiteKind",
    "Standing",
    "Standings",
    "Terminal",
    "TerminalClass",
    "TerminalFilter",
    "TerminalState",
    "Vitals",
    "admit",
    "metadata",
]
