"""Electronic credentials: who has one, the codes it was shown as, whom it pays for, and what led to it."""

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

from device_registry.tables import Sha256Hex, UtcTime, Uuid, metadata

RELATIVES_MAX = 5
"""People one credential pays for beside its holder, as the national scheme has it."""

_IS_ACTIVE = text("state = 'ACTIVE'")
_IS_BOUND = text("ended_at IS NULL")

credentials = Table(
    "credentials",
    metadata,
    Column("credential_id", Uuid, primary_key=True),  # UUIDv7
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), nullable=False),
    Column("state", String(16), nullable=False),  # CredentialState, as a plain word
    # Keyed hash of name and number as they were then: another one in the register means that it is issued anew.
    Column("identity_digest", LargeBinary(32), nullable=False),
    Column("activated_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    CheckConstraint("(state = 'ACTIVE') = (ended_at IS NULL)", name="ends_once"),
    Index("ix_credentials_person_id", "person_id"),
    Index(
        "ix_credentials_one_active",
        "person_id",
        unique=True,
        sqlite_where=_IS_ACTIVE,
        postgresql_where=_IS_ACTIVE,
    ),
)

credential_codes = Table(
    "credential_codes",
    metadata,
    Column("assertion_id", Uuid, primary_key=True),  # jti, UUIDv7: a code is used up as an assertion is
    Column("credential_id", Uuid, ForeignKey("credentials.credential_id"), nullable=False),
    Column("terminal_id", Uuid, nullable=False),  # that issued it; it may be scanned anywhere
    Column("proof_id", Uuid, nullable=False, unique=True),  # what it was issued for: the same proof gets the same code
    Column("amount_limit_fen", BigInteger, nullable=False),
    Column("pin_free_limit_fen", BigInteger, nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
    Column("transaction_id", Uuid),  # what it paid for
    CheckConstraint("(used_at IS NULL) = (transaction_id IS NULL)", name="used_by_a_transaction"),
    Index("ix_credential_codes_credential_id", "credential_id"),
)

family_bindings = Table(
    "family_bindings",
    metadata,
    Column("binding_id", Uuid, primary_key=True),  # UUIDv7
    Column("credential_id", Uuid, ForeignKey("credentials.credential_id"), nullable=False),
    Column("holder_id", Uuid, ForeignKey("insured_people.person_id"), nullable=False),  # who pays
    Column("relative_id", Uuid, ForeignKey("insured_people.person_id"), nullable=False),  # who is treated
    Column("place", Integer, nullable=False),  # 1 to 5; two bindings cannot take the same one
    Column("bound_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("good_until", UtcTime),  # the sixteenth birthday, of a child whose guardian spoke for it
    CheckConstraint(f"place BETWEEN 1 AND {RELATIVES_MAX}", name="place_is_there"),
    CheckConstraint("holder_id <> relative_id", name="nobody_binds_themselves"),
    Index("ix_family_bindings_credential_id", "credential_id"),
    Index(
        "ix_family_bindings_place",
        "holder_id",
        "place",
        unique=True,
        sqlite_where=_IS_BOUND,
        postgresql_where=_IS_BOUND,
    ),
    Index(
        "ix_family_bindings_relative",
        "holder_id",
        "relative_id",
        unique=True,
        sqlite_where=_IS_BOUND,
        postgresql_where=_IS_BOUND,
    ),
)

activation_assertions = Table(
    "activation_assertions",
    metadata,
    Column("assertion_id", Uuid, primary_key=True),  # jti, UUIDv7
    Column("terminal_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False, unique=True),  # one decision, one assertion
    Column("person_id", Uuid, nullable=False),  # of somebody we know, or the one that they will get
    Column("business_type", Integer, nullable=False),
    # What the register said, until it is used or its time is over: then these are emptied.
    Column("region", String(32), nullable=False),
    Column("name_sealed", LargeBinary),
    Column("id_number_sealed", LargeBinary),
    Column("template_sealed", LargeBinary),  # None: the face was compared with one that we keep already
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
    Column("used_at", UtcTime),
    Column("transaction_id", Uuid),  # the request that used it
    CheckConstraint("(used_at IS NULL) = (transaction_id IS NULL)", name="used_by_a_request"),
)

credential_requests = Table(
    "credential_requests",
    metadata,
    Column("request_id", Uuid, primary_key=True),  # made by the terminal
    Column("terminal_id", Uuid, nullable=False),
    Column("body_sha256", Sha256Hex, nullable=False),
    Column("subject", Uuid, nullable=False),  # the credential or the binding that it led to
    Column("is_reissued", Boolean, nullable=False, server_default=text("false")),
    Column("asked_at", UtcTime, nullable=False),
)
