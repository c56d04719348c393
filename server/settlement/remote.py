"""How a remote insurer is asked without losing track: what we want is durable before the call, what came of it after.

Between the two lies doubt. Every change is a guarded UPDATE on state and intent, so an answer that comes after
somebody has changed their mind (a reversal overtook the settlement) changes nothing and the newer intent is worked
off. And whoever works on a doubt holds a lease on it, so that nobody asks the insurer twice at once.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import uuid_utils
from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.settlement.doubts import Lease, claim, life_of, note_try, put_off, why_of
from server.settlement.errors import (
    InsurerRefusedError,
    InsurerUnavailableError,
    OutcomeUnknownError,
    SettlementNotFoundError,
)
from server.settlement.insurers import Booking, Claim, Entitlement, Insurer, RemoteInsurer
from server.settlement.model import Intent, Quotation, SettlementState
from server.settlement.self_pay.channels import SelfPays
from server.settlement.settle import record
from server.settlement.store import IN_DOUBT, SettlementRow, find_settlement, move_settlement
from server.store.unit_of_work import UnitOfWork

HAVE_ENDED = frozenset({SettlementState.FAILED, SettlementState.CANCELLED, SettlementState.REVERSED})
"""Where nothing is paid: what was taken beside the insurer's part is given back."""
NO_ANSWER: Final = "NO_ANSWER"
"""Outcome of a try after which nobody knows more than before."""


class Upstream:
    """One remote insurer, asked with a bound on time, its answers written down."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        insurer: RemoteInsurer,
        audit: AuditLog,
        self_pays: SelfPays,
        timeout: timedelta,
        retry_after: timedelta,
    ) -> None:
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._insurer: Final = insurer
        self._audit: Final = audit
        self._self_pays: Final = self_pays
        self._timeout: Final = timeout.total_seconds()
        self._retry_after: Final = retry_after
        self.lease: Final = 4 * timeout
        """How long one try keeps others away: two calls at most, and what is written around them."""

    async def quote(self, claim: Claim) -> Quotation:
        """Ask who would pay what.

        Raises:
            InsurerRefusedError: it would not pay at all.
            InsurerUnavailableError: no answer; nothing is in doubt, a quote moves nothing.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._insurer.quote(claim)
        except InsurerRefusedError:
            raise
        except Exception as error:
            raise InsurerUnavailableError from error

    async def settle(self, row: SettlementRow, *, entitlement: Entitlement | None = None) -> SettlementRow:
        """Ask for a PENDING settlement to be booked; return it SETTLED, FAILED or UNKNOWN, or as a reversal left it."""
        booked = row.booked
        asked = replace(booked.claim, entitlement=entitlement)
        try:
            async with asyncio.timeout(self._timeout):
                booking = await self._insurer.settle(
                    transaction_id=row.transaction_id, claim=asked, quoted=booked.shares
                )
        except InsurerRefusedError as error:
            return await self._move(row, Intent.SETTLE, state=SettlementState.FAILED, refusal_code=error.code)
        except Exception as error:  # noqa: BLE001 - whatever else happened, it may have been booked
            now = self._now()
            changes = {"next_try_at": now + self._retry_after, "doubt_since": now, "why": why_of(error)}
            # Not when it is in doubt already: then somebody may be working on it, under a lease.
            came_from = (SettlementState.PENDING,)
            return await self._move(row, Intent.SETTLE, came_from=came_from, state=SettlementState.UNKNOWN, **changes)
        return await self._settled(row, booking)

    async def end_doubt(self, transaction_id: str) -> SettlementRow:
        """Try at once to end a doubt that somebody waits for; return the settlement as it stands then.

        Raises:
            OutcomeUnknownError: somebody else works on it at this moment.
            Exception: what the insurer's calls raise; the resolver goes on.
        """
        lease = await self._unit_of_work.write(
            lambda connection: claim(connection, transaction_id, now=self._now(), lease=self.lease)
        )
        if lease is not None:
            try:
                return await self.work_off(transaction_id)
            except Exception as error:
                await self._unit_of_work.write(partial(self._give_back, lease=lease, error=error))
                raise
        row = await self._unit_of_work.read(lambda connection: required(connection, transaction_id))
        if row.state is SettlementState.UNKNOWN:
            raise OutcomeUnknownError(retry_after=self._retry_after)
        return row

    async def work_off(self, transaction_id: str) -> SettlementRow:
        """Try once to end a doubt that was claimed; return the settlement as it stands then.

        What was booked although we heard nothing is SETTLED. What was not booked is reversed, so that a request still
        under way cannot be booked later. What the terminal wants undone is undone.

        Raises:
            Exception: what the insurer's calls raise; the settlement stays UNKNOWN, and claimed.
        """
        row = await self._unit_of_work.read(lambda connection: required(connection, transaction_id))
        if row.state is not SettlementState.UNKNOWN:
            return row
        if row.intent is Intent.CANCEL:
            return await self._cancel(row)
        if row.intent is Intent.SETTLE:
            booking = await self.query(transaction_id)
            if booking is not None:
                return await self._settled(row, booking)
            wanted = await self._try_move(row, Intent.SETTLE, keeps_lease=True, intent=Intent.REVERSE)
            if wanted is None:  # somebody else wants something else of it, and works on that
                return await self._unit_of_work.read(lambda connection: required(connection, transaction_id))
            row = wanted
        return await self._reverse(row)

    async def query(self, transaction_id: str) -> Booking | None:
        """Return what the insurer has booked under an id, None when nothing.

        Raises:
            Exception: what the call raises; nobody knows.
        """
        async with asyncio.timeout(self._timeout):
            return await self._insurer.query(transaction_id)

    async def reverse_again(self, transaction_id: str) -> bool:
        """Have the insurer undo what it still has of a transaction that is undone here; return whether it had any.

        Raises:
            Exception: what the call raises; nobody knows.
        """
        async with asyncio.timeout(self._timeout):
            return await self._insurer.reverse(transaction_id)

    async def _cancel(self, row: SettlementRow) -> SettlementRow:
        try:
            async with asyncio.timeout(self._timeout):
                await self._insurer.cancel(row.transaction_id)
        except InsurerRefusedError as error:
            changes = {"state": SettlementState.SETTLED, "intent": Intent.SETTLE, "next_try_at": None}
            await self._move(row, Intent.CANCEL, why=why_of(error), **changes)
            raise
        return await self._ended(row, Intent.CANCEL, SettlementState.CANCELLED, had_moved=True)

    async def _reverse(self, row: SettlementRow) -> SettlementRow:
        # What was settled had moved, even if an earlier reversal, whose answer was lost, has moved it back by now.
        had_moved = await self.reverse_again(row.transaction_id) or row.settled_at is not None
        return await self._ended(row, Intent.REVERSE, SettlementState.REVERSED, had_moved=had_moved)

    async def _settled(self, row: SettlementRow, booking: Booking) -> SettlementRow:
        return await self._move(
            row, Intent.SETTLE, state=SettlementState.SETTLED, next_try_at=None, **paid_by(booking, now=self._now())
        )

    async def _ended(
        self, row: SettlementRow, intent: Intent, state: SettlementState, *, had_moved: bool
    ) -> SettlementRow:
        return await self._move(
            row, intent, state=state, ended_at=self._now(), money_moved_back=had_moved, next_try_at=None
        )

    async def _move(self, row: SettlementRow, wanted: Intent, **changes: Any) -> SettlementRow:  # noqa: ANN401 - columns by name
        """Write down what came of a call, unless something overtook it; return how it stands either way."""
        moved = await self._try_move(row, wanted, **changes)
        if moved is not None:
            return moved
        return await self._unit_of_work.read(lambda connection: required(connection, row.transaction_id))

    async def _try_move(
        self,
        row: SettlementRow,
        wanted: Intent,
        *,
        came_from: Collection[SettlementState] = IN_DOUBT,
        why: str = "",
        keeps_lease: bool = False,
        **changes: Any,  # noqa: ANN401 - columns by name
    ) -> SettlementRow | None:
        """Write down what came of a call; return None when something overtook it."""
        if not keeps_lease:
            changes["leased_until"] = None

        def work(connection: Connection) -> SettlementRow | None:
            moved = move_settlement(connection, row, came_from=came_from, wanted=wanted, **changes)
            if moved is None:
                return None
            if moved.state in HAVE_ENDED:
                self._self_pays.ended(connection, moved, now=self._now())
            if not keeps_lease and SettlementState.UNKNOWN in {row.state, moved.state}:
                outcome = NO_ANSWER if moved.state is SettlementState.UNKNOWN else moved.state.value
                note_try(connection, row.transaction_id, intent=row.intent, outcome=outcome, why=why, now=self._now())
            record(connection, self._audit, moved)
            return moved

        return await self._unit_of_work.write(work)

    def _give_back(self, connection: Connection, *, lease: Lease, error: Exception) -> None:
        """Note a try in vain that a terminal waited for; it does not count, for a terminal may ask every second."""
        life = life_of(connection, lease.transaction_id)
        if life is not None and put_off(connection, lease, next_try_at=None, tries=None):
            note_try(
                connection,
                lease.transaction_id,
                intent=life.intent,
                outcome=NO_ANSWER,
                why=why_of(error),
                now=self._now(),
            )


def upstream_of(
    insurer: Insurer,
    *,
    unit_of_work: UnitOfWork,
    now: Callable[[], datetime],
    audit: AuditLog,
    self_pays: SelfPays,
    timeout: timedelta,
    retry_after: timedelta,
) -> Upstream | None:
    """Return who asks an insurer; None for one in house, whose books are ours."""
    if insurer.is_in_house:
        return None
    return Upstream(
        unit_of_work=unit_of_work,
        now=now,
        insurer=insurer,
        audit=audit,
        self_pays=self_pays,
        timeout=timeout,
        retry_after=retry_after,
    )


def paid_by(booking: Booking, *, now: datetime) -> dict[str, Any]:
    """Return the columns that make a settlement one that was booked, with a receipt of its own."""
    return {
        "receipt_id": str(uuid_utils.uuid7()),
        "settled_at": booking.booked_at or now,
        "personal_account_balance_fen": booking.personal_account_balance_fen,
        "deductible_fen": booking.deductible_fen,
        "eligible_fen": booking.eligible_fen,
    }


def required(connection: Connection, transaction_id: str) -> SettlementRow:
    """Return a settlement.

    Raises:
        SettlementNotFoundError: there is none with this id.
    """
    row, _ = find_settlement(connection, transaction_id)
    if row is None:
        raise SettlementNotFoundError
    return row
