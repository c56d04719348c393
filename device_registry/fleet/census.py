"""How does the fleet stand as a whole? Counted in one go, because it is too large to be looked at one by one."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from device_registry.health import presence, recent_connects
from device_registry.model import CertificateStatus, Presence, RegistryPolicy, TerminalClass, TerminalState
from device_registry.tables import certificates, sites, terminals, vitals

_OF_ACTIVE = terminals.c.state == TerminalState.ACTIVE
_TERMINALS = (
    select(sites.c.region, terminals.c.terminal_class, terminals.c.state, func.count())
    .join(sites, sites.c.site_id == terminals.c.site_id)
    .group_by(sites.c.region, terminals.c.terminal_class, terminals.c.state)
)
_PRESENCES = (
    select(vitals.c.is_connected, vitals.c.last_seen_at, vitals.c.recent_connects)
    .join(terminals, terminals.c.terminal_id == vitals.c.terminal_id)
    .where(_OF_ACTIVE)
)
_CERTIFICATE_ENDS = (
    select(certificates.c.not_after)
    .join(terminals, terminals.c.terminal_id == certificates.c.terminal_id)
    .where(_OF_ACTIVE, certificates.c.status == CertificateStatus.CURRENT)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """The fleet in numbers."""

    terminals: Counter[tuple[str, TerminalClass, TerminalState]]
    """All terminals, by region, class and state."""
    presences: Counter[Presence]
    """The ACTIVE ones, by presence."""
    certificate_ends: list[datetime]
    """When the current certificates of ACTIVE terminals end."""


def take(connection: Connection, *, now: datetime, policy: RegistryPolicy) -> Census:
    """Count everybody."""
    return Census(
        terminals=Counter(
            {(region, kind, state): count for region, kind, state, count in connection.execute(_TERMINALS)}
        ),
        presences=Counter(
            presence(
                is_connected=is_connected,
                last_seen_at=last_seen_at,
                recent_connects=recent_connects(connects),
                now=now,
                policy=policy,
            )[0]
            for is_connected, last_seen_at, connects in connection.execute(_PRESENCES)
        ),
        certificate_ends=list(connection.scalars(_CERTIFICATE_ENDS)),
    )
