"""Who ends the doubt? The Resolver works UNKNOWN settlements off: settled, undone, or a person is called."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, update

from device_registry.audit.log import AuditLog
from server.settlement.insurers import Insurer
from server.settlement.model import SettlementState
from server.settlement.remote import Upstream
from server.settlement.store import IN_DOUBT, doubt_pending, find_settlement, settlements_in_doubt
from server.store.tables.settlement import settlements
from server.store.unit_of_work import UnitOfWork

_RANDOM = secrets.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverPolicy:
    """How doubt is worked off."""

    interval: timedelta = timedelta(seconds=5)
    """The first wait between two attempts; it doubles with each. A pass as often is often enough."""
    backoff_max: timedelta = timedelta(hours=1)
    """The longest wait between two attempts."""
    attempts_max: int = 20
    """Attempts after which a settlement is a dead letter: it stays UNKNOWN, is left alone, and somebody is told."""
    batch_max: int = 16
    """Settlements worked off at once."""


class Resolver:
    """Looks for UNKNOWN settlements that are due and works them off."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        insurer: Insurer,
        audit: AuditLog,
        insurer_timeout: timedelta,
        policy: ResolverPolicy,
        on_resolved: Callable[[SettlementState], None] = lambda _: None,
        on_dead_letter: Callable[[str], None] = lambda _: None,
        jitter: Callable[[], float] = _RANDOM.random,
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where settlements are.
            now: the clock.
            insurer: whom to ask; one in house never leaves anything in doubt.
            audit: where outcomes are noted.
            insurer_timeout: how long one attempt may take.
            policy: pace and bounds.
            on_resolved: told of each doubt that ended, and how.
            on_dead_letter: told of each settlement (its transaction id) that needs a person now.
            jitter: a number in [0, 1) for each wait, so that many settlements do not come back at once.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._audit: Final = audit
        self._timeout: Final = insurer_timeout
        self._policy: Final = policy
        self._on_resolved: Final = on_resolved
        self._on_dead_letter: Final = on_dead_letter
        self._jitter: Final = jitter
        self._upstream = (
            None
            if insurer.is_in_house
            else Upstream(
                unit_of_work=unit_of_work,
                now=now,
                insurer=insurer,
                audit=audit,
                timeout=insurer_timeout,
                retry_after=policy.interval,
            )
        )

    async def work_off_due(self) -> int:
        """Make one pass and return how many settlements were tried; to be called again and again.

        Raises:
            StoreError: the database is down; what is in doubt stays in doubt and is found by the next pass.
        """
        if self._upstream is None:
            return 0
        now = self._now()
        # Nobody waits for a call that began this long ago: its caller's write failed, or its process died.
        abandoned_before = now - 4 * self._timeout
        await self._unit_of_work.write(
            lambda connection: doubt_pending(connection, began_before=abandoned_before, next_try_at=now)
        )
        due = await self._unit_of_work.read(
            lambda connection: settlements_in_doubt(connection, due=now, limit=self._policy.batch_max)
        )
        await asyncio.gather(*(self._try(self._upstream, transaction_id) for transaction_id in due))
        return len(due)

    async def _try(self, upstream: Upstream, transaction_id: str) -> None:
        try:
            row = await upstream.work_off(transaction_id)
        except Exception:  # noqa: BLE001 - whatever it was, the doubt remains and is noted
            if await self._unit_of_work.write(lambda connection: self._note_failure(connection, transaction_id)):
                self._on_dead_letter(transaction_id)
            return
        if row.state not in IN_DOUBT:  # else something newer is wanted of it, which is due by itself
            self._on_resolved(row.state)

    def _note_failure(self, connection: Connection, transaction_id: str) -> bool:
        """Write down when to try again; return whether that is never, because it has been tried often enough."""
        row, _ = find_settlement(connection, transaction_id)
        if row is None or row.state is not SettlementState.UNKNOWN:
            return False
        tries = row.tries + 1
        is_dead = tries >= self._policy.attempts_max
        connection.execute(
            update(settlements)
            .where(settlements.c.transaction_id == transaction_id)
            .values(tries=tries, next_try_at=None if is_dead else self._now() + self._wait(tries))
        )
        if is_dead:
            self._audit.append(
                connection,
                actor="platform",
                action="settlement.dead_letter",
                subject=transaction_id,
                details={"tries": tries},
            )
        return is_dead

    def _wait(self, tries: int) -> timedelta:
        """Return a wait that doubles up to the bound, shortened at random by up to a half."""
        doubled = min(self._policy.backoff_max, self._policy.interval * (1 << min(tries - 1, 30)))
        return doubled * (1 - self._jitter() / 2)
