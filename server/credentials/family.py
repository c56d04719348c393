"""Whom does a credential pay for beside its holder? Family accounts (亲情账户): five relatives at most."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update
from uuid_utils import uuid7

from device_registry.audit.log import AuditLog
from server.credentials.activation import Credential
from server.credentials.errors import BindingExistsError, BindingSelfError, BindingsFullError, BindingUnknownError
from server.credentials.identity import birth_date_of, birthday
from server.store.tables.credentials import RELATIVES_MAX, family_bindings

OWN_FACE_FROM_YEARS: Final = 16  # DOMAIN 5: younger ones are bound by their guardian

_table = family_bindings.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """One relative of one holder."""

    binding_id: str
    holder_id: str
    """Who pays."""
    relative_id: str
    """Who is treated."""
    bound_at: datetime
    ended_at: datetime | None
    good_until: datetime | None
    """From then on the relative would have to come themselves; None when they did."""

    def holds(self, now: datetime) -> bool:
        """Return whether it pays for anybody."""
        return self.ended_at is None and (self.good_until is None or now < self.good_until)


class FamilyAccounts:
    """The bindings of this platform's people."""

    def __init__(self, *, now: Callable[[], datetime], zone: tzinfo, audit: AuditLog) -> None:
        """Take the zone whose midnight begins a birthday."""
        self._now: Final = now
        self._zone: Final = zone
        self._audit: Final = audit

    def needs_own_face(self, id_number: str) -> bool:
        """Return whether somebody is old enough that nobody else's word is enough: from the sixteenth birthday on.

        Raises:
            IdNumberInvalidError: the number holds no birth date.
        """
        return needs_own_face(birth_date_of(id_number), today=self._now().astimezone(self._zone).date())

    def grown_up_at(self, id_number: str) -> datetime:
        """Return when a child's sixteenth birthday begins.

        Raises:
            IdNumberInvalidError: the number holds no birth date.
        """
        day = birthday(birth_date_of(id_number), OWN_FACE_FROM_YEARS)
        return datetime.combine(day, time(), tzinfo=self._zone).astimezone(UTC)

    def bind(
        self,
        connection: Connection,
        *,
        credential: Credential,
        relative_id: str,
        good_until: datetime | None,
        actor: str,
        request_id: str,
    ) -> Binding:
        """Let a credential pay for a relative.

        There is one writer at a time, so what is counted here still holds when it is written; the database refuses a
        sixth one as well, because five places are all there are.

        Raises:
            BindingSelfError: it is the holder.
            BindingExistsError: bound already.
            BindingsFullError: five are.
        """
        holder_id = credential.person_id
        if holder_id == relative_id:
            raise BindingSelfError
        mine = (_table.holder_id == holder_id, _table.ended_at.is_(None))
        lapsed = update(family_bindings).where(*mine, _table.good_until <= self._now())
        connection.execute(lapsed.values(ended_at=_table.good_until))  # what does not hold takes nobody's place
        rows = connection.execute(select(family_bindings).where(*mine)).all()
        if any(row.relative_id == relative_id for row in rows):
            raise BindingExistsError
        free = sorted(set(range(1, RELATIVES_MAX + 1)) - {row.place for row in rows})
        if not free:
            raise BindingsFullError(relatives_max=RELATIVES_MAX)
        binding = Binding(
            binding_id=str(uuid7()),
            holder_id=holder_id,
            relative_id=relative_id,
            bound_at=self._now(),
            ended_at=None,
            good_until=good_until,
        )
        connection.execute(
            insert(family_bindings).values(
                binding_id=binding.binding_id,
                credential_id=credential.credential_id,
                holder_id=holder_id,
                relative_id=relative_id,
                place=free[0],
                bound_at=binding.bound_at,
                good_until=good_until,
            )
        )
        self._note(connection, "family.bound", binding, actor=actor, request_id=request_id)
        return binding

    def get(self, connection: Connection, binding_id: str) -> Binding | None:
        """Return the binding with an id, also one that is ended."""
        row = connection.execute(select(family_bindings).where(_table.binding_id == binding_id)).one_or_none()
        return None if row is None else _from(row)

    def of(self, connection: Connection, holder_id: str) -> list[Binding]:
        """Return whom the holder's credential pays for now, oldest binding first."""
        mine = select(family_bindings).where(_table.holder_id == holder_id, _table.ended_at.is_(None))
        bindings = map(_from, connection.execute(mine.order_by(_table.bound_at, _table.binding_id)))
        now = self._now()
        return [binding for binding in bindings if binding.holds(now)]

    def around(self, connection: Connection, person_id: str) -> list[Binding]:
        """Return the bindings that hold now and in which somebody pays or is treated, oldest first."""
        theirs = (_table.holder_id == person_id) | (_table.relative_id == person_id)
        rows = connection.execute(
            select(family_bindings)
            .where(theirs, _table.ended_at.is_(None))
            .order_by(_table.bound_at, _table.binding_id)
        )
        now = self._now()
        return [binding for binding in map(_from, rows) if binding.holds(now)]

    def relative_of(self, connection: Connection, binding_id: str, *, holder_id: str) -> str:
        """Return who is treated under a binding, if it is this holder's and still holds.

        Raises:
            BindingUnknownError: it is not.
        """
        binding = self.get(connection, binding_id)
        if binding is None or binding.holder_id != holder_id or not binding.holds(self._now()):
            raise BindingUnknownError
        return binding.relative_id

    def unbind(
        self, connection: Connection, binding_id: str, *, person_id: str, actor: str, request_id: str
    ) -> datetime:
        """End a binding on the word of either side; return since when it is ended, now or earlier.

        Raises:
            BindingUnknownError: no binding of theirs.
        """
        binding = self.get(connection, binding_id)
        if binding is None or person_id not in {binding.holder_id, binding.relative_id}:
            raise BindingUnknownError
        return self.end(connection, binding_id, actor=actor, request_id=request_id)

    def end(
        self, connection: Connection, binding_id: str, *, actor: str, request_id: str = "", reason: str = ""
    ) -> datetime:
        """End a binding, whoever asks; return since when it is ended, now or earlier.

        Raises:
            BindingUnknownError: there is none.
        """
        binding = self.get(connection, binding_id)
        if binding is None:
            raise BindingUnknownError
        if binding.ended_at is not None:
            return binding.ended_at
        ended_at = self._now()
        connection.execute(update(family_bindings).where(_table.binding_id == binding_id).values(ended_at=ended_at))
        self._note(connection, "family.unbound", binding, actor=actor, request_id=request_id, reason=reason)
        return ended_at

    def _note(
        self,
        connection: Connection,
        action: str,
        binding: Binding,
        *,
        actor: str,
        request_id: str,
        reason: str = "",
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            action=action,
            subject=binding.binding_id,
            reason=reason,
            request_id=request_id,
            details={"holder_id": binding.holder_id, "relative_id": binding.relative_id},
        )


def needs_own_face(born: date, *, today: date) -> bool:
    """Return whether the sixteenth birthday is reached."""
    return today >= birthday(born, OWN_FACE_FROM_YEARS)


def _from(row: Row[*tuple[Any, ...]]) -> Binding:
    return Binding(
        binding_id=row.binding_id,
        holder_id=row.holder_id,
        relative_id=row.relative_id,
        bound_at=row.bound_at,
        ended_at=row.ended_at,
        good_until=row.good_until,
    )
