"""What a recognised face authorises: one payment, at one terminal, soon, up to a limit (I4).

The terminal carries the assertion as a compact JWS signed with ES256. The signature says that we made it; the row in
`face_assertions` says whether it is still good. Using it is one guarded UPDATE in the transaction of the settlement, so
two requests that carry the same assertion cannot both pass, and a settlement that fails leaves it unused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from sqlalchemy import Connection, bindparam, update
from uuid_utils import uuid7

from device_registry.tables.prepared import Prepared
from server.credentials.errors import AssertionForeignError, AssertionInvalidError
from server.credentials.single_use import SingleUse, heard, told
from server.credentials.token import Tokens
from server.store.tables.people import face_assertions

_TYPE: Final = "face-assertion+jwt"

_table = face_assertions.c
_USE: Final = Prepared(
    update(face_assertions)
    .where(
        _table.assertion_id == bindparam("id"),
        _table.terminal_id == bindparam("terminal"),
        _table.session_id == bindparam("session"),
        _table.person_id == bindparam("person"),
        _table.purpose == bindparam("for_purpose"),
        _table.business_type == bindparam("for_business_type"),
        _table.amount_limit_fen == bindparam("limit_fen"),
        _table.pin_free_limit_fen == bindparam("pin_free_fen"),
        _table.staff_may_confirm == bindparam("staff"),
        _table.proves_holder == bindparam("proves_holder"),
        _table.expires_at > bindparam("now"),
        _table.used_at.is_(None),
    )
    .values(used_at=bindparam("now"), transaction_id=bindparam("transaction"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionClaims:
    """What the platform said when it made the assertion."""

    assertion_id: str
    terminal_id: str
    session_id: str
    person_id: str
    purpose: str
    business_type: int
    amount_limit_fen: int
    """It pays no more."""
    pin_free_limit_fen: int
    """Above this amount it pays only with a PIN beside it; 0: always."""
    staff_may_confirm: bool
    """A practitioner may confirm in the place of the PIN."""
    proves_holder: bool
    """It also does something to a credential: the face reached the full threshold, and somebody had moved."""
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedAssertion:
    """A new assertion on its way to the terminal."""

    token: str
    expires_at: datetime


class Assertions:
    """Makes, checks and uses up face assertions."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        signing_key: EllipticCurvePrivateKey,
        key_id: str,
        lifetime: timedelta,
    ) -> None:
        """Take the P-256 key that signs; `lifetime` is whole seconds, at most 120."""
        self._now: Final = now
        self._tokens: Final = Tokens(signing_key=signing_key, key_id=key_id, token_type=_TYPE)
        self._book: Final = SingleUse(face_assertions, now=now, lifetime=lifetime)

    def issue(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        session_id: str,
        person_id: str,
        purpose: str,
        business_type: int,
        amount_limit_fen: int,
        pin_free_limit_fen: int,
        staff_may_confirm: bool,
        proves_holder: bool,
    ) -> IssuedAssertion:
        """Make an assertion; it is good once this transaction commits. One per session, the database sees to that."""
        issued_at, expires_at = self._book.lifetime_from_now()
        claims = AssertionClaims(
            assertion_id=str(uuid7()),
            terminal_id=terminal_id,
            session_id=session_id,
            person_id=person_id,
            purpose=purpose,
            business_type=business_type,
            amount_limit_fen=amount_limit_fen,
            pin_free_limit_fen=pin_free_limit_fen,
            staff_may_confirm=staff_may_confirm,
            proves_holder=proves_holder,
            issued_at=issued_at,
            expires_at=expires_at,
        )
        self._book.write(connection, claims, AssertionClaims.__slots__)
        return IssuedAssertion(token=self._signed(claims), expires_at=claims.expires_at)

    def verify(self, token: str) -> AssertionClaims:
        """Return what the token says, if we said it and its time is not over. Needs no database.

        Raises:
            AssertionInvalidError: not ours, or changed.
            AssertionExpiredError: too late.
        """
        claims = _claims_from(self._tokens.opened(token))
        self._book.refuse_late(claims)
        return claims

    def check(self, connection: Connection, token: str, *, terminal_id: str, business_type: int) -> AssertionClaims:
        """Return what the token says, if it could be used here and now; uses nothing up.

        Raises:
            AssertionInvalidError: not ours, changed, or its session was never committed.
            AssertionExpiredError: too late.
            AssertionForeignError: made for another terminal or another kind of business.
            AssertionUsedError: it has paid for something.
        """
        claims = self.verify(token)
        if (claims.terminal_id, claims.business_type) != (terminal_id, business_type):
            raise AssertionForeignError
        self._book.unused(connection, claims)
        return claims

    def redeem(
        self,
        connection: Connection,
        claims: AssertionClaims,
        *,
        terminal_id: str,
        business_type: int,
        transaction_id: str,
    ) -> None:
        """Use the assertion up for one transaction; takes hold when that commits.

        Raises:
            AssertionUsedError: it has paid for something.
            AssertionExpiredError: too late.
            AssertionForeignError: made for another terminal, kind of business, person, purpose or limit.
            AssertionInvalidError: no such assertion.
        """
        used = _USE.run(
            connection,
            id=claims.assertion_id,
            terminal=terminal_id,
            session=claims.session_id,
            person=claims.person_id,
            for_purpose=claims.purpose,
            for_business_type=business_type,
            limit_fen=claims.amount_limit_fen,
            pin_free_fen=claims.pin_free_limit_fen,
            staff=claims.staff_may_confirm,
            proves_holder=claims.proves_holder,
            now=self._now(),
            transaction=transaction_id,
        )
        if used != 1:
            self._book.say_why_not(connection, claims)

    def _signed(self, claims: AssertionClaims) -> str:
        return self._tokens.signed(
            terminal_id=claims.terminal_id,
            claims={
                **told(claims, subject=claims.person_id),
                "limit_fen": claims.amount_limit_fen,
                "pin_free_fen": claims.pin_free_limit_fen,
                "staff": claims.staff_may_confirm,
                "holder": claims.proves_holder,
            },
        )


def _claims_from(payload: Mapping[str, Any]) -> AssertionClaims:
    """Return the claims of a payload whose signature holds, so that a platform of ours wrote it.

    One that is a release older says nothing of PIN, staff and holder: its assertion pays with the PIN alone, and does
    nothing else, as its row says.

    Raises:
        AssertionInvalidError: it is no assertion all the same.
    """
    try:
        return AssertionClaims(
            **heard(payload),
            person_id=payload["sub"],
            amount_limit_fen=payload["limit_fen"],
            pin_free_limit_fen=payload.get("pin_free_fen", 0),
            staff_may_confirm=payload.get("staff", False),
            proves_holder=payload.get("holder", False),
        )
    except (KeyError, TypeError) as error:
        raise AssertionInvalidError from error
