"""How does the fleet's identity stand? Issuers, forecast, rollouts, findings and logs, counted for the gauges.

A look of its own beside `survey.py`, because it is dearer and changes more slowly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Gauge
from sqlalchemy import Connection

from device_registry.authority.issuer_states import IssuerState
from device_registry.authority.issuers import IssuerOverview
from device_registry.fleet.finding import FindingKind, Severity
from device_registry.rollouts.forecast import Forecast, Missing
from device_registry.rollouts.rollout_states import MemberState, RolloutState
from device_registry.rollouts.rollouts import RolloutCensus
from monitoring.metrics import Metrics
from server.store import UnitOfWork
from server.wiring import Domain

IDENTITY_SURVEY_EVERY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityCount:
    """Everything that one look counts."""

    forecast: Forecast
    findings: Mapping[tuple[FindingKind, Severity], int]
    issuers: IssuerOverview
    rollouts: RolloutCensus
    revocations: int
    audit_entries: int
    signed_entries: int
    signed_at: datetime | None


class IdentitySurvey:
    """Counts, and sets the gauges."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics) -> None:
        self._domain = domain
        self._unit_of_work = unit_of_work
        self._metrics = metrics
        self._kinds_shown: set[tuple[str, str]] = set()

    async def take(self) -> None:
        """Count once."""
        count = await self._unit_of_work.walk(self._count, patience=IDENTITY_SURVEY_EVERY)
        _show(self._metrics.certificates_missing_rotation, Missing, count.forecast.by_missing)
        self._show_findings(count.findings)
        self._show_issuers(count.issuers)
        _show(self._metrics.rollouts, RolloutState, count.rollouts.rollouts)
        _show(self._metrics.rollout_members, MemberState, count.rollouts.members)
        self._metrics.revocation_log_entries.set(count.revocations)
        self._metrics.audit_unsigned_entries.set(count.audit_entries - count.signed_entries)
        self._metrics.audit_checkpoint.set(count.signed_at.timestamp() if count.signed_at else 0)

    def _count(self, connection: Connection) -> IdentityCount:
        domain = self._domain
        checkpoint = domain.checkpoints.newest(connection)
        return IdentityCount(
            forecast=domain.forecasts.take(connection),
            findings=domain.findings.open_counts(connection),
            issuers=domain.issuers.overview(connection),
            rollouts=domain.rollouts.census(connection),
            revocations=domain.revocations.head(connection)[0],
            audit_entries=domain.audit.head(connection)[0],
            signed_entries=checkpoint.entries if checkpoint else 0,
            signed_at=checkpoint.at if checkpoint else None,
        )

    def _show_findings(self, findings: Mapping[tuple[FindingKind, Severity], int]) -> None:
        counts = {(kind.value, severity.value): count for (kind, severity), count in findings.items()}
        for labels in self._kinds_shown | counts.keys():
            self._metrics.findings_open.labels(*labels).set(counts.get(labels, 0))
        self._kinds_shown |= counts.keys()

    def _show_issuers(self, overview: IssuerOverview) -> None:
        terminals: dict[IssuerState, int] = {}
        ends: dict[IssuerState, float] = {}
        for use in overview.uses:
            state, end = use.issuer.state, use.issuer.not_after
            terminals[state] = terminals.get(state, 0) + use.terminals
            if end is not None:
                ends[state] = min(end.timestamp(), ends.get(state, end.timestamp()))
        _show(self._metrics.issuer_terminals, IssuerState, terminals)
        self._metrics.issuer_expiry.clear()  # a state that nobody is in has no first one to expire
        for state, first in ends.items():
            self._metrics.issuer_expiry.labels(state.value).set(first)


def _show(
    gauge: Gauge,
    words: type[Missing] | type[RolloutState] | type[MemberState] | type[IssuerState],
    counts: Mapping[Any, int],
) -> None:
    """Set a gauge for every word there is, so that what is no more goes back to 0."""
    for word in words:
        gauge.labels(word.value).set(counts.get(word, 0))
