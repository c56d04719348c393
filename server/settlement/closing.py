"""What can an operator do about a doubt? Look at it, have it tried anew, and in the end decide it in writing.

A decision is for dead letters alone, and only when the insurer does not know better: it is asked once more, and what it
says wins over what somebody believes.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.settlement.doubts import Doubt, Lease, Try, claim, doubts, put_off, retry_dead, tries_of
from server.settlement.errors import (
    ClosingContradictedError,
    NotADeadLetterError,
    OutcomeUnknownError,
    ReversalWantedError,
    SettlementNotFoundError,
)
from server.settlement.insurers import Booking, Heard
from server.settlement.model import Intent, SettlementState
from server.settlement.remote import HAVE_ENDED, Upstream, paid_by, required
from server.settlement.self_pay.channels import SelfPays
from server.settlement.settle import record
from server.settlement.store import SettlementRow, find_settlement, move_settlement
from server.store.unit_of_work import UnitOfWork

DOUBTS_SHOWN_MAX: Final = 1_000


class Verdict(StrEnum):
    """How an operator may close a dead letter."""

    SETTLED = "settled"
    REVERSED = "reversed"


class Witness(StrEnum):
    """What the insurer said to a closing."""

    AGREES = "AGREES"
    """It has it so; of something undone: it has confirmed that nothing is and nothing will be booked."""
    NO_ANSWER = "NO_ANSWER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A dead letter that was closed."""

    transaction_id: str
    state: SettlementState
    insurer: Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A settlement with all that was tried."""

    row: SettlementRow
    tries: Sequence[Try]


class Doubts:
    """The operators' door to what is in doubt."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        audit: AuditLog,
        self_pays: SelfPays,
        upstream: Upstream | None,
        heard_of: Callable[[Connection, str], Sequence[Heard]] = lambda _connection, _transaction_id: (),
    ) -> None:
        """Take what it works with.

        Args:
            unit_of_work: where settlements are.
            now: the clock.
            audit: where it is noted who did what.
            self_pays: what is given back with an undoing.
            upstream: None for an insurer in house, which nobody has to ask.
            heard_of: what a remote insurer answered about a transaction; nothing for one in house.
        """
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._audit: Final = audit
        self._self_pays: Final = self_pays
        self._upstream: Final = upstream
        self._heard_of: Final = heard_of

    async def listed(self, *, dead_only: bool = False) -> Sequence[Doubt]:
        """Return what is in doubt, oldest first, the first thousand."""
        return await self._unit_of_work.read(
            lambda connection: doubts(connection, dead_only=dead_only, limit=DOUBTS_SHOWN_MAX)
        )

    async def show(self, transaction_id: str) -> Looked:
        """Return one settlement, whatever its state, and what was tried.

        Raises:
            SettlementNotFoundError: there is none.
        """

        def look(connection: Connection) -> Looked:
            row, _ = find_settlement(connection, transaction_id)
            if row is None:
                raise SettlementNotFoundError
            return Looked(row=row, tries=tries_of(connection, transaction_id))

        return await self._unit_of_work.read(look)

    async def read_words(self, transaction_id: str, *, actor: str, reason: str) -> Sequence[Heard]:
        """Return what the insurer answered about one settlement, verbatim; who read it, and why, is noted first.

        Raises:
            SettlementNotFoundError: there is none.
        """

        def work(connection: Connection) -> Sequence[Heard]:
            required(connection, transaction_id)
            self._audit.append(
                connection, actor=actor, action="settlement.words_read", subject=transaction_id, reason=reason
            )
            return self._heard_of(connection, transaction_id)

        return await self._unit_of_work.write(work)

    async def retry(self, transaction_id: str | None, *, actor: str) -> Sequence[str]:
        """Have one dead letter, or with None all of them, tried anew by the running platform; return their ids.

        Raises:
            NotADeadLetterError: this one is none: it is tried by itself, or nothing of it is in doubt.
        """

        def work(connection: Connection) -> Sequence[str]:
            revived = retry_dead(connection, transaction_id=transaction_id, now=self._now())
            if transaction_id is not None and not revived:
                raise NotADeadLetterError
            for each in revived:
                self._audit.append(connection, actor=actor, action="settlement.retried", subject=each)
            return revived

        return await self._unit_of_work.write(work)

    async def close(self, transaction_id: str, verdict: Verdict, *, actor: str, reason: str) -> Closed:
        """Decide a dead letter, unless the insurer can be asked and says otherwise.

        Raises:
            NotADeadLetterError: it is none.
            ReversalWantedError: the terminal wanted it undone, so it cannot end as settled.
            ClosingContradictedError: the insurer says otherwise.
            OutcomeUnknownError: somebody works on it at this moment.
        """
        row = await self._unit_of_work.read(lambda connection: required(connection, transaction_id))
        if row.state is not SettlementState.UNKNOWN or row.next_try_at is not None:
            raise NotADeadLetterError
        if verdict is Verdict.SETTLED and row.intent is Intent.REVERSE:
            raise ReversalWantedError
        if self._upstream is None:
            return await self._decide(row, verdict, None, actor=actor, reason=reason, insurer=Witness.NO_ANSWER)
        lease = await self._claim(self._upstream, transaction_id)
        try:
            booking, insurer = await self._second_look(self._upstream, transaction_id)
            is_booked = booking is not None
            if insurer is Witness.AGREES and is_booked is not (verdict is Verdict.SETTLED):
                raise ClosingContradictedError(insurer="BOOKED" if is_booked else "NOT_BOOKED")
            if verdict is Verdict.REVERSED and not await self._make_sure(self._upstream, transaction_id):
                insurer = Witness.NO_ANSWER  # nothing that was found so far is no word that nothing will come
            return await self._decide(row, verdict, booking, actor=actor, reason=reason, insurer=insurer)
        finally:
            await self._unit_of_work.write(lambda connection: put_off(connection, lease, next_try_at=None, tries=None))

    async def _claim(self, upstream: Upstream, transaction_id: str) -> Lease:
        lease = await self._unit_of_work.write(
            lambda connection: claim(connection, transaction_id, now=self._now(), lease=upstream.lease)
        )
        if lease is None:
            raise OutcomeUnknownError(retry_after=upstream.lease)
        return lease

    @staticmethod
    async def _second_look(upstream: Upstream, transaction_id: str) -> tuple[Booking | None, Witness]:
        try:
            return await upstream.query(transaction_id), Witness.AGREES
        except Exception:  # noqa: BLE001 - whatever it was, the insurer has not said otherwise
            return None, Witness.NO_ANSWER

    @staticmethod
    async def _make_sure(upstream: Upstream, transaction_id: str) -> bool:
        """Have the insurer refuse a request that is still under way; return whether it heard us."""
        with suppress(Exception):
            await upstream.reverse_again(transaction_id)
            return True
        return False

    async def _decide(
        self,
        row: SettlementRow,
        verdict: Verdict,
        booking: Booking | None,
        *,
        actor: str,
        reason: str,
        insurer: Witness,
    ) -> Closed:
        changes = self._as_settled(row, booking) if verdict is Verdict.SETTLED else self._as_undone(row)

        def work(connection: Connection) -> Closed:
            moved = move_settlement(
                connection, row, came_from=(SettlementState.UNKNOWN,), wanted=row.intent, leased_until=None, **changes
            )
            if moved is None:
                raise NotADeadLetterError
            if moved.state in HAVE_ENDED:
                self._self_pays.ended(connection, moved, now=self._now())
            self._audit.append(
                connection,
                actor=actor,
                action="settlement.closed",
                subject=row.transaction_id,
                reason=reason,
                details={"as": verdict.value, "insurer": insurer.value},
            )
            record(connection, self._audit, moved)
            return Closed(transaction_id=row.transaction_id, state=moved.state, insurer=insurer)

        return await self._unit_of_work.write(work)

    def _as_settled(self, row: SettlementRow, booking: Booking | None) -> dict[str, Any]:
        changes: dict[str, Any] = {"state": SettlementState.SETTLED, "intent": Intent.SETTLE, "next_try_at": None}
        if row.receipt_id is not None:  # it was settled before somebody wanted to cancel it
            return changes
        return changes | paid_by(booking or Booking(personal_account_balance_fen=0), now=self._now())

    def _as_undone(self, row: SettlementRow) -> dict[str, Any]:
        return {
            "state": SettlementState.CANCELLED if row.intent is Intent.CANCEL else SettlementState.REVERSED,
            "ended_at": self._now(),
            "money_moved_back": row.settled_at is not None,
            "next_try_at": None,
        }
