"""What does somebody show in the place of their face? A dynamic code: signed, good for seconds, used up once (I4).

It is shown on one screen and scanned at another, so it is bound to a credential and not to a terminal. It pays no more,
and no more without a PIN, than what it was issued for: a face that could not be asked to move, and so never pays
without a PIN, does not get round that by having a code made.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from sqlalchemy import Connection, Row, bindparam, exists, select, update
from uuid_utils import uuid7

from device_registry.tables.prepared import Prepared
from server.credentials.activation import CredentialState
from server.credentials.errors import (
    AssertionInvalidError,
    CodeExpiredError,
    CodeInvalidError,
    CodeUsedError,
    CredentialNotActiveError,
)
from server.credentials.single_use import Refusals, SingleUse
from server.credentials.token import Tokens
from server.store.tables.credentials import credential_codes, credentials

_TYPE: Final = "credential-code+jwt"
CODE_LENGTH_MAX: Final = 1024  # as in credential.proto

_table = credential_codes.c
_IS_ALIVE: Final = exists().where(
    credentials.c.credential_id == _table.credential_id, credentials.c.state == CredentialState.ACTIVE.value
)
_USE: Final = Prepared(
    update(credential_codes)
    .where(
        _table.assertion_id == bindparam("id"),
        _table.credential_id == bindparam("credential"),
        _table.amount_limit_fen == bindparam("limit_fen"),
        _table.pin_free_limit_fen == bindparam("pin_free_fen"),
        _table.expires_at > bindparam("now"),
        _table.used_at.is_(None),
        _IS_ALIVE,
    )
    .values(used_at=bindparam("now"), transaction_id=bindparam("transaction"))
)
_FIND: Final = (
    select(credential_codes, credentials.c.person_id, credentials.c.state)
    .join(credentials, credentials.c.credential_id == _table.credential_id)
    .where(_table.assertion_id == bindparam("id"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeClaims:
    """What a code is good for, from its row: the code itself says no more than which row that is."""

    assertion_id: str
    credential_id: str
    person_id: str
    """Whose credential it is."""
    amount_limit_fen: int
    """It pays no more."""
    pin_free_limit_fen: int
    """Above this amount it pays only with a PIN beside it; 0: always."""
    issued_at: datetime
    expires_at: datetime

    @property
    def staff_may_confirm(self) -> bool:
        """Whether a practitioner may stand in for the PIN: never, they would confirm a face."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCode:
    """A code on its way to a screen; a secret while it lives."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewCode:
    """A row to write."""

    assertion_id: str
    credential_id: str
    terminal_id: str
    proof_id: str
    amount_limit_fen: int
    pin_free_limit_fen: int
    issued_at: datetime
    expires_at: datetime


class DynamicCodes:
    """Makes, checks and uses up dynamic codes."""

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
        self._book: Final = SingleUse(
            credential_codes,
            now=now,
            lifetime=lifetime,
            refusals=Refusals(
                invalid=CodeInvalidError,
                expired=CodeExpiredError,
                used=CodeUsedError,
                foreign=CredentialNotActiveError,
            ),
        )

    def issue(
        self,
        connection: Connection,
        *,
        credential_id: str,
        terminal_id: str,
        proof_id: str,
        amount_limit_fen: int,
        pin_free_limit_fen: int,
    ) -> IssuedCode:
        """Make a code; it is good once this transaction commits. The same proof again gets the same code.

        Args:
            connection: of the transaction.
            credential_id: an active one.
            terminal_id: where it is made.
            proof_id: UUID of what proved that the holder is here.
            amount_limit_fen: it pays no more.
            pin_free_limit_fen: nor more than this without a PIN.
        """
        known = connection.execute(select(credential_codes).where(_table.proof_id == proof_id)).one_or_none()
        if known is not None:
            return self._issued(known.assertion_id, known.credential_id, known.expires_at)
        issued_at, expires_at = self._book.lifetime_from_now()
        code = _NewCode(
            assertion_id=str(uuid7()),
            credential_id=credential_id,
            terminal_id=terminal_id,
            proof_id=proof_id,
            amount_limit_fen=amount_limit_fen,
            pin_free_limit_fen=min(pin_free_limit_fen, amount_limit_fen),
            issued_at=issued_at,
            expires_at=expires_at,
        )
        self._book.write(connection, code, _NewCode.__slots__)
        return self._issued(code.assertion_id, code.credential_id, code.expires_at)

    def check(self, connection: Connection, code: str) -> CodeClaims:
        """Return what a code is good for, if it could be used now; uses nothing up.

        Raises:
            CodeInvalidError: not ours, changed, or never committed.
            CodeExpiredError: too late.
            CodeUsedError: it has paid for something.
            CredentialNotActiveError: the credential behind it is dead.
        """
        row = self._row(connection, code)
        claims = CodeClaims(**{column.name: getattr(row, column.name) for column in fields(CodeClaims)})
        self._book.refuse_late(claims)
        if row.used_at is not None:
            raise CodeUsedError
        if row.state != CredentialState.ACTIVE.value:
            raise CredentialNotActiveError
        return claims

    def redeem(self, connection: Connection, claims: CodeClaims, *, transaction_id: str) -> None:
        """Use the code up for one transaction; takes hold when that commits.

        Raises:
            CodeUsedError: it has paid for something.
            CodeExpiredError: too late.
            CredentialNotActiveError: the credential behind it has died meanwhile.
            CodeInvalidError: no such code.
        """
        used = _USE.run(
            connection,
            id=claims.assertion_id,
            credential=claims.credential_id,
            limit_fen=claims.amount_limit_fen,
            pin_free_fen=claims.pin_free_limit_fen,
            now=self._now(),
            transaction=transaction_id,
        )
        if used != 1:
            self._book.say_why_not(connection, claims)

    def _row(self, connection: Connection, code: str) -> Row[*tuple[Any, ...]]:
        if len(code) > CODE_LENGTH_MAX:
            raise CodeInvalidError
        try:
            said = self._tokens.opened(code)
            named = (said["jti"], said["sub"], datetime.fromtimestamp(said["exp"], UTC))
        except (AssertionInvalidError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise CodeInvalidError from error
        row: Row[*tuple[Any, ...]] | None = connection.execute(_FIND, {"id": str(named[0])}).one_or_none()
        if row is None or (row.assertion_id, row.credential_id, row.expires_at) != named:
            raise CodeInvalidError
        return row

    def _issued(self, assertion_id: str, credential_id: str, expires_at: datetime) -> IssuedCode:
        claims = {"sub": credential_id, "jti": assertion_id, "exp": int(expires_at.timestamp())}
        return IssuedCode(code=self._tokens.signed(terminal_id=None, claims=claims), expires_at=expires_at)
