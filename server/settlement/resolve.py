"""Who ends the doubt? The Resolver works UNKNOWN settlements off: settled, undone, or a person is called.

Any number of replicas may run one: a pass takes what is due under a lease, so no two work on one settlement. A call
that never comes back holds up neither the pass nor the next one.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.settlement.doubts import Lease, claim_due, life_of, note_try, put_off, why_of
from server.settlement.errors import InsurerRefusedError
from server.settlement.model import SettlementState
from server.settlement.remote import NO_ANSWER, Upstream
from server.settlement.store import IN_DOUBT, doubt_pending
from server.store.unit_of_work import UnitOfWork

_RANDOM = secrets.SystemRandom()
_TRIES_BEFORE_TOO_OLD: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolverPolicy:
    """How doubt is worked off."""

    interval: timedelta = timedelta(seconds=5)
    """The first wait between two attempts; it doubles with each. A pass as often is often enough."""
    backoff_max: timedelta = timedelta(hours=1)
    """The longest wait between two attempts."""
    attempts_max: int = 20
    """Attempts after which a settlement is a dead letter: it stays UNKNOWN, is left alone, and somebody is told."""
    age_max: timedelta = timedelta(days=1)
    """Age of a doubt after which it is one too, however seldom it was tried; at least three times, for a clock may
    jump."""
    batch_max: int = 16
    """Settlements worked off at once."""
    batches_max: int = 64
    """Batches in one pass, as long as the insurer answers: after an outage hundreds are due at once."""


class Resolver:
    """Looks for UNKNOWN settlements that are due and works them off."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        upstream: Upstream | None,
        audit: AuditLog,
        policy: ResolverPolicy,
        on_resolved: Callable[[SettlementState], None] = lambda _: None,
        on_tried: Callable[[int], None] = lambda _: None,
        on_dead_letter: Callable[[str], None] = lambda _: None,
        jitter: Callable[[], float] = _RANDOM.random,
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where settlements are.
            now: the clock.
            upstream: asks the insurer; None for one in house, which never leaves anything in doubt.
            audit: where outcomes are noted.
            policy: pace and bounds.
            on_resolved: told of each doubt that ended, and how.
            on_tried: told after how many tries one ended, or was given up.
            on_dead_letter: told of each settlement (its transaction id) that needs a person now.
            jitter: a number in [0, 1) for each wait, so that many settlements do not come back at once.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._audit: Final = audit
        self._policy: Final = policy
        self._on_resolved: Final = on_resolved
        self._on_tried: Final = on_tried
        self._hanging: Final[set[asyncio.Task[bool]]] = set()
        self._on_dead_letter: Final = on_dead_letter
        self._jitter: Final = jitter
        self._upstream: Final = upstream

    async def work_off_due(self) -> int:
        """Make one pass and return how many settlements were tried; to be called again and again.

        Raises:
            StoreError: the database is down; what is in doubt stays in doubt and is found by the next pass.
        """
        if self._upstream is None:
            return 0
        upstream, now = self._upstream, self._now()
        # Nobody waits for a call that began this long ago: its caller's write failed, or its process died.
        await self._unit_of_work.write(lambda connection: doubt_pending(connection, now=now, patience=upstream.lease))
        tried = 0
        for _ in range(self._policy.batches_max):
            count, is_worth_more = await self._work_off_batch(upstream)
            tried += count
            if not is_worth_more:
                break
        return tried

    async def _work_off_batch(self, upstream: Upstream) -> tuple[int, bool]:
        """Work off what is due, up to a batch; return how many, and whether a further batch may do as well."""
        limit = self._policy.batch_max - len(self._hanging)
        if limit <= 0:
            return 0, False
        due = await self._unit_of_work.write(
            lambda connection: claim_due(
                connection,
                now=self._now(),
                lease=upstream.lease,
                wait_max=max(self._policy.backoff_max, self._policy.interval),
                limit=limit,
            )
        )
        if not due:
            return 0, False
        tasks = {asyncio.create_task(self._try(upstream, lease)) for lease in due}
        try:
            done, late = await asyncio.wait(tasks, timeout=upstream.lease.total_seconds())
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        for task in late:  # a call that even a cancellation does not end; its place stays taken until it does
            task.cancel()
            self._hanging.add(task)
            task.add_done_callback(self._came_back)
        ended = [task.result() for task in done]
        return len(due), not late and len(due) == limit and any(ended)

    def _came_back(self, task: asyncio.Task[bool]) -> None:
        self._hanging.discard(task)
        if not task.cancelled():
            task.exception()  # it is too late for whatever it says; the doubt is still there

    async def _try(self, upstream: Upstream, lease: Lease) -> bool:
        """Try one doubt; return whether the insurer answered."""
        tries = 0
        try:
            before = await self._unit_of_work.read(lambda connection: life_of(connection, lease.transaction_id))
            tries = before.tries + 1 if before is not None else 0
            row = await upstream.work_off(lease.transaction_id)
        except InsurerRefusedError:  # it will not cancel, so the bill stays paid: that is an end as well
            self._on_resolved(SettlementState.SETTLED)
        except Exception as error:  # noqa: BLE001 - whatever it was, the doubt remains and is noted
            why = why_of(error)
            if await self._unit_of_work.write(partial(self._note_failure, lease=lease, why=why)):
                self._on_tried(tries)
                self._on_dead_letter(lease.transaction_id)
            return False
        else:
            if row.state in IN_DOUBT:  # something newer is wanted of it, and somebody is at that
                return True
            self._on_resolved(row.state)
        self._on_tried(tries)
        return True

    def _note_failure(self, connection: Connection, *, lease: Lease, why: str) -> bool:
        """Write down when to try again; return whether that is never, because it has been tried enough."""
        life, now = life_of(connection, lease.transaction_id), self._now()
        if life is None:
            return False
        tries, age = life.tries + 1, now - life.since
        is_too_old = age >= self._policy.age_max and tries >= _TRIES_BEFORE_TOO_OLD
        is_dead = tries >= self._policy.attempts_max or is_too_old
        if not put_off(connection, lease, next_try_at=None if is_dead else now + self._wait(tries), tries=tries):
            return False
        note_try(connection, lease.transaction_id, intent=life.intent, outcome=NO_ANSWER, why=why, now=now)
        if is_dead:
            self._audit.append(
                connection,
                actor="platform",
                action="settlement.dead_letter",
                subject=lease.transaction_id,
                reason=why,
                details={"tries": tries, "age_seconds": round(age.total_seconds())},
            )
        return is_dead

    def _wait(self, tries: int) -> timedelta:
        """Return a wait that doubles up to the bound, shortened at random by up to a half."""
        doubled = min(self._policy.backoff_max, self._policy.interval * (1 << min(tries - 1, 30)))
        return doubled * (1 - self._jitter() / 2)
