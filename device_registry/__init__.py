"""Who the terminals are: sites, terminals, certificates, the authority, health, commands and the audit log.

SQL runs on a `sqlalchemy.Connection` that is handed in. No gRPC and no sockets in here.
"""

from device_registry.audit.log import AuditLog, AuditReport
from device_registry.authority.authority import DEFAULT_LIFETIMES, Authority, CertificateLifetimes
from device_registry.authority.issuer_states import IssuerState
from device_registry.authority.issuer_store import Issuer
from device_registry.authority.issuers import IssuerOverview, Issuers, IssuerUse
from device_registry.changes import EVERYBODY, TOPIC_AUTHORITY, TOPIC_COMMAND, TOPIC_TERMINAL, Announce
from device_registry.commands.command_records import Command, CommandAction, CommandOutcome, CommandState
from device_registry.commands.commands import Commands
from device_registry.fleet.census import Census
from device_registry.model import (
    DEFAULT_POLICY,
    CameraState,
    CertificateRecord,
    CertificateStatus,
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
    TerminalState,
    Vitals,
)
from device_registry.registry import Registry
from device_registry.revocation.standings import Standings, admit
from device_registry.tables import metadata

__all__ = [
    "DEFAULT_LIFETIMES",
    "DEFAULT_POLICY",
    "EVERYBODY",
    "TOPIC_AUTHORITY",
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
    "Commands",
    "Enrollment",
    "EnrollmentChallenge",
    "EnrollmentToken",
    "HeartbeatReport",
    "IssuedCertificate",
    "Issuer",
    "IssuerOverview",
    "IssuerState",
    "IssuerUse",
    "Issuers",
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
    "TerminalState",
    "Vitals",
    "admit",
    "metadata",
]
