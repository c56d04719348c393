"""How do fleet and settlements stand right now? Counted from the database every few seconds, for the gauges."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from device_registry import Census, Presence, Registry
from monitoring.metrics import Metrics
from server.settlement.model import Intent, SettlementState
from server.settlement.reconciliation.items import Openness, openness
from server.settlement.reconciliation.statements import DifferenceClass
from server.store import UnitOfWork
from server.store.tables.settlement import ARE_IN_DOUBT, settlements

_CONDITIONS = (Presence.OVERDUE, Presence.FLAPPING)
_DAY = timedelta(days=1)
# The first condition is that of the index: only the few in doubt are looked at. A dead letter has no next try.
_SINCE = func.coalesce(settlements.c.doubt_since, settlements.c.began_at, type_=settlements.c.began_at.type)
_IN_DOUBT = (
    select(settlements.c.intent, func.count(), func.min(_SINCE), func.count(settlements.c.next_try_at))
    .where(ARE_IN_DOUBT, settlements.c.state == SettlementState.UNKNOWN.value)
    .group_by(settlements.c.intent)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Settlements whose outcome nobody knows."""

    by_intent: Mapping[str, int]
    since: datetime | None
    """Since when the oldest of them is in doubt."""
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
        census, doubt, open_items = await self._unit_of_work.read(self._count)
        self._show_fleet(census)
        self._show_doubt(doubt)
        self._show_differences(open_items)

    def _count(self, connection: Connection) -> tuple[Census, Doubt, Openness]:
        rows = connection.execute(_IN_DOUBT).all()
        doubt = Doubt(
            by_intent={intent: unknown for intent, unknown, _, _ in rows},
            since=min((since for _, _, since, _ in rows), default=None),
            dead_letters=sum(unknown - waiting for _, unknown, _, waiting in rows),
        )
        return self._registry.census(connection), doubt, openness(connection)

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
        self._metrics.settlements_unknown.set(sum(doubt.by_intent.values()))
        for intent in Intent:
            self._metrics.settlement_doubts.labels(intent.value).set(doubt.by_intent.get(intent.value, 0))
        self._metrics.settlement_dead_letters.set(doubt.dead_letters)
        age = self._now() - doubt.since if doubt.since else timedelta()
        self._metrics.settlement_unknown_age.set(age.total_seconds())

    def _show_differences(self, open_items: Openness) -> None:
        for difference in DifferenceClass:
            self._metrics.reconciliation_items.labels(difference.value).set(open_items.items.get(difference, 0))
        age = self._now() - open_items.oldest if open_items.oldest else timedelta()
        self._metrics.reconciliation_oldest_age.set(max(age, timedelta()).total_seconds())
        if open_items.succeeded_at is not None:
            self._metrics.reconciliation_last_success.set(open_items.succeeded_at.timestamp())
