"""How are the resolver, the reconciliation and the operators' doors put together? Each with what it needs, by keyword.

The running platform and the commands of the CLI build the same room, each on its own unit of work.
"""

from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import structlog

from monitoring.metrics import Metrics
from server.insurers import heard_by
from server.settlement.closing import Doubts
from server.settlement.reconciliation.actions import ReconciliationItems
from server.settlement.reconciliation.ledger_statements import LedgerStatements
from server.settlement.reconciliation.runs import DayResult, Reconciliation, ReconciliationPolicy
from server.settlement.reconciliation.terminals import TerminalDays
from server.settlement.remote import Upstream, upstream_of
from server.settlement.resolve import Resolver, ResolverPolicy
from server.store import UnitOfWork
from server.wiring import Domain

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtRoom:
    """What deals with money about which two books may not agree."""

    resolver: Resolver
    doubts: Doubts
    reconciliation: Reconciliation
    items: ReconciliationItems
    terminal_days: TerminalDays


def doubt_room(domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics) -> DoubtRoom:
    """Put the room together; the domain's insurer must be one that answers."""
    config, insurer, now = domain.config.settlement, domain.insurer, domain.now
    zone = ZoneInfo(config.time_zone)
    upstream = upstream_of(
        insurer,
        unit_of_work=unit_of_work,
        now=now,
        audit=domain.audit,
        self_pays=domain.self_pays,
        timeout=config.insurer_timeout,
        retry_after=config.resolve_interval,
    )
    return DoubtRoom(
        resolver=_resolver(domain, unit_of_work, metrics, upstream),
        doubts=Doubts(
            unit_of_work=unit_of_work,
            now=now,
            audit=domain.audit,
            self_pays=domain.self_pays,
            upstream=upstream,
            heard_of=heard_by(insurer),
        ),
        reconciliation=Reconciliation(
            unit_of_work=unit_of_work,
            now=now,
            zone=zone,
            statements=(
                LedgerStatements(unit_of_work=unit_of_work, zone=zone) if insurer.is_in_house else insurer.statements
            ),
            upstream=upstream,
            audit=domain.audit,
            policy=ReconciliationPolicy(
                interval=config.reconcile_interval,
                days_back=config.reconcile_days_back,
                in_detail=config.reconcile_in_detail,
            ),
            on_day=_told(metrics),
        ),
        items=ReconciliationItems(unit_of_work=unit_of_work, now=now, zone=zone, audit=domain.audit, upstream=upstream),
        terminal_days=TerminalDays(unit_of_work=unit_of_work, zone=zone),
    )


def _resolver(domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics, upstream: Upstream | None) -> Resolver:
    config = domain.config.settlement

    def given_up(transaction_id: str) -> None:
        metrics.settlement_resolutions.labels("DEAD_LETTER").inc()
        log.error("settlement_dead_letter", transaction_id=transaction_id)

    def ended(state: str) -> None:
        metrics.settlement_resolutions.labels(state).inc()
        metrics.settlement_last_resolution.set(domain.now().timestamp())

    return Resolver(
        unit_of_work=unit_of_work,
        now=domain.now,
        upstream=upstream,
        audit=domain.audit,
        policy=ResolverPolicy(
            interval=config.resolve_interval,
            backoff_max=config.resolve_backoff_max,
            attempts_max=config.resolve_attempts_max,
            age_max=config.resolve_age_max,
        ),
        on_resolved=lambda state: ended(state.value),
        on_tried=metrics.settlement_tries.observe,
        on_dead_letter=given_up,
    )


def _told(metrics: Metrics) -> Callable[[DayResult], None]:
    def told(result: DayResult) -> None:
        outcome = "FAILED" if result.failed else "AGREES" if result.agrees else "DIFFERS"
        metrics.reconciliations.labels(outcome).inc()
        if outcome != "AGREES":
            log.warning(
                "books_compared",
                day=result.day.isoformat(),
                outcome=outcome,
                differences=result.differences,
                new_items=result.new_items,
                why=result.why,
            )

    return told
