"""Is the platform alive, and is it ready? Asked by probes, by load balancers and by Prometheus."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from types import MappingProxyType
from typing import Protocol

from monitoring.metrics import Metrics
from server.store import StoreError, UnitOfWork, touch

REMEMBERED_FOR = timedelta(seconds=1)
"""How long the database's answer is good, so that a busy prober does not keep the writer busy."""

CHECKED_WITHIN = timedelta(seconds=3)
"""A part that does not say so in this time is not in order; longer than another process may hold the database."""

Check = Callable[[], Awaitable[bool]]


class Follower(Protocol):
    """Is told when the platform becomes ready or is so no more."""

    async def __call__(self, *, is_ready: bool) -> None:
        """Take it up."""


_NONE: Mapping[str, Check] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What was found: each check by name."""

    checks: dict[str, bool]
    warnings: frozenset[str] = frozenset()
    """Checks without which the platform goes on: to take it out of service would make things worse."""

    @property
    def is_ready(self) -> bool:
        """Whether all of them pass."""
        return all(is_passed for name, is_passed in self.checks.items() if name not in self.warnings)


class Health:
    """Asks every part whether it can do its work."""

    def __init__(
        self,
        *,
        checks: dict[str, Check],
        metrics: Metrics,
        warnings: Mapping[str, Check] = _NONE,
        checked_within: timedelta = CHECKED_WITHIN,
    ) -> None:
        self._checks = {**checks, **warnings}
        self._warnings = frozenset(warnings)
        self._metrics = metrics
        self._checked_within = checked_within.total_seconds()
        self._followers: list[Follower] = []
        self._was_ready = True
        self.is_stopping = False

    def follow(self, follower: Follower) -> None:
        """Have somebody told whenever the answer to `readiness` changes."""
        self._followers.append(follower)

    async def readiness(self) -> Readiness:
        """Return what is in order and what is not."""
        passes = await asyncio.gather(*map(self._passes, self._checks.values()))
        checks = {**dict(zip(self._checks, passes, strict=True)), "running": not self.is_stopping}
        for name, is_passed in checks.items():
            self._metrics.ready.labels(name).set(is_passed)
        found = Readiness(checks=checks, warnings=self._warnings)
        if found.is_ready is not self._was_ready:
            self._was_ready = found.is_ready
            for follower in self._followers:
                await follower(is_ready=found.is_ready)
        return found

    async def _passes(self, check: Check) -> bool:
        try:
            async with asyncio.timeout(self._checked_within):
                return await check()
        except TimeoutError:
            return False


def database_check(unit_of_work: UnitOfWork) -> Check:
    """Return a check that writes a page and commits it, unless it did so a moment ago."""
    is_writable, good_until = False, 0.0

    async def writable() -> bool:
        nonlocal is_writable, good_until
        if monotonic() >= good_until:
            is_writable = await _writes(unit_of_work)
            good_until = monotonic() + REMEMBERED_FOR.total_seconds()
        return is_writable

    return writable


async def _writes(unit_of_work: UnitOfWork) -> bool:
    try:
        await unit_of_work.write(touch)
    except StoreError:
        return False
    return True


def lag_check(lag: Callable[[], float], lag_max: timedelta) -> Check:
    """Return a check that the registry is being followed."""

    async def followed() -> bool:
        return lag() <= lag_max.total_seconds()

    return followed
