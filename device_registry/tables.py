"""The registry's columns, and the MetaData that every room's tables share."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Enum,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

from device_registry.model import (
    CameraState,
    CertificateStatus,
    CommandAction,
    CommandOutcome,
    SiteKind,
    TerminalClass,
    TerminalState,
)

# Names that do not depend on the engine, so that a migration can drop what it did not make.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC time, kept as whole microseconds since 1970: exact, sortable, the same on every engine."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn an aware time into microseconds; a naive one is a mistake."""
        return None if value is None else microseconds_from_time(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn microseconds into an aware time."""
        return None if value is None else time_from_microseconds(value)


class Duration(TypeDecorator[timedelta]):
    """A time span, kept as whole microseconds."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: timedelta | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn a span into microseconds."""
        return None if value is None else value // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> timedelta | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Turn microseconds into a span."""
        return None if value is None else value * _MICROSECOND


def microseconds_from_time(value: datetime) -> int:
    """Return whole microseconds since 1970 for an aware time."""
    if value.tzinfo is None:
        raise ValueError("times are aware")
    return (value - _EPOCH) // _MICROSECOND


def time_from_microseconds(value: int) -> datetime:
    """Return the aware UTC time of whole microseconds since 1970."""
    return _EPOCH + value * _MICROSECOND


def word(words: type[StrEnum]) -> Enum:
    """Return a text column type for a closed set of words; no CHECK, so that a new word needs no migration."""
    return Enum(
        words,
        native_enum=False,
        create_constraint=False,
        length=24,
        values_callable=lambda kind: [w.value for w in kind],
    )


# On SQLite only INTEGER PRIMARY KEY is the row's own address; BIGINT would cost a second tree.
CountingId = BigInteger().with_variant(Integer(), "sqlite")
Uuid = String(36)
Sha256Hex = String(64)

sites = Table(
    "sites",
    metadata,
    Column("site_id", Uuid, primary_key=True),
    Column("name", String(128), nullable=False),
    Column("region", String(32), nullable=False),
    Column("kind", word(SiteKind), nullable=False),
    Column("added_at", UtcTime, nullable=False),
)

terminals = Table(
    "terminals",
    metadata,
    Column("terminal_id", Uuid, primary_key=True),
    Column("serial_number", String(64), nullable=False),
    Column("manufacturer", String(128), nullable=False),
    Column("model", String(128), nullable=False),
    Column("terminal_class", word(TerminalClass), nullable=False),
    Column("site_id", Uuid, ForeignKey(sites.c.site_id), nullable=False, index=True),
    Column("certification_number", String(128), nullable=False),
    Column("record_number", String(128), nullable=False),
    Column("state", word(TerminalState), nullable=False),
    Column("state_reason", Text, nullable=False),
    Column("state_since", UtcTime, nullable=False),
    Column("registered_at", UtcTime, nullable=False),
    # A serial number is taken once among the terminals in service; a retired one may be registered again.
    Index(
        "uq_terminals_serial_number_in_service",
        "serial_number",
        unique=True,
        sqlite_where=text("state <> 'RETIRED'"),
        postgresql_where=text("state <> 'RETIRED'"),
    ),
)

enrollment_tokens = Table(
    "enrollment_tokens",
    metadata,
    Column("token_sha256", Sha256Hex, primary_key=True),
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), nullable=False, index=True),
    Column("serial_number", String(64), nullable=False),
    Column("site_id", Uuid, ForeignKey(sites.c.site_id), nullable=False),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

enrollment_nonces = Table(
    "enrollment_nonces",
    metadata,
    Column("nonce_sha256", Sha256Hex, primary_key=True),
    Column("serial_number", String(64), nullable=False),
    Column("expires_at", UtcTime, nullable=False, index=True),
)

certificates = Table(
    "certificates",
    metadata,
    Column("fingerprint", Sha256Hex, primary_key=True),
    Column("certificate_serial", String(40), nullable=False, unique=True),
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), nullable=False),
    # Unique over all terminals and all time: a key gets one certificate in its life.
    Column("public_key_sha256", Sha256Hex, nullable=False, unique=True),
    Column("issued_at", UtcTime, nullable=False),
    Column("not_before", UtcTime, nullable=False),
    Column("not_after", UtcTime, nullable=False),
    Column("good_until", UtcTime, nullable=False),
    Column("status", word(CertificateStatus), nullable=False),
    Column("status_since", UtcTime, nullable=False),
    Column("first_used_at", UtcTime),
    Index("ix_certificates_terminal_id_issued_at", "terminal_id", "issued_at"),
)

vitals = Table(
    "vitals",
    metadata,
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), primary_key=True),
    Column("is_connected", Boolean, nullable=False),
    # The last few connects in microseconds, newest first, as JSON; no longer than the flapping rule looks back.
    Column("recent_connects", Text, nullable=False),
    Column("last_seen_at", UtcTime),
    Column("firmware_version", String(64)),
    Column("camera_state", word(CameraState)),
    Column("temperature_celsius", Float),
    Column("queue_length", Integer),
    Column("clock_skew", Duration),
)

commands = Table(
    "commands",
    metadata,
    Column("command_id", Uuid, primary_key=True),
    Column("terminal_id", Uuid, ForeignKey(terminals.c.terminal_id), nullable=False),
    Column("action", word(CommandAction), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("queued_by", String(128), nullable=False),
    Column("queued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("times_sent", Integer, nullable=False),
    Column("answered_at", UtcTime),
    Column("outcome", word(CommandOutcome)),
    Column("detail", Text, nullable=False),
    Index("ix_commands_terminal_id_answered_at", "terminal_id", "answered_at"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("entry_id", CountingId, primary_key=True, autoincrement=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("details", Text, nullable=False),
    Column("entry_hash", Sha256Hex, nullable=False),
)
