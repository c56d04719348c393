"""What people owe on credit, and what they paid without a PIN on a day."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, Index, Integer, String, Table, text

from device_registry.tables import UtcTime, Uuid, metadata

IS_OWED = text("repaid_fen < taken_fen AND given_back_at IS NULL")
"""In words, not parameters: a query that says exactly this can use the partial index."""

credit_lines = Table(
    "credit_lines",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    # How much may be owed at once. What of it is left is the balance of the ledger's account `credit:<person_id>`.
    Column("limit_fen", BigInteger, nullable=False),
    Column("pay_within_days", Integer, nullable=False),
    # A line that is stopped lends no more; what is owed stays owed.
    Column("is_stopped", Boolean, nullable=False),
    # Counts the changes of the limit: each is a posting of its own.
    Column("version", Integer, nullable=False),
    Column("approved_by", String(128), nullable=False),
    Column("approved_at", UtcTime, nullable=False),
    CheckConstraint("limit_fen >= 0 AND pay_within_days > 0", name="approved"),
)

credit_debts = Table(
    "credit_debts",
    metadata,
    # Of the settlement that was paid with it.
    Column("transaction_id", Uuid, primary_key=True),
    # Who owes it: whose credit it is, not who was treated.
    Column("person_id", Uuid, nullable=False),
    Column("taken_fen", BigInteger, nullable=False),
    Column("repaid_fen", BigInteger, nullable=False),
    Column("taken_at", UtcTime, nullable=False),
    # The last day on which it is not overdue, by the platform's calendar.
    Column("due_on", Date, nullable=False),
    # When the settlement was undone; then nothing is owed, and what had been repaid went to the electronic account.
    Column("given_back_at", UtcTime),
    CheckConstraint("taken_fen > 0 AND repaid_fen >= 0 AND repaid_fen <= taken_fen", name="not_overpaid"),
    Index("ix_credit_debts_owed", "person_id", "due_on", sqlite_where=IS_OWED, postgresql_where=IS_OWED),
)

pin_free_days = Table(
    "pin_free_days",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    # By the platform's calendar.
    Column("day", Date, primary_key=True),
    Column("payments", Integer, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    CheckConstraint("payments >= 0 AND total_fen >= 0", name="not_negative"),
    sqlite_with_rowid=False,
)
