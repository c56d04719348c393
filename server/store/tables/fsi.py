"""The columns of the national insurer: message numbers, sessions, visits at the core, and messages that move money."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, text

from device_registry.tables import Sha256Hex, UtcTime, Uuid, metadata

_Institution = String(32)
_Msgid = String(64)

fsi_sequences = Table(
    "fsi_sequences",
    metadata,
    Column("institution", _Institution, primary_key=True),
    # The second of the newest message id, since 1970, and its number in that second. They never go back.
    Column("second", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
)

fsi_sessions = Table(
    "fsi_sessions",
    metadata,
    Column("institution", _Institution, primary_key=True),
    Column("sign_no_sealed", LargeBinary, nullable=False),
    Column("signed_in_at", UtcTime, nullable=False),
)

fsi_visits = Table(
    "fsi_visits",
    metadata,
    Column("visit_id", Uuid, primary_key=True),  # UUIDv7
    # What was asked for: person, terminal and bill in one hash, because a claim does not name its quote.
    Column("claim_sha256", Sha256Hex, nullable=False),
    # OPEN, TAKEN (by a transaction), RELEASED (its registration is to be cancelled), CLOSED.
    Column("state", String(16), nullable=False),
    Column("person_id", Uuid, nullable=False),
    Column("institution", _Institution, nullable=False),
    Column("terminal_id", Uuid, nullable=False),
    Column("business_type", Integer, nullable=False),
    Column("psn_no_sealed", LargeBinary, nullable=False),
    Column("insuplc_admdvs", String(12), nullable=False),
    Column("insutype", String(8), nullable=False),
    # Empty before it is registered, and for a pharmacy whose core gives none.
    Column("mdtrt_id", String(64), nullable=False),
    Column("ipt_otp_no", String(64), nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("not_covered_fen", BigInteger, nullable=False),
    Column("pooled_fund_fen", BigInteger),
    Column("personal_account_fen", BigInteger),
    Column("catastrophic_fen", BigInteger),
    Column("made_at", UtcTime, nullable=False),
    # Set once a transaction has taken it; a reversal that comes first leaves a visit of its own without one.
    Column("transaction_id", Uuid, unique=True),
    Column("setl_id", String(64), nullable=False, server_default=""),
    Index("ix_fsi_visits_claim_sha256", "claim_sha256"),
    Index(
        "ix_fsi_visits_unused",
        "made_at",
        sqlite_where=text("state IN ('OPEN', 'RELEASED')"),
        postgresql_where=text("state IN ('OPEN', 'RELEASED')"),
    ),
)

fsi_shut = Table(
    "fsi_shut",
    metadata,
    # A transaction that was reversed before anything of it was sent: nothing of it ever will be.
    Column("transaction_id", Uuid, primary_key=True),
    Column("shut_at", UtcTime, nullable=False),
)

MOVED_NOTHING = text("purpose = 'OTHER'")
"""In words, not parameters: a query that says exactly this can use the partial index."""

fsi_messages = Table(
    "fsi_messages",
    metadata,
    Column("msgid", _Msgid, primary_key=True),
    Column("infno", String(8), nullable=False),
    # SETTLE, CANCEL, REVERSE; OTHER for refusals of calls that move nothing.
    Column("purpose", String(16), nullable=False),
    Column("transaction_id", Uuid, index=True),
    Column("person_id", Uuid),
    Column("written_at", UtcTime, nullable=False),
    # False only when it certainly never left.
    Column("may_have_arrived", Boolean, nullable=False),
    Column("answered_at", UtcTime),
    Column("infcode", String(16)),
    # What the core wrote beside its refusal, verbatim; it may hold a name, so it rests sealed.
    Column("err_msg_sealed", LargeBinary),
    # What is dropped with age: refused questions, of which a terminal may ask any number.
    Index("ix_fsi_messages_refused", "written_at", sqlite_where=MOVED_NOTHING, postgresql_where=MOVED_NOTHING),
)
