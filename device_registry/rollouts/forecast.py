"""Which terminals will miss their rotation? Those whose certificate ends soon and that do nothing about it.

A terminal misses its rotation for one of two reasons: it is away, so that nothing can reach it, or it is here and does
not renew. Whoever was merely switched off over night is neither.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, RowMapping, bindparam, select

from device_registry.enrollment.issuance import renew_after
from device_registry.errors import FieldInvalidError
from device_registry.model import CertificateStatus, RegistryPolicy, TerminalClass, TerminalState
from device_registry.tables import certificates, sites, terminals, vitals

AWAY_AFTER = timedelta(days=3)
"""A terminal that nothing was heard of for so long is away: a weekend with a bank holiday is shorter."""
RENEW_WITHIN = timedelta(days=1)
"""A terminal that was here for so long after its renewal was due, and has not renewed, does not renew."""
HORIZON = timedelta(days=7)
HORIZON_MAX = timedelta(days=365)
# With certificates of hours, days would never be over: both bounds shrink to a share of the life.
_AWAY_FRACTION, _RENEW_FRACTION = 1 / 10, 1 / 20

_ENDING = (
    select(
        terminals.c.terminal_id,
        terminals.c.serial_number,
        terminals.c.site_id,
        sites.c.region,
        terminals.c.terminal_class,
        terminals.c.factory_key_sha256,
        vitals.c.last_seen_at,
        certificates.c.fingerprint,
        certificates.c.issued_at,
        certificates.c.not_after,
    )
    .join(sites, sites.c.site_id == terminals.c.site_id)
    .join(vitals, vitals.c.terminal_id == terminals.c.terminal_id)
    .join(certificates, certificates.c.terminal_id == terminals.c.terminal_id)
    .where(
        terminals.c.state == TerminalState.ACTIVE,
        certificates.c.status == CertificateStatus.CURRENT,
        certificates.c.not_after < bindparam("before"),
    )
    .order_by(certificates.c.not_after, terminals.c.terminal_id)
)


class Missing(StrEnum):
    """Why a terminal will miss its rotation, or has missed it."""

    AWAY = "AWAY"
    """It was not seen for long; when it is switched on in time, it renews by itself."""
    NOT_RENEWING = "NOT_RENEWING"
    """It was here when its renewal was due and has not renewed: look at its log, its clock, its disk."""


class Mend(StrEnum):
    """How a terminal gets a certificate once its last one has ended."""

    GRACE = "GRACE"
    """By renewing with the ended one, once, within the grace time of its class."""
    FACTORY_KEY = "FACTORY_KEY"
    """By its factory identity."""
    TECHNICIAN = "TECHNICIAN"
    """By a new token or ticket: somebody has to go there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Laggard:
    """A terminal that will miss its rotation, or has."""

    terminal_id: str
    serial_number: str
    site_id: str
    region: str
    terminal_class: TerminalClass
    last_seen_at: datetime | None
    renew_after: datetime
    not_after: datetime
    missing: Missing
    mend: Mend
    mendable_until: datetime | None
    """Until when the mend is possible; None: without end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Who will miss their rotation, and how many."""

    made_at: datetime
    horizon: timedelta
    laggards: Sequence[Laggard]
    """Those whose certificate ends first, first."""
    by_missing: Counter[Missing] = field(default_factory=Counter)
    by_mend: Counter[Mend] = field(default_factory=Counter)
    by_region: Counter[str] = field(default_factory=Counter)
    by_site: Counter[str] = field(default_factory=Counter)
    by_class: Counter[TerminalClass] = field(default_factory=Counter)
    lapsed: int = 0
    """Of them, those whose certificate has ended already."""

    @property
    def total(self) -> int:
        """Return how many they are."""
        return len(self.laggards)


class Forecasts:
    """Looks ahead."""

    def __init__(self, *, now: Callable[[], datetime], policy: RegistryPolicy) -> None:
        self._now = now
        self._policy = policy

    def take(self, connection: Connection, *, horizon: timedelta = HORIZON) -> Forecast:
        """Return the ACTIVE terminals whose certificate ends within the horizon and that will not renew in time."""
        if not timedelta(0) <= horizon <= HORIZON_MAX:
            raise FieldInvalidError(field="horizon", detail=f"0 to {HORIZON_MAX}")
        now = self._now()
        rows = connection.execute(_ENDING, {"before": now + horizon}).mappings()
        found = [laggard for row in rows if (laggard := self._laggard(row, now)) is not None]
        return Forecast(
            made_at=now,
            horizon=horizon,
            laggards=found,
            by_missing=Counter(it.missing for it in found),
            by_mend=Counter(it.mend for it in found),
            by_region=Counter(it.region for it in found),
            by_site=Counter(it.site_id for it in found),
            by_class=Counter(it.terminal_class for it in found),
            lapsed=sum(it.not_after <= now for it in found),
        )

    def _laggard(self, row: RowMapping, now: datetime) -> Laggard | None:
        due = renew_after(issued_at=row["issued_at"], not_after=row["not_after"], fingerprint=row["fingerprint"])
        missing = why_missing(
            life=row["not_after"] - row["issued_at"], due=due, last_seen_at=row["last_seen_at"], now=now
        )
        if missing is None:
            return None
        mend, until = self._mend(row, now)
        names = ("terminal_id", "serial_number", "site_id", "region", "terminal_class", "last_seen_at", "not_after")
        return Laggard(
            **{name: row[name] for name in names}, renew_after=due, missing=missing, mend=mend, mendable_until=until
        )

    def _mend(self, row: RowMapping, now: datetime) -> tuple[Mend, datetime | None]:
        grace_until = row["not_after"] + self._policy.grace_after_expiry(row["terminal_class"])
        if max(now, row["not_after"]) < grace_until:
            return Mend.GRACE, grace_until
        return (Mend.FACTORY_KEY if row["factory_key_sha256"] else Mend.TECHNICIAN), None


def why_missing(*, life: timedelta, due: datetime, last_seen_at: datetime | None, now: datetime) -> Missing | None:
    """Return why a terminal is going to miss its rotation, None when it is on its way.

    Args:
        life: from issue to end of its certificate.
        due: when it should renew.
        last_seen_at: when anything was last heard of it.
        now: the platform's clock.
    """
    away_after, renew_within = min(AWAY_AFTER, life * _AWAY_FRACTION), min(RENEW_WITHIN, life * _RENEW_FRACTION)
    if last_seen_at is None or now - last_seen_at >= away_after:
        return Missing.AWAY
    if last_seen_at >= due + renew_within:
        return Missing.NOT_RENEWING
    return None
