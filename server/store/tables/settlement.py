"""The columns of the settlement room: quotes, settlements, what undid them, and the ledger."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    text,
)

from device_registry.tables import Sha256Hex, UtcTime, Uuid, metadata

# SettlementState and Intent as plain words: the settlement room depends on these tables, not the other way round.
_Word = String(16)
# "person:" and a UUID; regions and sites have shorter or equal names.
AccountId = String(48)
# "settle:" or "undo:" and a transaction id, "fund:" and a reference of the operator's.
PostingId = String(96)

ARE_IN_DOUBT = text("state IN ('PENDING', 'UNKNOWN')")
"""In words, not parameters: a query that says exactly this can use the partial index."""

quotes = Table(
    "quotes",
    metadata,
    Column("quote_id", Uuid, primary_key=True),
    Column("terminal_id", Uuid, nullable=False),
    Column("person_id", Uuid, nullable=False),
    Column("person_region", String(32), nullable=False),
    Column("site_kind", String(24), nullable=False),
    Column("benefit_year", Integer, nullable=False),
    Column("bill_number", String(64), nullable=False),
    Column("business_type", Integer, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("not_covered_fen", BigInteger, nullable=False),
    Column("pooled_fund_fen", BigInteger, nullable=False),
    Column("personal_account_fen", BigInteger, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
    # A replica of the release before leaves these out: whoever was treated pays, and nothing of it is special.
    Column("payer_id", Uuid),
    Column("stay_number", String(64), nullable=False, server_default=""),
    Column("chronic_disease", String(32), nullable=False, server_default=""),
    Column("catastrophic_fen", BigInteger, nullable=False, server_default="0"),
    Column("prepaid_fen", BigInteger, nullable=False, server_default="0"),
    # What was to be given back of the prepayments of a stay: the terminal has said so to the patient.
    Column("prepaid_back_fen", BigInteger, nullable=False, server_default="0"),
)

settlements = Table(
    "settlements",
    metadata,
    Column("transaction_id", Uuid, primary_key=True),
    Column("terminal_id", Uuid, nullable=False),
    # None in a tombstone: the row of a reversal that overtook its settlement and has nothing but the two ids.
    Column("body_sha256", Sha256Hex),
    Column("state", _Word, nullable=False),
    Column("intent", _Word, nullable=False),
    Column("person_id", Uuid),
    Column("person_region", String(32)),
    Column("site_id", Uuid),
    Column("site_region", String(32)),
    Column("site_kind", String(24)),
    Column("benefit_year", Integer),
    Column("bill_number", String(64)),
    Column("business_type", Integer),
    Column("total_fen", BigInteger),
    Column("not_covered_fen", BigInteger),
    Column("pooled_fund_fen", BigInteger),
    Column("personal_account_fen", BigInteger),
    # What the bill used up of the year, so that undoing gives back exactly that.
    Column("deductible_fen", BigInteger),
    Column("eligible_fen", BigInteger),
    Column("began_at", UtcTime, nullable=False),
    Column("receipt_id", Uuid),
    Column("settled_at", UtcTime),
    Column("personal_account_balance_fen", BigInteger),
    Column("refusal_code", String(64)),
    Column("ended_at", UtcTime),
    Column("money_moved_back", Boolean),
    Column("tries", Integer, nullable=False),
    # None: not to be tried by itself. A dead letter is an UNKNOWN one without a next try.
    Column("next_try_at", UtcTime),
    # As in the quotes.
    Column("payer_id", Uuid),
    Column("stay_number", String(64)),
    Column("chronic_disease", String(32)),
    Column("catastrophic_fen", BigInteger),
    Column("prepaid_fen", BigInteger),
    # What was left of the prepayments of a stay and was given back.
    Column("prepaid_back_fen", BigInteger),
    # Of the self-paid part; what is left of it is cash. None: nothing.
    Column("electronic_account_fen", BigInteger),
    Column("credit_fen", BigInteger),
    # The day on which it counts among the payer's payments without a PIN; None: it does not.
    Column("pin_free_on", Date),
    # Only of settlements that were in doubt: since when they are, until when somebody works on it, and when an operator
    # last asked for further tries.
    Column("doubt_since", UtcTime),
    Column("leased_until", UtcTime),
    Column("retried_at", UtcTime),
    # Only the few in doubt are in the index; a settlement that goes well never touches it.
    Index(
        "ix_settlements_in_doubt",
        "next_try_at",
        sqlite_where=ARE_IN_DOUBT,
        postgresql_where=ARE_IN_DOUBT,
    ),
    # A day of one terminal, and a day of all: what is compared in the evening.
    Index("ix_settlements_day_of_terminal", "terminal_id", "settled_at"),
    Index("ix_settlements_day", "settled_at"),
)

undoings = Table(
    "undoings",
    metadata,
    Column("transaction_id", Uuid, primary_key=True),
    Column("terminal_id", Uuid, nullable=False),
    Column("intent", _Word, nullable=False),
    Column("settlement_transaction_id", Uuid, nullable=False, index=True),
    Column("asked_at", UtcTime, nullable=False),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", AccountId, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("owner", Uuid, nullable=False),
    Column("balance_fen", BigInteger, nullable=False),
    # The guarded UPDATE refuses first and with a reason; this is the belt to its braces (I6).
    CheckConstraint("balance_fen >= 0 OR account_id = 'outside:world'", name="guarded"),
    # SQLite turns a sum past 64 bits into a float; a float that large is refused here.
    CheckConstraint("balance_fen BETWEEN -1000000000000000000 AND 1000000000000000000", name="whole"),
)

ledger_postings = Table(
    "ledger_postings",
    metadata,
    Column("posting_id", PostingId, primary_key=True),
    Column("posted_at", UtcTime, nullable=False),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("posting_id", PostingId, ForeignKey(ledger_postings.c.posting_id), primary_key=True),
    Column("account_id", AccountId, ForeignKey(accounts.c.account_id), primary_key=True),
    Column("amount_fen", BigInteger, nullable=False),
    CheckConstraint("amount_fen <> 0", name="moves_something"),
    sqlite_with_rowid=False,
)

benefit_years = Table(
    "benefit_years",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("benefit_year", Integer, primary_key=True),
    Column("deductible_used_fen", BigInteger, nullable=False),
    Column("eligible_used_fen", BigInteger, nullable=False),
    Column("fund_used_fen", BigInteger, nullable=False),
    # A replica of the release before leaves these out: it knows neither stays nor diseases nor the catastrophic tier.
    # Deductible and eligible expense of what counts in a pot of its own (benefit_pots).
    Column("covered_apart_fen", BigInteger, nullable=False, server_default="0"),
    # Of what the fund paid: the catastrophic tier.
    Column("catastrophic_used_fen", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("deductible_used_fen >= 0 AND eligible_used_fen >= 0 AND fund_used_fen >= 0", name="not_negative"),
    sqlite_with_rowid=False,
)
