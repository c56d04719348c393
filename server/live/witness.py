"""Is every revocation on record outside the database, and does the database still have each of them?

The witness is written before the operator who revoked is answered, by each process that hears of a revocation, and by
a job that looks every few seconds. When the database turns out to lack what the witness has, terminals are let in no
more until `shualian revocation reapply`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from device_registry.errors import RegistryError, RevocationsRolledBackError, RevocationUnwitnessedError, WitnessError
from device_registry.operators.roles import Role
from device_registry.revocation.revocation_log import TOPIC_REVOCATION, Revocations
from device_registry.revocation.testimony import Testimony
from server.administration.permissions import needed_for
from server.interceptors.chain import Behaviour, Context, Method
from server.live.streams import LiveStreams
from server.store import Event, UnitOfWork

log = structlog.get_logger()

T = TypeVar("T")

LOOKED_AT_EVERY = timedelta(seconds=5)


class WitnessKeeper:
    """Keeps the witness of one process's database, and the door shut when the two contradict each other."""

    def __init__(self, *, unit_of_work: UnitOfWork, revocations: Revocations, streams: LiveStreams) -> None:
        self._unit_of_work = unit_of_work
        self._revocations = revocations
        self._streams = streams
        self._woken = asyncio.Event()
        self._problem: RegistryError | None = None

    @property
    def refusal(self) -> RevocationsRolledBackError | None:
        """Why no terminal is let in, if so."""
        return self._problem if isinstance(self._problem, RevocationsRolledBackError) else None

    async def begin(self) -> None:
        """Compare all of both, and write what is missing; a platform whose database was set back does not start.

        Raises:
            RevocationsRolledBackError: the database lacks revocations that it once had.
            WitnessError: the witness is missing, damaged or cannot be written.
        """
        await self._asked(lambda testimony, connection: testimony.compare(connection).refuse_rolled_back())
        await self.keep()

    async def keep(self) -> None:
        """Write what the witness does not have yet.

        Raises:
            RevocationsRolledBackError, WitnessError: as above; a rollback also shuts the door.
        """
        try:
            await self._asked(lambda testimony, connection: testimony.keep(connection))
        except RevocationsRolledBackError as error:
            if self.refusal is None:
                log.critical("revocations_rolled_back", error=str(error))
            self._problem = error
            for stream in self._streams.all():
                stream.end(error)
            raise
        except WitnessError as error:
            self._problem = error
            raise
        self._problem = None

    async def keep_when_woken(self) -> None:
        """Wait for a revocation, or a few seconds, and write; one round of the background job."""
        try:
            async with asyncio.timeout(LOOKED_AT_EVERY.total_seconds()):
                await self._woken.wait()
        except TimeoutError:
            pass
        self._woken.clear()
        await self.keep()

    async def on_events(self, events: Sequence[Event]) -> None:
        """Have the witness written soon when something was revoked, in this process or another."""
        if any(event.topic == TOPIC_REVOCATION for event in events):
            self._woken.set()

    async def is_witnessed(self) -> bool:
        """Return whether the last look found nothing wrong; a readiness check."""
        return self._problem is None

    async def head(self) -> int:
        """Return how many revocations the database has."""
        number, _ = await self._unit_of_work.read(self._revocations.head)
        return number

    async def _asked(self, question: Callable[[Testimony, Connection], T]) -> T | None:
        testimony = self._revocations.testimony
        if testimony is None:
            return None
        return await self._unit_of_work.read(lambda connection: question(testimony, connection))


def in_turn(*followers: Callable[[Sequence[Event]], Awaitable[None]]) -> Callable[[Sequence[Event]], Awaitable[None]]:
    """Return a follower of events that hands them to each of these, the first one first."""

    async def follow(events: Sequence[Event]) -> None:
        for follower in followers:
            await follower(events)

    return follow


class VouchLayer:
    """Refuses every call of a terminal while the database lacks revocations that it once had (I2, I10)."""

    def __init__(self, refusal: Callable[[], Exception | None]) -> None:
        self._refusal = refusal

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:  # noqa: ARG002 - the port's signature
        """Return `inner` with the question before it."""

        async def vouched(request: object, context: Context) -> object:
            if (refusal := self._refusal()) is not None:
                raise refusal
            return await inner(request, context)

        return vouched


class WitnessLayer:
    """Has a revocation on record outside the database before the operator who made it is answered."""

    def __init__(self, keeper: WitnessKeeper) -> None:
        self._keeper = keeper

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with the witness after it; what only looks has nothing to be witnessed."""
        if method.streams or needed_for(method.full_name) is Role.VIEWER:
            return inner

        async def witnessed(request: object, context: Context) -> object:
            before = await self._keeper.head()
            answer = await inner(request, context)
            if await self._keeper.head() != before:
                try:
                    await self._keeper.keep()
                except (RevocationsRolledBackError, WitnessError) as error:
                    raise RevocationUnwitnessedError(detail=f"{error.reason}: {error}") from error
            return answer

        return witnessed
