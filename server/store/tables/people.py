"""Insured people, their cards, PINs and guardians, what they agreed to, and what their faces were good for."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    text,
)

from device_registry.tables import UtcTime, Uuid, metadata

insured_people = Table(
    "insured_people",
    metadata,
    Column("person_id", Uuid, primary_key=True),  # UUIDv7
    Column("region", String(32), nullable=False),
    Column("id_number_index", LargeBinary(32), nullable=False, unique=True),  # keyed hash: finds, does not tell
    Column("id_number_sealed", LargeBinary, nullable=False),
    Column("name_sealed", LargeBinary, nullable=False),
    Column("phone_sealed", LargeBinary),  # for a second factor; None when the person gave none
    Column("added_at", UtcTime, nullable=False),
)

insurance_cards = Table(
    "insurance_cards",
    metadata,
    Column("card_number_index", LargeBinary(32), primary_key=True),
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), nullable=False),
    Column("added_at", UtcTime, nullable=False),
)

person_pins = Table(
    "person_pins",
    metadata,
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    Column("pin_hash", String(200), nullable=False),  # Argon2id, PHC string
    Column("attempts", Integer, nullable=False, server_default="0"),  # reserved since the last success
    Column("locked_until", UtcTime),
)

person_guardians = Table(
    "person_guardians",
    metadata,
    Column("child_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    Column("guardian_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    Column("recorded_at", UtcTime, nullable=False),
    CheckConstraint("child_id <> guardian_id", name="nobody_is_their_own_guardian"),
)

consents = Table(
    "consents",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("terminal_id", Uuid, nullable=False),
    Column("site_id", Uuid, nullable=False),
    # Empty for a refusal: who refuses leaves no trace (I8).
    Column("person_id", Uuid, ForeignKey("insured_people.person_id")),
    Column("granted", Boolean, nullable=False),
    Column("text_version", String(32), nullable=False),
    Column("given_at", UtcTime, nullable=False),  # the terminal's clock
    Column("recorded_at", UtcTime, nullable=False),  # ours
    CheckConstraint("granted OR person_id IS NULL", name="refusal_is_anonymous"),
    Index("ix_consents_site_id_recorded_at", "site_id", "recorded_at"),
)

face_assertions = Table(
    "face_assertions",
    metadata,
    Column("assertion_id", Uuid, primary_key=True),  # jti, UUIDv7
    Column("terminal_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False, unique=True),  # one decision, one assertion
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("business_type", Integer, nullable=False),
    Column("amount_limit_fen", BigInteger, nullable=False),
    # A replica of the release before leaves these two out: its assertions pay with a PIN alone.
    Column("pin_free_limit_fen", BigInteger, nullable=False, server_default="0"),
    Column("staff_may_confirm", Boolean, nullable=False, server_default=text("false")),
    # As above: a face of that release pays, and does nothing to a credential.
    Column("proves_holder", Boolean, nullable=False, server_default=text("false")),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Column("transaction_id", Uuid),  # what it paid for
    CheckConstraint("amount_limit_fen >= 0", name="limit_not_negative"),
    CheckConstraint("(used_at IS NULL) = (transaction_id IS NULL)", name="used_by_a_transaction"),
    sqlite_with_rowid=False,  # found by its id alone, on the settlement path: one tree instead of two
)
