"""How do fleet and settlements stand right now? Counted from the database every few seconds, for the gauges."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select, text

from device_registry import Census, Presence, Registry
from monitoring.metrics import Metrics
from server.settlement.model import SettlementState
from server.store import UnitOfWork
from server.store.tables.settlement import settlements

_CONDITIONS = (Presence.OVERDUE, Presence.FLAPPING)
_DAY = timedelta(days=1)
# The first condition is that of the index: only the few in doubt are looked at. A dead letter has no next try.
_IN_DOUBT = select(func.count(), func.min(settlements.c.began_at), func.count(settlements.c.next_try_at)).where(
    text("state IN ('PENDING', 'UNKNOWN')"), settlements.c.state == SettlementState.UNKNOWN.value
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Settlements whose outcome nobody knows."""

    unknown: int
    since: datetime | None
    """When the oldest of them began."""
    dead_letters: int
    """Those that were given up on."""


class Survey:
    """Counts, and sets the gauges."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        registry: Registry,
        metrics: Metrics,
        now: Callable[[], datetime],
        certificate_lifetime: timedelta,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._registry = registry
        self._metrics = metrics
        self._now = now
        # A renewal is due at two thirds of a certificate's life; half of the rest later it is overdue.
        self._overdue_below = certificate_lifetime / 6
        self._shown: set[tuple[str, str, str]] = set()

    async def take(self) -> None:
        """Count once."""
        census, doubt = await self._unit_of_work.read(self._count)
        self._show_fleet(census)
        self._show_doubt(doubt)

    def _count(self, connection: Connection) -> tuple[Census, Doubt]:
        unknown, since, waiting = connection.execute(_IN_DOUBT).one()
        return self._registry.census(connection), Doubt(unknown=unknown, since=since, dead_letters=unknown - waiting)

    def _show_fleet(self, census: Census) -> None:
        now = self._now()
        gauges = {
            (region, terminal_class.value, state.value): count
            for (region, terminal_class, state), count in census.terminals.items()
        }
        for labels in self._shown | gauges.keys():
            self._metrics.terminals.labels(*labels).set(gauges.get(labels, 0))
        self._shown |= gauges.keys()
        for condition in _CONDITIONS:
            self._metrics.terminal_conditions.labels(condition.value).set(census.presences[condition])
        self._metrics.certificate_days_to_expiry.replace((end - now) / _DAY for end in census.certificate_ends)
        self._metrics.certificates_lapsed.set(sum(end <= now for end in census.certificate_ends))
        overdue_before = now + self._overdue_below
        self._metrics.certificates_renewal_overdue.set(sum(end < overdue_before for end in census.certificate_ends))

    def _show_doubt(self, doubt: Doubt) -> None:
        self._metrics.settlements_unknown.set(doubt.unknown)
        self._metrics.settlement_dead_letters.set(doubt.dead_letters)
        age = self._now() - doubt.since if doubt.since else timedelta()
        self._metrics.settlement_unknown_age.set(age.total_seconds())
