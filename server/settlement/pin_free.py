"""How much has somebody paid without a PIN today? Counted with each settlement, given back with its undoing.

The day is the platform's calendar day. The count is kept per person and day over all terminals and replicas; the
guarded UPDATE is what two payments at once cannot both get past.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, func, insert, or_, select, update

from device_registry.tables.prepared import Prepared
from server.settlement.ledger import NAMES_PER_FINDING_MAX
from server.settlement.limits import SettlementLimits
from server.settlement.model import SettlementState
from server.store.tables.self_pay import pin_free_days
from server.store.tables.settlement import settlements

KEPT: Final = timedelta(days=60)
"""How long a day is kept: beyond it nothing is undone any more (`reversal_window`, `transaction_id_age_max`)."""

_day = pin_free_days.c
_IS_IT = (_day.person_id == bindparam("person_id"), _day.day == bindparam("on"))
_FIND = Prepared(select(_day.payments, _day.total_fen).where(*_IS_IT))
_OPEN = Prepared(
    insert(pin_free_days).values(
        person_id=bindparam("person_id"), day=bindparam("on"), payments=bindparam("count"), total_fen=bindparam("fen")
    )
)
_PURGE = Prepared(delete(pin_free_days).where(_day.person_id == bindparam("person_id"), _day.day < bindparam("on")))
_COUNT = Prepared(
    update(pin_free_days)
    .where(*_IS_IT, _day.payments < bindparam("payments_max"), _day.total_fen <= bindparam("below"))
    .values(payments=_day.payments + 1, total_fen=_day.total_fen + bindparam("fen"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinFreeDay:
    """What somebody has paid without a PIN on one day."""

    payments: int
    total_fen: int

    def has_room(self, amount_fen: int, limits: SettlementLimits) -> bool:
        """Return whether one more payment fits into the day."""
        return self.payments < limits.pin_free_day_count and self.total_fen + amount_fen <= limits.pin_free_day_fen


def open_day(connection: Connection, person_id: str, *, day: date) -> PinFreeDay:
    """Return how somebody's day stands, begun if it had not; what is long over is dropped with the first one."""
    found = _FIND.row(connection, person_id=person_id, on=day)
    if found is not None:
        return PinFreeDay(payments=found[0], total_fen=found[1])
    _PURGE.run(connection, person_id=person_id, on=day - KEPT)
    _OPEN.run(connection, person_id=person_id, on=day, count=0, fen=0)
    return PinFreeDay(payments=0, total_fen=0)


def count_payment(
    connection: Connection, person_id: str, *, day: date, amount_fen: int, limits: SettlementLimits
) -> bool:
    """Count one payment, if there is room; return whether there was. One statement where a quote opened the day."""
    counted = {
        "person_id": person_id,
        "on": day,
        "fen": amount_fen,
        "payments_max": limits.pin_free_day_count,
        "below": limits.pin_free_day_fen - amount_fen,
    }
    if _COUNT.run(connection, **counted):
        return True
    # Nothing changed: the day is full, or it began since the quote.
    return open_day(connection, person_id, day=day).has_room(amount_fen, limits) and bool(
        _COUNT.run(connection, **counted)
    )


def give_back_payment(connection: Connection, person_id: str, *, day: date, amount_fen: int) -> None:
    """Count one payment no more: it was undone. A count that has lost it already hinders no undoing."""
    connection.execute(
        update(pin_free_days)
        .where(_day.person_id == person_id, _day.day == day, _day.payments > 0, _day.total_fen >= amount_fen)
        .values(payments=_day.payments - 1, total_fen=_day.total_fen - amount_fen)
    )


def miscounted_days(connection: Connection, *, kept_since: date | None) -> tuple[str, ...]:
    """Return the days (person/day) that are not the sum of the settlements which count in them; the first hundred.

    Args:
        connection: the books.
        kept_since: earlier days may have been dropped with age, and are looked at only where they are kept; None: none.
    """
    demanded = _demanded()
    lately = demanded if kept_since is None else demanded.where(settlements.c.pin_free_on >= kept_since)
    counted: Select[Any] = select(_day.person_id, _day.day, _day.payments, _day.total_fen).where(
        or_(_day.payments > 0, _day.total_fen > 0)
    )
    found: set[str] = set()
    for these, but_not in ((counted, demanded), (lately, counted)):
        wrong = these.except_(but_not).limit(NAMES_PER_FINDING_MAX)
        found |= {f"{row.person_id}/{row.day}" for row in connection.execute(wrong)}
    return tuple(sorted(found)[:NAMES_PER_FINDING_MAX])


def _demanded() -> Select[Any]:
    """Return what each day must hold: what counts in it and has not been given back."""
    row = settlements.c
    payer = func.coalesce(row.payer_id, row.person_id, type_=row.person_id.type)
    given_back = (SettlementState.FAILED, SettlementState.REVERSED, SettlementState.CANCELLED)
    return (
        select(
            payer.label("person_id"),
            row.pin_free_on.label("day"),
            func.count().label("payments"),
            func.sum(row.total_fen).label("total_fen"),
        )
        .where(row.pin_free_on.is_not(None), row.state.not_in([state.value for state in given_back]))
        .group_by(payer, row.pin_free_on)
    )
