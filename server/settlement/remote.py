"""How a remote insurer is asked without losing track: what we want is durable before the call, what came of it after.

Between the two lies doubt. Every change is a guarded UPDATE on state and intent, so an answer that comes after
somebody has changed their mind (a reversal overtook the settlement) changes nothing and the newer intent is worked
off.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import uuid_utils
from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.settlement.errors import InsurerRefusedError, InsurerUnavailableError, SettlementNotFoundError
from server.settlement.insurers import Booking, Claim, RemoteInsurer
from server.settlement.model import Intent, Quotation, SettlementState
from server.settlement.settle import record
from server.settlement.store import IN_DOUBT, SettlementRow, find_settlement, move_settlement
from server.store.unit_of_work import UnitOfWork


class Upstream:
    """One remote insurer, asked with a bound on time, its answers written down."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        insurer: RemoteInsurer,
        audit: AuditLog,
        timeout: timedelta,
        retry_after: timedelta,
    ) -> None:
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._insurer: Final = insurer
        self._audit: Final = audit
        self._timeout: Final = timeout.total_seconds()
        self._retry_after: Final = retry_after

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

    async def settle(self, row: SettlementRow) -> SettlementRow:
        """Ask for a PENDING settlement to be booked; return it SETTLED, FAILED or UNKNOWN, or as a reversal left it."""
        booked = row.booked
        try:
            async with asyncio.timeout(self._timeout):
                booking = await self._insurer.settle(
                    transaction_id=row.transaction_id, claim=booked.claim, quoted=booked.shares
                )
        except InsurerRefusedError as error:
            return await self._move(row, Intent.SETTLE, state=SettlementState.FAILED, refusal_code=error.code)
        except Exception:  # noqa: BLE001 - whatever else happened, it may have been booked
            return await self._move(
                row, Intent.SETTLE, state=SettlementState.UNKNOWN, next_try_at=self._now() + self._retry_after
            )
        return await self._settled(row, booking)

    async def work_off(self, transaction_id: str) -> SettlementRow:
        """Try once to end the doubt about a settlement; return it as it stands then.

        What was booked although we heard nothing is SETTLED. What was not booked is reversed, so that a request still
        under way cannot be booked later. What the terminal wants undone is undone.

        Raises:
            Exception: what the insurer's calls raise; the settlement stays UNKNOWN.
        """
        row = await self._unit_of_work.read(lambda connection: _required(connection, transaction_id))
        if row.state is not SettlementState.UNKNOWN:
            return row
        async with asyncio.timeout(self._timeout):
            if row.intent is Intent.CANCEL:
                return await self._cancel(row)
            if row.intent is Intent.SETTLE:
                booking = await self._insurer.query(transaction_id)
                if booking is not None:
                    return await self._settled(row, booking)
                row = await self._move(row, Intent.SETTLE, intent=Intent.REVERSE)
            return await self._reverse(row)

    async def _cancel(self, row: SettlementRow) -> SettlementRow:
        try:
            await self._insurer.cancel(row.transaction_id)
        except InsurerRefusedError:
            changes = {"state": SettlementState.SETTLED, "intent": Intent.SETTLE, "next_try_at": None}
            await self._move(row, Intent.CANCEL, **changes)
            raise
        return await self._ended(row, Intent.CANCEL, SettlementState.CANCELLED, had_moved=True)

    async def _reverse(self, row: SettlementRow) -> SettlementRow:
        if row.intent is not Intent.REVERSE or row.state is not SettlementState.UNKNOWN:
            return row  # somebody else ended the doubt meanwhile
        # What was settled had moved, even if an earlier reversal, whose answer was lost, has moved it back by now.
        had_moved = await self._insurer.reverse(row.transaction_id) or row.settled_at is not None
        return await self._ended(row, Intent.REVERSE, SettlementState.REVERSED, had_moved=had_moved)

    async def _settled(self, row: SettlementRow, booking: Booking) -> SettlementRow:
        return await self._move(
            row,
            Intent.SETTLE,
            state=SettlementState.SETTLED,
            receipt_id=str(uuid_utils.uuid7()),
            settled_at=self._now(),
            personal_account_balance_fen=booking.personal_account_balance_fen,
            deductible_fen=booking.deductible_fen,
            eligible_fen=booking.eligible_fen,
            next_try_at=None,
        )

    async def _ended(
        self, row: SettlementRow, intent: Intent, state: SettlementState, *, had_moved: bool
    ) -> SettlementRow:
        return await self._move(
            row, intent, state=state, ended_at=self._now(), money_moved_back=had_moved, next_try_at=None
        )

    async def _move(self, row: SettlementRow, wanted: Intent, **changes: Any) -> SettlementRow:  # noqa: ANN401 - columns by name
        """Write down what came of a call, unless something overtook it; return how it stands either way."""

        def work(connection: Connection) -> SettlementRow:
            moved = move_settlement(connection, row, came_from=IN_DOUBT, wanted=wanted, **changes)
            if moved is None:
                return _required(connection, row.transaction_id)
            record(connection, self._audit, moved)
            return moved

        return await self._unit_of_work.write(work)


def _required(connection: Connection, transaction_id: str) -> SettlementRow:
    row, _ = find_settlement(connection, transaction_id)
    if row is None:
        raise SettlementNotFoundError
    return row
