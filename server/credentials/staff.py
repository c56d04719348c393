"""What a practitioner's face signs: that they stand behind one payment of somebody who cannot prove more (I4).

It lives, travels and is used up like a face assertion, and is none: it is of another type, in another table, and names
no insured person. So it can confirm, and it cannot pay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from sqlalchemy import Connection, bindparam, exists, update
from uuid_utils import uuid7

from server.credentials.assertion import IssuedAssertion
from server.credentials.errors import AssertionForeignError, AssertionInvalidError
from server.credentials.single_use import SingleUse, heard, told
from server.credentials.token import Tokens
from server.store.tables.practitioners import practitioners, staff_assertions

PURPOSE: Final = "PURPOSE_PRACTITIONER"
_TYPE: Final = "staff-assertion+jwt"

_table = staff_assertions.c
_IN_SERVICE: Final = exists().where(
    practitioners.c.practitioner_id == _table.practitioner_id, practitioners.c.removed_at.is_(None)
)
_USE: Final = (
    update(staff_assertions)
    .where(
        _table.assertion_id == bindparam("id"),
        _table.terminal_id == bindparam("terminal"),
        _table.session_id == bindparam("session"),
        _table.practitioner_id == bindparam("who"),
        _table.purpose == PURPOSE,
        _table.business_type == bindparam("for_business_type"),
        _table.expires_at > bindparam("now"),
        _table.used_at.is_(None),
        _IN_SERVICE,
    )
    .values(used_at=bindparam("now"), transaction_id=bindparam("transaction"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffClaims:
    """What the platform said when it made the assertion."""

    assertion_id: str
    terminal_id: str
    session_id: str
    practitioner_id: str
    purpose: str
    business_type: int
    issued_at: datetime
    expires_at: datetime


class StaffAssertions:
    """Makes, checks and uses up the assertions of practitioners."""

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
        self._book: Final = SingleUse(staff_assertions, now=now, lifetime=lifetime)

    def issue(
        self, connection: Connection, *, terminal_id: str, session_id: str, practitioner_id: str, business_type: int
    ) -> IssuedAssertion:
        """Make an assertion; it is good once this transaction commits. One per session, the database sees to that."""
        issued_at, expires_at = self._book.lifetime_from_now()
        claims = StaffClaims(
            assertion_id=str(uuid7()),
            terminal_id=terminal_id,
            session_id=session_id,
            practitioner_id=practitioner_id,
            purpose=PURPOSE,
            business_type=business_type,
            issued_at=issued_at,
            expires_at=expires_at,
        )
        self._book.write(connection, claims, StaffClaims.__slots__)
        return IssuedAssertion(token=self._signed(claims), expires_at=claims.expires_at)

    def check(self, connection: Connection, token: str, *, terminal_id: str, business_type: int) -> StaffClaims:
        """Return what the token says, if it could confirm here and now; uses nothing up.

        Raises:
            AssertionInvalidError: no practitioner's assertion of ours, changed, or never committed.
            AssertionExpiredError: too late.
            AssertionForeignError: made at another terminal or for another kind of business.
            AssertionUsedError: it has confirmed something.
        """
        claims = _claims_from(self._tokens.opened(token))
        self._book.refuse_late(claims)
        if (claims.terminal_id, claims.business_type, claims.purpose) != (terminal_id, business_type, PURPOSE):
            raise AssertionForeignError
        self._book.unused(connection, claims)
        return claims

    def redeem(
        self,
        connection: Connection,
        claims: StaffClaims,
        *,
        terminal_id: str,
        business_type: int,
        transaction_id: str,
    ) -> None:
        """Use the assertion up for one transaction; takes hold when that commits.

        Raises:
            AssertionUsedError: it has confirmed something.
            AssertionExpiredError: too late.
            AssertionForeignError: of another terminal or kind of business, or the practitioner is out of service.
            AssertionInvalidError: no such assertion.
        """
        used = connection.execute(
            _USE,
            {
                "id": claims.assertion_id,
                "terminal": terminal_id,
                "session": claims.session_id,
                "who": claims.practitioner_id,
                "for_business_type": business_type,
                "now": self._now(),
                "transaction": transaction_id,
            },
        )
        if used.rowcount != 1:
            self._book.say_why_not(connection, claims)

    def _signed(self, claims: StaffClaims) -> str:
        return self._tokens.signed(
            terminal_id=claims.terminal_id,
            claims={
                **told(claims, subject=claims.practitioner_id),
            },
        )


def _claims_from(payload: dict[str, Any]) -> StaffClaims:
    """Return the claims of a payload whose signature holds.

    Raises:
        AssertionInvalidError: it is no such assertion all the same.
    """
    try:
        return StaffClaims(
            **heard(payload),
            practitioner_id=payload["sub"],
        )
    except (KeyError, TypeError) as error:
        raise AssertionInvalidError from error
