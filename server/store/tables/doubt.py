"""The columns of doubt: what was tried to end it, and where our books and the insurer's differ."""

from sqlalchemy import BigInteger, Column, Date, Index, Integer, String, Table, text

from device_registry.tables import UtcTime, Uuid, metadata

_Word = String(24)

settlement_tries = Table(
    "settlement_tries",
    metadata,
    Column("transaction_id", Uuid, primary_key=True),
    # 1 is the first; the oldest make room (doubts.py), the number goes on.
    Column("number", Integer, primary_key=True),
    Column("tried_at", UtcTime, nullable=False),
    Column("intent", _Word, nullable=False),
    Column("outcome", _Word, nullable=False),
    # The reason or the class of an error, never its text.
    Column("why", String(64), nullable=False),
    sqlite_with_rowid=False,
)

reconciliation_days = Table(
    "reconciliation_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("compared_at", UtcTime, nullable=False),
    # None: has never agreed, or does not any more.
    Column("agreed_at", UtcTime),
    # Found by the last comparison; the first thousand of them are items.
    Column("differences", Integer, nullable=False),
)

NOT_CLOSED = text("state <> 'CLOSED'")
"""In words, not parameters: a query that says exactly this can use the partial index."""

reconciliation_items = Table(
    "reconciliation_items",
    metadata,
    Column("item_id", Uuid, primary_key=True),
    Column("day", Date, nullable=False),
    # The transaction's id, else "ref:" and the insurer's reference.
    Column("about", String(72), nullable=False),
    Column("difference_class", _Word, nullable=False),
    Column("transaction_id", Uuid),
    Column("reference", String(64), nullable=False),
    Column("ours_fen", BigInteger),
    Column("theirs_fen", BigInteger),
    Column("state", _Word, nullable=False),
    Column("proposal", _Word, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("times_seen", Integer, nullable=False),
    Column("closed_at", UtcTime),
    Column("closed_by", String(64), nullable=False),
    Column("outcome", _Word, nullable=False),
    Column("reason", String(200), nullable=False),
    Index("ix_reconciliation_items_about", "day", "about", unique=True),
    Index(
        "ix_reconciliation_items_open",
        "first_seen_at",
        sqlite_where=NOT_CLOSED,
        postgresql_where=NOT_CLOSED,
    ),
)

reconciliation_runs = Table(
    "reconciliation_runs",
    metadata,
    # One row: whose turn it is among all replicas.
    Column("name", _Word, primary_key=True),
    Column("begun_at", UtcTime, nullable=False),
    Column("leased_until", UtcTime),
    Column("succeeded_at", UtcTime),
)
