"""What is the statement of an insurer in house? Its ledger: the postings there are, against those that must be there.

Fund and personal accounts are what counts; what a patient pays beside them has accounts of its own. A posting belongs
to the day of its settlement; one that no settlement demands, to the day on which its transaction id was made.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Select, func, select

from server.settlement.ledger import AccountKind
from server.settlement.reconciliation.days import bounds_of
from server.settlement.reconciliation.statements import Difference, DifferenceClass, StatementLine, StatementTotal
from server.store.tables.settlement import accounts, ledger_entries, ledger_postings, settlements
from server.store.unit_of_work import UnitOfWork

PATIENCE: Final = timedelta(minutes=5)
"""How long a comparison waits for another walk over the books."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SETTLE: Final = "settle:"
_UNDO: Final = "undo:"
_INSURED: Final = (AccountKind.POOLED_FUND.value, AccountKind.PERSON.value)
_CHUNK: Final = 400

_row = settlements.c


class LedgerStatements:
    """The statement of the local insurer."""

    def __init__(self, *, unit_of_work: UnitOfWork, zone: tzinfo) -> None:
        """Take the books, and the zone of the calendar."""
        self._unit_of_work: Final = unit_of_work
        self._zone: Final = zone

    async def totals_agree(self, day: date, ours: Sequence[StatementTotal]) -> bool:
        """Compare what fund and accounts paid for the settlements of a day, and look for postings of none."""
        ours_fen = sum(total.pooled_fund_fen + total.personal_account_fen for total in ours)
        theirs_fen, strays = await self._unit_of_work.walk(partial(self._totals, day=day), patience=PATIENCE)
        return theirs_fen == ours_fen and not strays

    async def differences(self, day: date, ours: Sequence[StatementLine]) -> Sequence[Difference]:
        """Compare settlement by settlement."""
        return await self._unit_of_work.walk(partial(self._differences, day=day, ours=ours), patience=PATIENCE)

    def _totals(self, connection: Connection, *, day: date) -> tuple[int, Mapping[str, int]]:
        begins, ends = bounds_of(day, self._zone)
        paid = 0
        for prefix in (_SETTLE, _UNDO):
            paid += int(
                connection.scalar(
                    select(func.coalesce(func.sum(-ledger_entries.c.amount_fen), 0))
                    .select_from(settlements)
                    .join(ledger_entries, ledger_entries.c.posting_id == prefix + _row.transaction_id)
                    .join(accounts, accounts.c.account_id == ledger_entries.c.account_id)
                    .where(_row.settled_at >= begins, _row.settled_at < ends, accounts.c.kind.in_(_INSURED))
                )
                or 0
            )
        return paid, _strays(connection, begins, ends)

    def _differences(self, connection: Connection, *, day: date, ours: Sequence[StatementLine]) -> list[Difference]:
        found: list[Difference] = []
        for begin in range(0, len(ours), _CHUNK):
            lines = ours[begin : begin + _CHUNK]
            settled = _paid(connection, [_SETTLE + line.transaction_id for line in lines])
            undone = _paid(connection, [_UNDO + line.transaction_id for line in lines])
            for line in lines:
                theirs = settled.get(line.transaction_id)
                taken_back = undone.get(line.transaction_id)
                difference = _difference(line, theirs, taken_back)
                if difference is not None:
                    found.append(difference)
        for transaction_id, fen in _strays(connection, *bounds_of(day, self._zone)).items():
            found.append(
                Difference(
                    difference_class=DifferenceClass.THEIRS_ONLY,
                    transaction_id=transaction_id,
                    ours_fen=None,
                    theirs_fen=fen,
                )
            )
        return found


def _difference(line: StatementLine, settled_fen: int | None, undone_fen: int | None) -> Difference | None:
    """Compare one settlement with its postings: what was paid, and what of it was given back."""
    net = (settled_fen or 0) + (undone_fen or 0)
    ours = line.insured_fen if line.stands else 0
    if net == ours:
        return None
    if line.stands and settled_fen is None:
        kind = DifferenceClass.OURS_ONLY
    elif line.stands and undone_fen is None:
        kind = DifferenceClass.AMOUNT
    else:
        kind = DifferenceClass.STATE
    theirs = None if kind is DifferenceClass.OURS_ONLY else net
    return Difference(difference_class=kind, transaction_id=line.transaction_id, ours_fen=ours, theirs_fen=theirs)


def _paid(connection: Connection, posting_ids: Sequence[str]) -> dict[str, int]:
    """Return what fund and accounts paid by these postings, by transaction; a posting of an undoing is negative."""
    rows = connection.execute(_sums().where(ledger_entries.c.posting_id.in_(posting_ids)))
    return {posting_id.partition(":")[2]: int(fen) for posting_id, fen in rows}


def _sums() -> Select[Any]:
    return (
        select(ledger_entries.c.posting_id, func.sum(-ledger_entries.c.amount_fen))
        .join(accounts, accounts.c.account_id == ledger_entries.c.account_id)
        .where(accounts.c.kind.in_(_INSURED))
        .group_by(ledger_entries.c.posting_id)
    )


def _strays(connection: Connection, begins: datetime, ends: datetime) -> dict[str, int]:
    """Return postings whose transaction ids were made in that time, and for which no settlement ever was."""
    row, posting = settlements.alias(), ledger_postings.c.posting_id
    never = (
        select(row.c.transaction_id)
        .where(row.c.transaction_id == func.substr(posting, len(_SETTLE) + 1), row.c.settled_at.is_not(None))
        .exists()
    )
    names = connection.scalars(
        select(posting).where(posting >= _SETTLE + first_id(begins), posting < _SETTLE + first_id(ends), ~never)
    ).all()
    paid = _paid(connection, list(names)) if names else {}
    return {name.partition(":")[2]: paid.get(name.partition(":")[2], 0) for name in names}


def first_id(moment: datetime) -> str:
    """Return what stands before every UUIDv7 made at a moment or after, and behind every earlier one."""
    milliseconds = f"{(moment - _EPOCH) // timedelta(milliseconds=1):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"
