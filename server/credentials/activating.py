"""What does a face that was compared with the register sign? That this person's credential may be activated, once (I4).

It lives, travels and is used up like a face assertion, and is none: it is of another type, in another table, so it can
pay for nothing. What the register said of somebody whom we may not know yet rests with it, sealed, until it is used or
its time is over; then it is emptied.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from sqlalchemy import Connection, bindparam, or_, update
from uuid_utils import uuid7

from server.credentials.assertion import IssuedAssertion
from server.credentials.errors import AssertionForeignError, AssertionInvalidError
from server.credentials.register import Registered
from server.credentials.sealing import FieldSeal
from server.credentials.single_use import SingleUse, heard, told
from server.credentials.token import Tokens
from server.store.tables.credentials import activation_assertions

if TYPE_CHECKING:
    from face_pipeline.frames import Template
    from face_pipeline.template_keys import TemplateKeys

PURPOSE: Final = "PURPOSE_ACTIVATE"
_TYPE: Final = "activation-assertion+jwt"
_NAME, _ID_NUMBER = "activation/name", "activation/id_number"

_table = activation_assertions.c
_EMPTY: Final = {"name_sealed": None, "id_number_sealed": None, "template_sealed": None}
_USE: Final = (
    update(activation_assertions)
    .where(
        _table.assertion_id == bindparam("id"),
        _table.terminal_id == bindparam("terminal"),
        _table.session_id == bindparam("session"),
        _table.person_id == bindparam("person"),
        _table.expires_at > bindparam("now"),
        _table.used_at.is_(None),
    )
    .values(used_at=bindparam("now"), transaction_id=bindparam("transaction"), **_EMPTY)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationClaims:
    """What the platform said when it made the assertion."""

    assertion_id: str
    terminal_id: str
    session_id: str
    person_id: str
    purpose: str
    business_type: int
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingActivation:
    """Who is to be activated, as the register said it some seconds ago."""

    claims: ActivationClaims
    name: str = field(repr=False)
    id_number: str = field(repr=False)
    region: str
    template: "Template | None" = field(repr=False)
    """None when the face was compared with the template that we keep already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _NewAssertion:
    """A row to write."""

    assertion_id: str
    terminal_id: str
    session_id: str
    person_id: str
    business_type: int
    region: str
    name_sealed: bytes
    id_number_sealed: bytes
    template_sealed: bytes | None
    issued_at: datetime
    expires_at: datetime


class ActivationAssertions:
    """Makes, checks and uses up what leads to an activation."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        signing_key: EllipticCurvePrivateKey,
        key_id: str,
        lifetime: timedelta,
        data_key: bytes,
        template_keys: "TemplateKeys",
    ) -> None:
        """Take the P-256 key that signs and those that seal; `lifetime` is whole seconds, at most 120."""
        self._now: Final = now
        self._tokens: Final = Tokens(signing_key=signing_key, key_id=key_id, token_type=_TYPE)
        self._book: Final = SingleUse(activation_assertions, now=now, lifetime=lifetime)
        self._seal: Final = FieldSeal(data_key)
        self._template_keys: Final = template_keys

    def issue(
        self,
        connection: Connection,
        *,
        terminal_id: str,
        session_id: str,
        person_id: str | None,
        business_type: int,
        registered: Registered,
    ) -> IssuedAssertion:
        """Make an assertion; it is good once this transaction commits. Somebody new gets the id that they will have."""
        self.forget_expired(connection)
        issued_at, expires_at = self._book.lifetime_from_now()
        theirs = person_id or str(uuid7())
        row = _NewAssertion(
            assertion_id=str(uuid7()),
            terminal_id=terminal_id,
            session_id=session_id,
            person_id=theirs,
            business_type=business_type,
            region=registered.region,
            name_sealed=self._seal.seal(registered.name, field=_NAME, person_id=theirs),
            id_number_sealed=self._seal.seal(registered.id_number, field=_ID_NUMBER, person_id=theirs),
            template_sealed=self._sealed_template(registered, theirs),
            issued_at=issued_at,
            expires_at=expires_at,
        )
        self._book.write(connection, row, _NewAssertion.__slots__)
        claims = ActivationClaims(
            assertion_id=row.assertion_id,
            terminal_id=terminal_id,
            session_id=session_id,
            person_id=theirs,
            purpose=PURPOSE,
            business_type=business_type,
            issued_at=issued_at,
            expires_at=expires_at,
        )
        token = self._tokens.signed(terminal_id=terminal_id, claims=told(claims, subject=theirs))
        return IssuedAssertion(token=token, expires_at=expires_at)

    def check(self, connection: Connection, token: str, *, terminal_id: str) -> PendingActivation:
        """Return who is to be activated, if it may be here and now; uses nothing up.

        Raises:
            AssertionInvalidError: no such assertion of ours, changed, or never committed.
            AssertionExpiredError: too late.
            AssertionForeignError: made at another terminal.
            AssertionUsedError: it has activated somebody.
        """
        claims = _claims_from(self._tokens.opened(token))
        self._book.refuse_late(claims)
        if claims.terminal_id != terminal_id:
            raise AssertionForeignError
        row = self._book.unused(connection, claims)
        if row.name_sealed is None or row.id_number_sealed is None:
            raise AssertionInvalidError
        return PendingActivation(
            claims=claims,
            name=self._seal.open(row.name_sealed, field=_NAME, person_id=row.person_id),
            id_number=self._seal.open(row.id_number_sealed, field=_ID_NUMBER, person_id=row.person_id),
            region=row.region,
            template=self._opened_template(row.template_sealed, row.person_id),
        )

    def redeem(self, connection: Connection, claims: ActivationClaims, *, request_id: str) -> None:
        """Use the assertion up for one request, and empty it; takes hold when that commits.

        Raises:
            AssertionUsedError, AssertionExpiredError, AssertionInvalidError, AssertionForeignError: as they say.
        """
        used = connection.execute(
            _USE,
            {
                "id": claims.assertion_id,
                "terminal": claims.terminal_id,
                "session": claims.session_id,
                "person": claims.person_id,
                "now": self._now(),
                "transaction": request_id,
            },
        )
        if used.rowcount != 1:
            self._book.say_why_not(connection, claims)

    def forget_expired(self, connection: Connection) -> int:
        """Empty what was never used and cannot be any more; return how many."""
        holds = or_(_table.name_sealed.is_not(None), _table.template_sealed.is_not(None))
        over = update(activation_assertions).where(_table.expires_at <= self._now(), holds).values(**_EMPTY)
        return connection.execute(over).rowcount

    def _sealed_template(self, registered: Registered, person_id: str) -> bytes | None:
        from face_pipeline.templates import seal  # noqa: PLC0415 - who has a template has the pipeline loaded

        if registered.template is None or registered.is_ours:
            return None
        return seal(registered.template, keys=self._template_keys, person_id=person_id)

    def _opened_template(self, sealed: bytes | None, person_id: str) -> "Template | None":
        from face_pipeline.templates import open_sealed  # noqa: PLC0415 - as above

        return None if sealed is None else open_sealed(sealed, keys=self._template_keys, person_id=person_id)


def forget_pending(connection: Connection, person_id: str) -> None:
    """Empty what is under way for a person whose face is to be forgotten: then it activates nobody."""
    connection.execute(update(activation_assertions).where(_table.person_id == person_id).values(**_EMPTY))


def _claims_from(payload: dict[str, Any]) -> ActivationClaims:
    """Return the claims of a payload whose signature holds.

    Raises:
        AssertionInvalidError: it is no such assertion all the same.
    """
    try:
        return ActivationClaims(**heard(payload), person_id=payload["sub"])
    except (KeyError, TypeError) as error:
        raise AssertionInvalidError from error
