"""Whose stay is it, and what was prepaid for it? 住院 and 预缴金.

A stay is named by its site and the site's own number, and belongs to the person whose money stands in it. What was
prepaid is self-paid money that the site holds in its till: in our books it lies on the stay's own account, against the
world outside. The settlement of the stay uses it up, gives the rest back, and closes the stay. A stay into which
nothing is paid and that is not settled (its only prepayment was cancelled) is nobody's, and may become another
person's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import uuid_utils
from sqlalchemy import Connection, String, insert, literal, select, update

from server.settlement.insurers import Claim
from server.settlement.insurers.local.errors import StayForeignError, StaySettledError
from server.settlement.ledger import OUTSIDE, Account, AccountKind
from server.store.tables.benefits import inpatient_stays
from server.store.tables.settlement import accounts

_stay = inpatient_stays.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One stay at one site."""

    stay_id: str
    person_id: str
    settled_by: str | None
    prepaid_fen: int
    """What was prepaid and is still there."""

    @property
    def account(self) -> Account:
        """The ledger account of its prepayments."""
        return Account(AccountKind.STAY, self.person_id, self.stay_id)

    def moves(self, fen: int) -> Mapping[str, int]:
        """Return what a posting moves when `fen` are paid in; below zero, taken out."""
        return {self.account.account_id: fen, OUTSIDE.account_id: -fen}


def stay_for(connection: Connection, claim: Claim) -> Stay | None:
    """Return the stay of a claim as long as it is open for this person; None when nobody has it yet.

    Raises:
        StayForeignError: it is another person's.
        StaySettledError: it is settled.
    """
    stay = _find(connection, claim)
    if stay is None or (stay.settled_by is None and not stay.prepaid_fen):
        return None
    if stay.person_id != claim.person_id:
        raise StayForeignError
    if stay.settled_by is not None:
        raise StaySettledError
    return stay


def take_stay(connection: Connection, claim: Claim, *, at: datetime) -> Stay:
    """Return the stay of a claim, which is this person's from now on.

    Raises:
        StayForeignError, StaySettledError: as `stay_for`.
    """
    stay = stay_for(connection, claim)
    if stay is not None:
        return stay
    left = _find(connection, claim)
    if left is not None:
        return _hand_over(connection, left, claim.person_id)
    stay = Stay(stay_id=str(uuid_utils.uuid7()), person_id=claim.person_id, settled_by=None, prepaid_fen=0)
    connection.execute(
        insert(inpatient_stays).values(
            site_id=claim.site_id,
            stay_number=claim.bill.stay_number,
            stay_id=stay.stay_id,
            person_id=stay.person_id,
            opened_at=at,
        )
    )
    return stay


def close_stay(connection: Connection, stay: Stay, *, settled_by: str) -> None:
    """Note which settlement has closed it.

    Raises:
        StaySettledError: another one has.
    """
    statement = (
        update(inpatient_stays)
        .where(_stay.stay_id == stay.stay_id, _stay.settled_by.is_(None))
        .values(settled_by=settled_by)
    )
    if connection.execute(statement).rowcount != 1:
        raise StaySettledError


def reopen_stay(connection: Connection, *, settled_by: str) -> None:
    """Open the stay that a settlement has closed."""
    connection.execute(update(inpatient_stays).where(_stay.settled_by == settled_by).values(settled_by=None))


def check_refundable(connection: Connection, claim: Claim) -> None:
    """Refuse to give a prepayment back that the settlement of its stay has used up.

    Raises:
        StaySettledError: so; cancel that settlement first.
    """
    stay = _find(connection, claim)
    if stay is not None and stay.settled_by is not None:
        raise StaySettledError


def _find(connection: Connection, claim: Claim) -> Stay | None:
    account_id = literal(f"{AccountKind.STAY.value}:", String) + _stay.stay_id
    found = connection.execute(
        select(_stay.stay_id, _stay.person_id, _stay.settled_by, accounts.c.balance_fen)
        .select_from(inpatient_stays)
        .outerjoin(accounts, accounts.c.account_id == account_id)
        .where(_stay.site_id == claim.site_id, _stay.stay_number == claim.bill.stay_number)
    ).one_or_none()
    if found is None:
        return None
    return Stay(
        stay_id=found.stay_id,
        person_id=found.person_id,
        settled_by=found.settled_by,
        prepaid_fen=found.balance_fen or 0,
    )


def _hand_over(connection: Connection, stay: Stay, person_id: str) -> Stay:
    connection.execute(update(inpatient_stays).where(_stay.stay_id == stay.stay_id).values(person_id=person_id))
    connection.execute(update(accounts).where(accounts.c.account_id == stay.account.account_id).values(owner=person_id))
    return replace(stay, person_id=person_id)
