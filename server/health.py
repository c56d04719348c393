"""Is the platform alive, and is it ready? Asked by probes, by load balancers and by Prometheus."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from sqlalchemy import Connection, text

from monitoring.metrics import Metrics
from server.store import StoreError, UnitOfWork

REMEMBERED_FOR = timedelta(seconds=1)
"""How long an answer is good, so that a busy prober does not keep the writer busy."""

Check = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What was found: each check by name."""

    checks: dict[str, bool]

    @property
    def is_ready(self) -> bool:
        """Whether all of them pass."""
        return all(self.checks.values())


class Health:
    """Asks every part whether it can do its work."""

    def __init__(self, *, checks: dict[str, Check], metrics: Metrics) -> None:
        self._checks = checks
        self._metrics = metrics
        self._found: Readiness | None = None
        self._found_at = 0.0
        self.is_stopping = False

    async def readiness(self) -> Readiness:
        """Return what is in order and what is not."""
        if self._found is None or monotonic() - self._found_at > REMEMBERED_FOR.total_seconds():
            self._found = Readiness(checks={name: await check() for name, check in self._checks.items()})
            self._found_at = monotonic()
        checks = {**self._found.checks, "running": not self.is_stopping}
        for name, passes in checks.items():
            self._metrics.ready.labels(name).set(passes)
        return Readiness(checks=checks)


def database_check(unit_of_work: UnitOfWork) -> Check:
    """Return a check that takes the write lock and commits."""

    async def writable() -> bool:
        try:
            await unit_of_work.write(_nothing)
        except StoreError:
            return False
        return True

    return writable


def lag_check(lag: Callable[[], float], lag_max: timedelta) -> Check:
    """Return a check that the registry is being followed."""

    async def followed() -> bool:
        return lag() <= lag_max.total_seconds()

    return followed


def _nothing(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
