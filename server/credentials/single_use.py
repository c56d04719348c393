"""What do all assertions have in common? They live briefly, rest in a table of their kind, and are used once (I4)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn, Protocol

from sqlalchemy import Connection, Row, Table, bindparam, insert, select

from server.credentials.errors import (
    AssertionExpiredError,
    AssertionForeignError,
    AssertionInvalidError,
    AssertionUsedError,
    CredentialError,
)

LIFETIME_MAX: Final = timedelta(seconds=120)  # I4


class Brief(Protocol):
    """What is good once, and not for long."""

    @property
    def assertion_id(self) -> str:
        """UUIDv7."""

    @property
    def expires_at(self) -> datetime:
        """Whole seconds."""


class Claims(Brief, Protocol):
    """What the platform says in every assertion; each kind adds its own."""

    @property
    def terminal_id(self) -> str:
        """The one that may use it."""

    @property
    def session_id(self) -> str:
        """The face session it came from."""

    @property
    def purpose(self) -> str:
        """What the face was shown for."""

    @property
    def business_type(self) -> int:
        """What it may be used for."""

    @property
    def issued_at(self) -> datetime:
        """Whole seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """How one kind calls what can be wrong with it."""

    invalid: type[CredentialError] = AssertionInvalidError
    expired: type[CredentialError] = AssertionExpiredError
    used: type[CredentialError] = AssertionUsedError
    foreign: type[CredentialError] = AssertionForeignError


OF_ASSERTIONS: Final = Refusals()


def told(claims: Claims, *, subject: str) -> dict[str, object]:
    """Return what every token carries, under the names a JWT has for it; `aud` is the token's own to say."""
    return {
        "sub": subject,
        "jti": claims.assertion_id,
        "iat": int(claims.issued_at.timestamp()),
        "exp": int(claims.expires_at.timestamp()),
        "session": claims.session_id,
        "purpose": claims.purpose,
        "business_type": claims.business_type,
    }


def heard(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `Claims` from a payload whose signature holds.

    Raises:
        KeyError, TypeError: it is no assertion all the same.
    """
    return {
        "assertion_id": payload["jti"],
        "terminal_id": payload["aud"],
        "session_id": payload["session"],
        "purpose": payload["purpose"],
        "business_type": payload["business_type"],
        "issued_at": datetime.fromtimestamp(payload["iat"], UTC),
        "expires_at": datetime.fromtimestamp(payload["exp"], UTC),
    }


class SingleUse:
    """The table of one kind of assertions, and the time they have."""

    def __init__(
        self, table: Table, *, now: Callable[[], datetime], lifetime: timedelta, refusals: Refusals = OF_ASSERTIONS
    ) -> None:
        """Take the table, whose key is `assertion_id`; `lifetime` is whole seconds, at most 120."""
        if not timedelta(seconds=1) <= lifetime <= LIFETIME_MAX or lifetime.microseconds:
            msg = "an assertion lives 1 to 120 whole seconds"
            raise ValueError(msg)
        self._insert: Final = insert(table)
        self._find: Final = select(table).where(table.c.assertion_id == bindparam("id"))
        self._now: Final = now
        self._lifetime: Final = lifetime
        self._refusals: Final = refusals

    def lifetime_from_now(self) -> tuple[datetime, datetime]:
        """Return begin and end; a JWS counts whole seconds, so that token and row say the same."""
        begins = self._now().replace(microsecond=0)
        return begins, begins + self._lifetime

    def write(self, connection: Connection, claims: Brief, fields: tuple[str, ...]) -> None:
        """Write an assertion down; it is good once this transaction commits."""
        connection.execute(self._insert, {name: getattr(claims, name) for name in fields})

    def refuse_late(self, claims: Brief) -> None:
        """Refuse an assertion whose time is over. Needs no database.

        Raises:
            AssertionExpiredError: it is.
        """
        if claims.expires_at <= self._now():
            raise self._refusals.expired

    def unused(self, connection: Connection, claims: Brief) -> Row[Any]:
        """Return the row of an assertion that is there to be used.

        Raises:
            AssertionInvalidError: its session was never committed.
            AssertionUsedError: it was used.
        """
        row = connection.execute(self._find, {"id": claims.assertion_id}).one_or_none()
        if row is None:
            raise self._refusals.invalid
        if row.used_at is not None:
            raise self._refusals.used
        return row

    def say_why_not(self, connection: Connection, claims: Brief) -> NoReturn:
        """Say why the guarded UPDATE that uses an assertion up found none.

        Raises:
            AssertionInvalidError, AssertionUsedError, AssertionExpiredError: as they say.
            AssertionForeignError: it is there and good, and something in it is not what was asked for.
        """
        if self.unused(connection, claims).expires_at <= self._now():
            raise self._refusals.expired
        raise self._refusals.foreign
