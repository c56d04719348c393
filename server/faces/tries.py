"""How often may somebody try before it is enough? Counted in the database before the try, for all replicas together.

What is counted is a keyed hash of what was claimed, whether anybody is known under it or not: so the bound tells nobody
who is insured, and the table tells nobody who tried.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from server.credentials.sealing import BlindIndex
from server.faces.errors import FaceTriesSpentError
from server.faces.other_ways import OTHER_WAYS
from server.store.tables.faces import face_tries

_tries: Final = face_tries.c


class TryKind(StrEnum):
    """What is counted."""

    CLAIM = "CLAIM"
    """Face sessions for one claimed person that did not end in a match."""
    TERMINAL_CLAIM = "TERMINAL_CLAIM"
    """Face sessions for claimed people at one terminal that did not end in a match, whoever was claimed."""
    GUESS = "GUESS"
    """Wrong second factors for one person whom a face looked like."""
    TERMINAL_GUESS = "TERMINAL_GUESS"
    """Wrong second factors at one terminal, whoever was looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryBound:
    """So many within this time."""

    tries_max: int
    within: timedelta


class FaceTries:
    """Counts tries, and gives back those that ended well."""

    def __init__(self, *, index_key: bytes, bounds: Mapping[TryKind, TryBound]) -> None:
        """Take the key of the hash, and a bound for each kind."""
        self._index: Final = BlindIndex(index_key)
        self._bounds: Final = bounds
        self._kept_for: Final = max(bound.within for bound in bounds.values())

    def take(self, connection: Connection, kind: TryKind, subject: str, *, session_id: str, now: datetime) -> None:
        """Count one try before it is made; it stays counted until it is given back.

        Raises:
            FaceTriesSpentError: there were too many; this one is not made.
        """
        hashed = self._hash(kind, subject)
        wait = self._wait(connection, kind, hashed, now)
        if wait:
            raise FaceTriesSpentError(retry_after=wait, other_ways=OTHER_WAYS)
        self._count(connection, kind, hashed, session_id, now)

    def may(self, connection: Connection, kind: TryKind, subject: str, *, now: datetime) -> bool:
        """Return whether another try would be granted; counts nothing."""
        return not self._wait(connection, kind, self._hash(kind, subject), now)

    def refuse_spent(self, connection: Connection, kind: TryKind, subject: str, *, now: datetime) -> None:
        """Refuse whoever has no try left; counts nothing.

        Raises:
            FaceTriesSpentError: there were too many.
        """
        wait = self._wait(connection, kind, self._hash(kind, subject), now)
        if wait:
            raise FaceTriesSpentError(retry_after=wait, other_ways=OTHER_WAYS)

    def take_if_all_may(
        self, connection: Connection, tries: Iterable[tuple[TryKind, str]], *, session_id: str, now: datetime
    ) -> bool:
        """Count each of several tries and return whether every one of them was within its bound.

        They are counted either way: somebody who goes on guessing stays locked out.
        """
        granted = True
        for kind, subject in tries:
            hashed = self._hash(kind, subject)
            if self._wait(connection, kind, hashed, now):
                granted = False
            else:  # no more rows than the bound: a lock does not grow
                self._count(connection, kind, hashed, session_id, now)
        return granted

    def give_back(self, connection: Connection, session_id: str, *, person_id: str | None = None) -> None:
        """Forget what was counted for a session that ended well.

        With a person, who was settled on by the last guess: what was guessed wrong of others before stays counted, or
        somebody who looks like another could guess at them for ever, and end each session with their own number.
        """
        mine = _tries.session_id == session_id
        if person_id is not None:
            mine = _tries.number.in_(self._of_person(connection, session_id, person_id))
        connection.execute(delete(face_tries).where(mine))

    def _of_person(self, connection: Connection, session_id: str, person_id: str) -> list[int]:
        """Return the tries of a session that are not wrong guesses at somebody else than this person."""
        columns = (_tries.number, _tries.kind, _tries.subject, _tries.tried_at)
        rows = connection.execute(select(*columns).where(_tries.session_id == session_id)).all()
        last = max((row.tried_at for row in rows), default=None)
        hashed = self._hash(TryKind.GUESS, person_id)
        return [
            row.number
            for row in rows
            if row.kind != TryKind.GUESS.value or row.subject == hashed or row.tried_at == last
        ]

    def _hash(self, kind: TryKind, subject: str) -> bytes:
        return self._index.of(subject, field=f"face_try_{kind.value.lower()}")

    def _wait(self, connection: Connection, kind: TryKind, hashed: bytes, now: datetime) -> timedelta:
        """Return how long until there is a try again; zero when there is one."""
        bound = self._bounds[kind]
        oldest_that_fills = connection.scalar(
            select(_tries.tried_at)
            .where(_tries.kind == kind.value, _tries.subject == hashed, _tries.tried_at > now - bound.within)
            .order_by(_tries.tried_at.desc())
            .offset(bound.tries_max - 1)
            .limit(1)
        )
        return timedelta() if oldest_that_fills is None else max(oldest_that_fills + bound.within - now, _AT_LEAST)

    def _count(self, connection: Connection, kind: TryKind, hashed: bytes, session_id: str, now: datetime) -> None:
        connection.execute(
            insert(face_tries).values(kind=kind.value, subject=hashed, session_id=session_id, tried_at=now)
        )
        connection.execute(delete(face_tries).where(_tries.tried_at < now - self._kept_for))


_AT_LEAST: Final = timedelta(seconds=1)
