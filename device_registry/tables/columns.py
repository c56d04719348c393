"""The kinds of column there are, and the MetaData that every room's tables share."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import BigInteger, Dialect, Enum, Integer, MetaData, String, TypeDecorator

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
