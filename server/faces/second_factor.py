"""Who of those whose face it may be is it? The person says one more thing, and nobody learns whether the face is known.

Everybody whose face was looked for is asked, also those who were not found, as often and for as long. Guesses are
counted in the database before they are checked: per person whom the face looks like, over all terminals, and per
terminal, whoever was looked for. Beyond the bound every answer is wrong, the right one too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, Protocol

from sqlalchemy import Connection

from face_pipeline import Outcome, Verdict
from face_pipeline.frames import Embedding
from face_pipeline.gallery import Identification
from monitoring.metrics import Metrics
from server import convert
from server.caller import Caller
from server.credentials.people import InsuredPerson
from server.faces.tries import FaceTries, TryKind
from server.faces.visit import Visit
from server.store import UnitOfWork
from shualian.terminal.v1 import face_pb2

KINDS: Final = (face_pb2.SECOND_FACTOR_KIND_ID_NUMBER_LAST_FOUR, face_pb2.SECOND_FACTOR_KIND_PHONE_LAST_FOUR)
_KIND_PREFIX: Final = "SECOND_FACTOR_KIND_"


class Finds(Protocol):
    """Looks for a face among many."""

    async def identify(self, probe: Embedding, *, site_id: str, region: str) -> Identification:
        """Return those whose face it may be."""
        ...

    def refuse_unable(self, *, site_id: str, region: str) -> None:
        """Raise what `identify` would raise for everybody."""
        ...


class Settles(Protocol):
    """Knows what people would answer."""

    async def settle(self, identification: Identification, kind: str, value: str) -> InsuredPerson | None:
        """Return who of those found has this second factor."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactorBounds:
    """What bounds one session."""

    tries_max: int
    within: timedelta


class SecondFactorStep:
    """From a live face to a person, or to nobody."""

    def __init__(
        self,
        *,
        galleries: Finds,
        identifier: Settles,
        tries: FaceTries,
        unit_of_work: UnitOfWork,
        metrics: Metrics,
        now: Callable[[], datetime],
        bounds: SecondFactorBounds,
    ) -> None:
        """Take who finds and who knows, and what bounds the guessing."""
        self._galleries = galleries
        self._identifier = identifier
        self._tries = tries
        self._unit_of_work = unit_of_work
        self._metrics = metrics
        self._now = now
        self._bounds = bounds

    def refuse_unable(self, caller: Caller) -> None:
        """Refuse to begin where nobody could be found in the end.

        Raises:
            GalleryNotReadyError, GalleryOverfullError: nobody can be looked for at this terminal's site now.
        """
        self._galleries.refuse_unable(site_id=caller.site_id, region=caller.region)

    async def settled(self, visit: Visit, verdict: Verdict) -> InsuredPerson | None:
        """Return who it is; None when nobody is found, and for every verdict that is not of a live face to look for.

        Raises:
            GalleryNotReadyError, GalleryOverfullError, StoreError: nothing can be said now (I10).
        """
        if verdict.outcome is not Outcome.LIVE or verdict.probe is None:
            return None
        caller = visit.caller
        found = await self._galleries.identify(verdict.probe, site_id=caller.site_id, region=caller.region)
        self._metrics.face_identifications.labels(_found(found)).inc()
        return await self._asked(visit, found)

    async def _asked(self, visit: Visit, found: Identification) -> InsuredPerson | None:
        """Ask until the answer is right, or tries or time are spent."""
        until = monotonic() + self._bounds.within.total_seconds()
        deadline = convert.timestamp(self._now() + self._bounds.within)
        for tries_left in range(self._bounds.tries_max, 0, -1):
            visit.stream.expect_second_factor()
            asked = face_pb2.SecondFactorAsked(kinds=KINDS, tries_left=tries_left, deadline=deadline)
            await visit.context.write(face_pb2.AuthenticateResponse(second_factor_asked=asked))
            answer = await visit.stream.second_factor(timedelta(seconds=max(0.0, until - monotonic())))
            if answer is None:
                self._metrics.face_second_factors.labels("TIMEOUT").inc()
                return None
            person = await self._checked(visit, found, answer)
            if person is not None:
                return person
        self._metrics.face_second_factors.labels("EXHAUSTED").inc()
        return None

    async def _checked(
        self, visit: Visit, found: Identification, answer: face_pb2.SecondFactor
    ) -> InsuredPerson | None:
        """Count the guess, check it, and forget that it was counted if it is right."""
        granted = await self._unit_of_work.write(lambda connection: self._counted(connection, visit, found))
        kind = face_pb2.SecondFactorKind.Name(answer.kind).removeprefix(_KIND_PREFIX)
        # Asked also where it cannot help any more: how long an answer takes must not tell who is locked.
        person = await self._identifier.settle(found, kind, answer.value)
        is_right = granted and person is not None
        self._metrics.face_second_factors.labels("RIGHT" if is_right else "WRONG").inc()
        return person if is_right else None

    def _counted(self, connection: Connection, visit: Visit, found: Identification) -> bool:
        guesses = [(TryKind.GUESS, candidate.person_id) for candidate in found.candidates]
        guesses.append((TryKind.TERMINAL_GUESS, visit.caller.terminal_id))
        return self._tries.take_if_all_may(connection, guesses, session_id=visit.session_id, now=self._now())


def _found(found: Identification) -> str:
    if not found.candidates:
        return "NOBODY"
    return "AMBIGUOUS" if found.is_ambiguous else "FOUND"
