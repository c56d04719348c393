"""How does the fleet stand right now? Counted from the database every few seconds, for the gauges."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, func, select, text

from device_registry import Presence, Registry, Terminal, TerminalFilter, TerminalState, Vitals
from monitoring.metrics import Metrics
from server.settlement.model import SettlementState
from server.store import StoreError, UnitOfWork
from server.store.tables.settlement import settlements

log = structlog.get_logger()

EVERY = timedelta(seconds=15)
_CONDITIONS = (Presence.OVERDUE, Presence.FLAPPING)
_DAY = timedelta(days=1)
# The first condition is that of the index: only the few in doubt are looked at. A dead letter has no next try.
_IN_DOUBT = select(func.count(), func.min(settlements.c.began_at), func.count(settlements.c.next_try_at)).where(
    text("state IN ('PENDING', 'UNKNOWN')"), settlements.c.state == SettlementState.UNKNOWN.value
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCount:
    """What the gauges show."""

    terminals: Counter[tuple[str, str, str]]
    """By region, class and state."""
    conditions: Counter[str]
    days_left: list[float]
    renewals_overdue: int
    unknown: int
    unknown_since: datetime | None
    dead_letters: int


class Survey:
    """Counts the fleet and sets the gauges."""

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

    async def run(self) -> None:
        """Count again and again, until cancelled."""
        while True:
            try:
                await self.take()
            except StoreError as error:
                log.warning("survey_failed", reason=error.reason)
            await asyncio.sleep(EVERY.total_seconds())

    async def take(self) -> None:
        """Count once."""
        count = await self._unit_of_work.read(self._count)
        for labels in self._shown | count.terminals.keys():
            self._metrics.terminals.labels(*labels).set(count.terminals[labels])
        self._shown |= count.terminals.keys()
        for condition in _CONDITIONS:
            self._metrics.terminal_conditions.labels(condition.value).set(count.conditions[condition.value])
        self._metrics.certificate_days_to_expiry.replace(count.days_left)
        self._metrics.certificates_renewal_overdue.set(count.renewals_overdue)
        self._metrics.settlements_unknown.set(count.unknown)
        self._metrics.settlement_dead_letters.set(count.dead_letters)
        age = self._now() - count.unknown_since if count.unknown_since else timedelta()
        self._metrics.settlement_unknown_age.set(age.total_seconds())
        self._metrics.last_success.labels("SURVEY").set(self._now().timestamp())

    def _count(self, connection: Connection) -> FleetCount:
        terminals = list(self._terminals(connection))
        unknown, unknown_since, waiting = connection.execute(_IN_DOUBT).one()
        active = {terminal.terminal_id for terminal in terminals if terminal.state is TerminalState.ACTIVE}
        vitals = [item for item in self._registry.fleet_vitals(connection) if item.terminal_id in active]
        left = [span for span in map(self._left, vitals) if span is not None]
        return FleetCount(
            terminals=Counter((item.region, item.terminal_class.value, item.state.value) for item in terminals),
            conditions=Counter(item.presence.value for item in vitals),
            days_left=[span / _DAY for span in left],
            renewals_overdue=sum(span < self._overdue_below for span in left),
            unknown=unknown,
            unknown_since=unknown_since,
            dead_letters=unknown - waiting,
        )

    def _terminals(self, connection: Connection) -> Iterator[Terminal]:
        """Yield every terminal, page by page."""
        after: str | None = None
        while page := self._registry.terminals(connection, TerminalFilter(after=after)):
            yield from page
            after = page[-1].terminal_id

    def _left(self, vitals: Vitals) -> timedelta | None:
        return None if vitals.certificate_not_after is None else vitals.certificate_not_after - self._now()
