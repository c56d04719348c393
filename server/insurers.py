"""Who is the insurer of a running process? The configured one, with a line where it is far away."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Connection

from monitoring.metrics import Metrics
from server.background import Job
from server.credentials.sealing import FieldSeal, derived_key
from server.settings.insurer import InsurerKind
from server.settlement.insurers import Heard, Insurer
from server.settlement.insurers.fsi.breaker import BreakerState
from server.settlement.insurers.fsi.building import FsiCounts, fsi_insurer, read_fsi
from server.settlement.insurers.fsi.insurer import FsiInsurer
from server.store import UnitOfWork
from server.wiring import Domain

log = structlog.get_logger()

TIDY_EVERY: Final = timedelta(minutes=5)


def insurer_of(domain: Domain, unit_of_work: UnitOfWork, metrics: Metrics | None = None) -> Insurer:
    """Return the configured insurer; a remote one gets its line and writes through this unit of work.

    Raises:
        ConfigError, KeyFileError: what it needs is missing or wrong.
    """
    config = domain.config
    if config.insurer.kind is not InsurerKind.FSI:
        return domain.insurer
    return fsi_insurer(
        read_fsi(config.fsi, keys_dir=config.keys_dir),
        unit_of_work=unit_of_work,
        now=domain.now,
        seal=FieldSeal(derived_key(domain.keys.people_data, purpose="fsi")),
        quote_lifetime=config.settlement.quote_lifetime,
        counts=FsiCounts() if metrics is None else _counts(metrics),
    )


@asynccontextmanager
async def open_insurer(domain: Domain, unit_of_work: UnitOfWork) -> AsyncIterator[Insurer]:
    """Open the configured insurer for one command, and close its line afterwards.

    Raises:
        ConfigError, KeyFileError: as `insurer_of`.
    """
    insurer = insurer_of(domain, unit_of_work)
    try:
        yield insurer
    finally:
        await close_insurer(insurer)


async def close_insurer(insurer: Insurer) -> None:
    """Close the line, where there is one."""
    if isinstance(insurer, FsiInsurer):
        await insurer.close()


def heard_by(insurer: Insurer) -> Callable[[Connection, str], Sequence[Heard]]:
    """Return how to read what the insurer answered about a transaction; one in house has no words of its own."""
    return insurer.heard_of if isinstance(insurer, FsiInsurer) else lambda _connection, _transaction_id: ()


def insurer_jobs(insurer: Insurer) -> dict[str, Job]:
    """Return what is to be done beside the calls."""
    return {"CORE_TIDYING": Job(work=insurer.tidy, every=TIDY_EVERY)} if isinstance(insurer, FsiInsurer) else {}


def _counts(metrics: Metrics) -> FsiCounts:
    def count(infno: str, result: str, seconds: float) -> None:
        metrics.core_calls.labels(infno, result).inc()
        if result != "BREAKER_OPEN":
            metrics.core_call_seconds.labels(infno).observe(seconds)

    def note_breaker(state: BreakerState) -> None:
        metrics.core_breaker_open.set(0 if state is BreakerState.CLOSED else 1)
        log.warning("core_breaker", state=state.value)

    def note_disagreement(field: str) -> None:
        metrics.core_disagreements.inc()
        log.error("core_disagrees", field=field)

    return FsiCounts(on_call=count, on_breaker=note_breaker, on_disagreement=note_disagreement)
