"""How quotes, settlements and what undid them are kept: records of the rows, and the queries over them."""

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from device_registry.tables.prepared import Prepared
from server.settlement.insurers import Booked, Claim
from server.settlement.model import Bill, Intent, Receipt, SelfPay, SelfPayKind, Settlement, SettlementState, Shares
from server.store.tables.settlement import ARE_IN_DOUBT, quotes, settlements, undoings

IN_DOUBT = (SettlementState.PENDING, SettlementState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteRow:
    """A quote as it is kept: bound to its terminal, person and bill."""

    quote_id: str
    terminal_id: str
    person_id: str
    payer_id: str
    person_region: str
    site_kind: str
    benefit_year: int
    bill: Bill
    shares: Shares
    prepaid_back_fen: int = 0
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRow:
    """A settlement as it is kept; a tombstone has no body."""

    transaction_id: str
    terminal_id: str
    body_sha256: str | None = None
    state: SettlementState
    intent: Intent
    person_id: str | None = None
    person_region: str | None = None
    site_id: str | None = None
    site_region: str | None = None
    site_kind: str | None = None
    benefit_year: int | None = None
    bill_number: str | None = None
    business_type: int | None = None
    total_fen: int | None = None
    not_covered_fen: int | None = None
    pooled_fund_fen: int | None = None
    personal_account_fen: int | None = None
    deductible_fen: int | None = None
    eligible_fen: int | None = None
    began_at: datetime
    receipt_id: str | None = None
    settled_at: datetime | None = None
    personal_account_balance_fen: int | None = None
    refusal_code: str | None = None
    ended_at: datetime | None = None
    money_moved_back: bool | None = None
    tries: int = 0
    next_try_at: datetime | None = None
    payer_id: str | None = None
    stay_number: str | None = None
    chronic_disease: str | None = None
    catastrophic_fen: int | None = None
    prepaid_fen: int | None = None
    prepaid_back_fen: int | None = None
    electronic_account_fen: int | None = None
    credit_fen: int | None = None
    pin_free_on: date | None = None

    @property
    def booked(self) -> Booked:
        """What an insurer has to know to book it or to give it back; not for tombstones."""
        values: Any = self  # the columns are None in a tombstone only, and nobody books or gives back a tombstone
        bill = Bill(
            bill_number=values.bill_number,
            business_type=values.business_type,
            total_fen=values.total_fen,
            not_covered_fen=values.not_covered_fen,
            stay_number=self.stay_number or "",
            chronic_disease=self.chronic_disease or "",
        )
        claim = Claim(
            person_id=values.person_id,
            payer_id=self.payer_id or values.person_id,
            person_region=values.person_region,
            terminal_id=values.terminal_id,
            site_id=values.site_id,
            site_region=values.site_region,
            site_kind=values.site_kind,
            benefit_year=values.benefit_year,
            bill=bill,
        )
        return Booked(
            transaction_id=self.transaction_id,
            claim=claim,
            shares=self._shares,
            deductible_fen=self.deductible_fen or 0,
            eligible_fen=self.eligible_fen or 0,
        )

    @property
    def receipt(self) -> Receipt | None:
        """What the patient took home, once it was settled."""
        if self.receipt_id is None or self.settled_at is None:
            return None
        values: Any = self  # a settled row is no tombstone
        return Receipt(
            receipt_id=self.receipt_id,
            transaction_id=self.transaction_id,
            bill_number=values.bill_number,
            shares=self._shares,
            settled_at=self.settled_at,
            personal_account_balance_fen=self.personal_account_balance_fen or 0,
            self_pay=self.self_pay,
        )

    @property
    def self_pay(self) -> tuple[SelfPay, ...]:
        """How the self-paid part was paid; what no other channel paid is cash."""
        shares = self._shares
        electronic, credit = self.electronic_account_fen or 0, self.credit_fen or 0
        cash = shares.self_pay_fen - shares.prepaid_fen - electronic - credit
        parts = (
            (SelfPayKind.CASH, cash),
            (SelfPayKind.ELECTRONIC_ACCOUNT, electronic),
            (SelfPayKind.CREDIT, credit),
        )
        return tuple(SelfPay(kind=kind, amount_fen=amount) for kind, amount in parts if amount > 0)

    @property
    def _shares(self) -> Shares:
        values: Any = self
        return _shares(
            values.total_fen,
            values.pooled_fund_fen,
            values.personal_account_fen,
            catastrophic_fen=self.catastrophic_fen or 0,
            prepaid_fen=self.prepaid_fen or 0,
        )

    @property
    def seen_by_terminal(self) -> Settlement:
        """As its terminal may see it."""
        return Settlement(state=self.state, receipt=self.receipt)


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoingRow:
    """A cancellation or a reversal that was accepted."""

    transaction_id: str
    terminal_id: str
    intent: Intent
    settlement_transaction_id: str


_COLUMNS = tuple(field.name for field in fields(SettlementRow))
_values_of = attrgetter(*_COLUMNS)
_asked = select(bindparam("transaction_id", type_=settlements.c.transaction_id.type).label("transaction_id")).subquery(
    "asked"
)
_FIND = Prepared(
    select(*(settlements.c[name] for name in _COLUMNS), undoings.c.transaction_id)
    .select_from(_asked)
    .outerjoin(settlements, settlements.c.transaction_id == _asked.c.transaction_id)
    .outerjoin(undoings, undoings.c.transaction_id == _asked.c.transaction_id)
)
_INSERT = Prepared(insert(settlements).values({name: bindparam(name) for name in _COLUMNS}))
_QUOTE_COLUMNS = tuple(column.name for column in quotes.columns)
_INSERT_QUOTE = Prepared(insert(quotes).values({name: bindparam(name) for name in _QUOTE_COLUMNS}))
_TAKE_QUOTE = Prepared(
    delete(quotes)
    .where(quotes.c.quote_id == bindparam("quote_id"), quotes.c.terminal_id == bindparam("terminal_id"))
    .returning(*(quotes.c[name] for name in _QUOTE_COLUMNS))
)
_PURGE_QUOTES = Prepared(
    delete(quotes).where(
        quotes.c.quote_id.in_(
            select(quotes.c.quote_id)
            .where(quotes.c.expires_at < bindparam("before"))
            .order_by(quotes.c.expires_at)
            .limit(2)
            .scalar_subquery()
        )
    )
)


def find_settlement(connection: Connection, transaction_id: str) -> tuple[SettlementRow | None, bool]:
    """Return the settlement with an id, if there is one, and whether a cancellation or reversal has taken that id."""
    found = _FIND.row(connection, transaction_id=transaction_id)
    if found is None:  # cannot be: the outer joins start from one row
        return None, False
    taken = found[-1] is not None
    if found[0] is None:
        return None, taken
    values = dict(zip(_COLUMNS, found, strict=False))
    values["state"], values["intent"] = SettlementState(values["state"]), Intent(values["intent"])
    return SettlementRow(**values), taken


def insert_settlement(connection: Connection, row: SettlementRow) -> None:
    """Write a settlement down; the database refuses a second one with the same id."""
    values: dict[str, Any] = dict(zip(_COLUMNS, _values_of(row), strict=True))
    values["state"], values["intent"] = row.state.value, row.intent.value
    _INSERT.run(connection, **values)


def move_settlement(
    connection: Connection,
    row: SettlementRow,
    *,
    came_from: Collection[SettlementState],
    wanted: Intent,
    **changes: Any,  # noqa: ANN401 - columns of the row, by name
) -> SettlementRow | None:
    """Change a settlement if it still stands where we think; return it changed, or None when something overtook us.

    Args:
        connection: the transaction to write in.
        row: as it was read.
        came_from: states in which the change is legal.
        wanted: the intent that must still hold.
        changes: columns of the row, by name.
    """
    statement = (
        update(settlements)
        .where(
            settlements.c.transaction_id == row.transaction_id,
            settlements.c.state.in_([state.value for state in came_from]),
            settlements.c.intent == wanted.value,
        )
        .values({name: getattr(value, "value", value) for name, value in changes.items()})
    )
    if connection.execute(statement).rowcount != 1:
        return None
    return replace(row, **{name: value for name, value in changes.items() if name in _COLUMNS})


def doubt_pending(connection: Connection, *, now: datetime, patience: timedelta | None) -> int:
    """Turn PENDING settlements whose call nobody is waiting for any more into UNKNOWN; return how many.

    Args:
        connection: the transaction to write in.
        now: the time; they are due at once.
        patience: how long a call may take; None: none can be under way. What began further ahead of `now` than that
            was written by a clock that has since been set back.
    """
    statement = (
        update(settlements)
        .where(ARE_IN_DOUBT, settlements.c.state == SettlementState.PENDING.value)
        .values(state=SettlementState.UNKNOWN.value, next_try_at=now, doubt_since=now)
    )
    if patience is not None:
        began = settlements.c.began_at
        statement = statement.where(or_(began < now - patience, began > now + patience))
    return connection.execute(statement).rowcount


def insert_quote(connection: Connection, row: QuoteRow, *, purge_before: datetime) -> None:
    """Keep a quote, and drop up to two that are long over: the table shrinks faster than it grows, at a small price."""
    _INSERT_QUOTE.run(
        connection,
        quote_id=row.quote_id,
        terminal_id=row.terminal_id,
        person_id=row.person_id,
        person_region=row.person_region,
        site_kind=row.site_kind,
        benefit_year=row.benefit_year,
        bill_number=row.bill.bill_number,
        business_type=row.bill.business_type,
        total_fen=row.bill.total_fen,
        not_covered_fen=row.bill.not_covered_fen,
        pooled_fund_fen=row.shares.pooled_fund_fen,
        personal_account_fen=row.shares.personal_account_fen,
        expires_at=row.expires_at,
        payer_id=row.payer_id,
        stay_number=row.bill.stay_number,
        chronic_disease=row.bill.chronic_disease,
        catastrophic_fen=row.shares.catastrophic_fen,
        prepaid_fen=row.shares.prepaid_fen,
        prepaid_back_fen=row.prepaid_back_fen,
    )
    _PURGE_QUOTES.run(connection, before=purge_before)


def take_quote(connection: Connection, *, quote_id: str, terminal_id: str) -> QuoteRow | None:
    """Return a terminal's quote and use it up; a rolled back transaction puts it back."""
    found = _TAKE_QUOTE.row(connection, quote_id=quote_id, terminal_id=terminal_id)
    if found is None:
        return None
    kept: dict[str, Any] = dict(zip(_QUOTE_COLUMNS, found, strict=True))
    return QuoteRow(
        quote_id=quote_id,
        terminal_id=terminal_id,
        person_id=kept["person_id"],
        payer_id=kept["payer_id"] or kept["person_id"],
        person_region=kept["person_region"],
        site_kind=kept["site_kind"],
        benefit_year=kept["benefit_year"],
        bill=Bill(
            bill_number=kept["bill_number"],
            business_type=kept["business_type"],
            total_fen=kept["total_fen"],
            not_covered_fen=kept["not_covered_fen"],
            stay_number=kept["stay_number"],
            chronic_disease=kept["chronic_disease"],
        ),
        shares=_shares(
            kept["total_fen"],
            kept["pooled_fund_fen"],
            kept["personal_account_fen"],
            catastrophic_fen=kept["catastrophic_fen"],
            prepaid_fen=kept["prepaid_fen"],
        ),
        prepaid_back_fen=kept["prepaid_back_fen"],
        expires_at=kept["expires_at"],
    )


def find_undoing(connection: Connection, transaction_id: str) -> UndoingRow | None:
    """Return the cancellation or reversal with an id."""
    columns = undoings.c
    found = connection.execute(
        select(columns.transaction_id, columns.terminal_id, columns.intent, columns.settlement_transaction_id).where(
            columns.transaction_id == transaction_id
        )
    ).one_or_none()
    if found is None:
        return None
    return UndoingRow(
        transaction_id=found.transaction_id,
        terminal_id=found.terminal_id,
        intent=Intent(found.intent),
        settlement_transaction_id=found.settlement_transaction_id,
    )


def insert_undoing(connection: Connection, row: UndoingRow, *, asked_at: datetime) -> None:
    """Write a cancellation or reversal down."""
    connection.execute(
        insert(undoings).values(
            transaction_id=row.transaction_id,
            terminal_id=row.terminal_id,
            intent=row.intent.value,
            settlement_transaction_id=row.settlement_transaction_id,
            asked_at=asked_at,
        )
    )


def _shares(
    total_fen: int, fund_fen: int, account_fen: int, *, catastrophic_fen: int = 0, prepaid_fen: int = 0
) -> Shares:
    return Shares(
        total_fen=total_fen,
        pooled_fund_fen=fund_fen,
        personal_account_fen=account_fen,
        self_pay_fen=total_fen - fund_fen - account_fen,
        catastrophic_fen=catastrophic_fen,
        prepaid_fen=prepaid_fen,
    )
