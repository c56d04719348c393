"""What can an operator do about a difference? Look, take it on, confirm a repair, or close it in writing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from typing import Final

from sqlalchemy import Connection

from device_registry.audit.log import AuditLog
from server.settlement.errors import ReconciliationItemStateError, ReconciliationItemUnknownError
from server.settlement.reconciliation.items import (
    Item,
    ItemOutcome,
    ItemState,
    change_item,
    find_item,
    items_of_day,
    open_items,
)
from server.settlement.reconciliation.judging import Proposal
from server.settlement.reconciliation.ours import NOT_PAID, standings_of
from server.settlement.remote import Upstream
from server.store.unit_of_work import UnitOfWork

ITEMS_SHOWN_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """A repair that was carried out."""

    item: Item
    money_moved_back: bool
    """False when the insurer had undone it meanwhile."""


class ReconciliationItems:
    """The operators' door to what is open between the books."""

    def __init__(
        self,
        *,
        unit_of_work: UnitOfWork,
        now: Callable[[], datetime],
        zone: tzinfo,
        audit: AuditLog,
        upstream: Upstream | None,
    ) -> None:
        """Take what it works with; `upstream` is None for an insurer in house, where nothing is repaired by itself."""
        self._unit_of_work: Final = unit_of_work
        self._now: Final = now
        self._zone: Final = zone
        self._audit: Final = audit
        self._upstream: Final = upstream

    async def listed(self, day: date | None = None) -> Sequence[Item]:
        """Return what is open, oldest first, the first thousand; or all items of a day, closed ones too."""
        if day is not None:
            return await self._unit_of_work.read(lambda connection: items_of_day(connection, day))
        return await self._unit_of_work.read(lambda connection: open_items(connection, limit=ITEMS_SHOWN_MAX))

    async def assign(self, item_id: str, owner: str, *, actor: str) -> Item:
        """Say who looks after an item.

        Raises:
            ReconciliationItemUnknownError, ReconciliationItemStateError: there is none, or it is closed.
        """
        return await self._unit_of_work.write(
            lambda connection: self._change(
                connection, item_id, actor=actor, action="reconciliation.item_assigned", reason=owner, owner=owner
            )
        )

    async def confirm(self, item_id: str, *, actor: str) -> Repaired:
        """Carry out what is proposed: have the insurer undo what is undone here, or failed.

        Raises:
            ReconciliationItemUnknownError: there is no such item.
            ReconciliationItemStateError: nothing is proposed, it is closed, or it is paid here again by now.
            Exception: what the insurer's call raises; nothing is known, and the item stays as it is.
        """
        item = await self._unit_of_work.read(lambda connection: self._proposed(connection, item_id))
        if self._upstream is None or item.transaction_id is None:
            raise ReconciliationItemStateError(state=item.state)
        await self._unit_of_work.write(
            lambda connection: self._note(connection, item, actor=actor, action="reconciliation.repair_begun")
        )
        had_moved = await self._upstream.reverse_again(item.transaction_id)

        def work(connection: Connection) -> Item:
            present = find_item(connection, item_id)
            if present is not None and present.state is ItemState.CLOSED:  # a comparison saw the repair before we did
                self._note(connection, present, actor=actor, action="reconciliation.repaired")
                return present
            return self._change(
                connection,
                item_id,
                actor=actor,
                action="reconciliation.repaired",
                state=ItemState.CLOSED,
                outcome=ItemOutcome.REPAIRED,
                closed_at=self._now(),
                closed_by=actor,
            )

        return Repaired(item=await self._unit_of_work.write(work), money_moved_back=had_moved)

    async def close(self, item_id: str, *, actor: str, reason: str) -> Item:
        """Close an item because somebody has seen to it; when it is found again, it is open again.

        Raises:
            ReconciliationItemUnknownError, ReconciliationItemStateError: there is none, or it is closed.
        """
        return await self._unit_of_work.write(
            lambda connection: self._change(
                connection,
                item_id,
                actor=actor,
                action="reconciliation.item_closed",
                reason=reason,
                state=ItemState.CLOSED,
                outcome=ItemOutcome.DECIDED,
                closed_at=self._now(),
                closed_by=actor,
            )
        )

    def _proposed(self, connection: Connection, item_id: str) -> Item:
        """Return an item whose repair can be carried out by our books of this moment."""
        item = _open(connection, item_id)
        if item.state is not ItemState.PROPOSED or item.proposal is not Proposal.REVERSE_THERE:
            raise ReconciliationItemStateError(state=item.state)
        ours = standings_of(connection, [item.transaction_id or ""], self._zone).get(item.transaction_id or "")
        if ours is None or ours.state not in NOT_PAID:
            raise ReconciliationItemStateError(state=item.state)
        return item

    def _change(
        self, connection: Connection, item_id: str, *, actor: str, action: str, reason: str = "", **changes: object
    ) -> Item:
        item = _open(connection, item_id)
        if "closed_at" in changes:
            changes["reason"] = reason
        if not change_item(connection, item, **changes):
            raise ReconciliationItemStateError(state=item.state)
        self._note(connection, item, actor=actor, action=action, reason=reason)
        changed = find_item(connection, item_id)
        if changed is None:  # it was changed a moment ago, in this very transaction
            raise ReconciliationItemUnknownError
        return changed

    def _note(self, connection: Connection, item: Item, *, actor: str, action: str, reason: str = "") -> None:
        self._audit.append(
            connection,
            actor=actor,
            action=action,
            subject=item.item_id,
            reason=reason,
            details={"day": item.day.isoformat(), "about": item.transaction_id or item.reference},
        )


def _open(connection: Connection, item_id: str) -> Item:
    item = find_item(connection, item_id)
    if item is None:
        raise ReconciliationItemUnknownError
    if item.state is ItemState.CLOSED:
        raise ReconciliationItemStateError(state=item.state)
    return item
