"""Is every revocation on record outside the database, and does the database still have each of them?

The witness is written before the operator who revoked is answered, by each process that hears of a revocation, and by
a job that looks every few seconds. When the database turns out to lack what the witness has, terminals are let in no
more until `shualian revocation reapply`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import structlog
from sqlalchemy import Connection

from device_registry.errors import (
    RegistryError,
    RevocationsRolledBackError,
    RevocationUnwitnessedError,
    WitnessBrokenError,
    WitnessError,
    WitnessUnwritableError,
)
from device_registry.operators.roles import Role
from device_registry.revocation.revocation_log import TOPIC_REVOCATION, Revocations
from device_registry.revocation.testimony import Testimony
from server.administration.permissions import needed_for
from server.interceptors.chain import Behaviour, Context, Method
from server.live.streams import LiveStreams
from server.store import Event, UnitOfWork

log = structlog.get_logger()

LOOKED_AT_EVERY = timedelta(seconds=5)
LOOKED_WITHIN = timedelta(seconds=1)
"""How long a decision waits for the look before it: a disk that does not answer must not hold up a revocation."""
KEPT_WITHIN = timedelta(seconds=5)
COMPARED_WITHIN = timedelta(minutes=1)


class WitnessKeeper:
    """Keeps the witness of one process's database, and the door shut when the two contradict each other.

    The file is touched on a thread of its own: a disk that does not answer holds up neither the writer nor a reader.
    """

    def __init__(self, *, unit_of_work: UnitOfWork, revocations: Revocations, streams: LiveStreams) -> None:
        self._unit_of_work = unit_of_work
        self._revocations = revocations
        self._streams = streams
        self._woken = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="witness")
        self._turn = asyncio.Lock()
        self._problem: RegistryError | None = None

    @property
    def refusal(self) -> RevocationsRolledBackError | None:
        """Why no terminal is let in, if so."""
        return self._problem if isinstance(self._problem, RevocationsRolledBackError) else None

    async def begin(self) -> None:
        """Compare all of both, and write what is missing; a platform whose database was set back does not start.

        One whose witness cannot be written does: to serve nobody would protect nobody.

        Raises:
            RevocationsRolledBackError: the database lacks revocations that it once had.
            WitnessMissingError, WitnessBrokenError: nobody can tell whether it does.
        """
        try:
            await self._asked(
                lambda testimony, connection: testimony.compare(connection).refuse_rolled_back(),
                within=COMPARED_WITHIN,
                late=WitnessBrokenError,
            )
            await self.keep()
        except WitnessUnwritableError as error:
            log.error("witness_unwritable", error=str(error))  # noqa: TRY400 - the text says it all

    async def keep(self) -> None:
        """Write what the witness does not have yet.

        Raises:
            RevocationsRolledBackError, WitnessError: as above; a rollback also shuts the door.
        """
        await self._asked(lambda testimony, connection: testimony.keep(connection), within=KEPT_WITHIN)
        self._problem = None

    async def look(self) -> None:
        """Look at the file before something is decided, so that the writer need not: it compares with what this saw."""

        def looked(testimony: Testimony, connection: Connection) -> None:
            testimony.begin(connection)
            testimony.look(connection).refuse_rolled_back()

        with suppress(RevocationsRolledBackError, WitnessError):  # remembered; who decides is refused where he must be
            await self._asked(looked, within=LOOKED_WITHIN)

    async def vouch(self, *, entries_before: int) -> None:
        """Return when everything that was revoked is on record outside; also what an earlier call left behind.

        Raises:
            RevocationUnwitnessedError: it is in force, and not known to be on record.
        """
        try:
            await self.keep()
        except (RevocationsRolledBackError, WitnessError) as error:
            entries, testimony = await self.head(), self._revocations.testimony
            seen = (testimony.entries_seen if testimony else None) or 0
            if entries != entries_before or entries > seen:
                raise RevocationUnwitnessedError(detail=f"{error.reason}: {error}") from error

    async def keep_when_woken(self) -> None:
        """Wait for a revocation, or a few seconds, and write; one round of the background job."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOKED_AT_EVERY.total_seconds()):
                await self._woken.wait()
        self._woken.clear()
        await self.keep()

    async def on_events(self, events: Sequence[Event]) -> None:
        """Have the witness written soon when something was revoked, in this process or another."""
        if any(event.topic == TOPIC_REVOCATION for event in events):
            self._woken.set()

    async def agrees(self) -> bool:
        """Return whether the database has everything that the witness has, as far as we know; a readiness check."""
        return self.refusal is None

    async def is_witnessed(self) -> bool:
        """Return whether the last look found nothing wrong; a warning, for the platform serves on without a witness."""
        return self._problem is None

    async def head(self) -> int:
        """Return how many revocations the database has."""
        number, _ = await self._unit_of_work.read(self._revocations.head)
        return number

    def close(self) -> None:
        """Begin no further look; one that hangs is not waited for."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _asked(
        self,
        question: Callable[[Testimony, Connection], object],
        *,
        within: timedelta,
        late: type[WitnessError] = WitnessUnwritableError,
    ) -> None:
        """Ask on the witness's thread, and remember what is wrong. A rollback is forgotten by `keep` alone."""
        testimony = self._revocations.testimony
        if testimony is None:
            return
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._in_turn(lambda connection: question(testimony, connection))
        except TimeoutError as error:
            silent = late(path=testimony.witness.path, detail="does not answer")
            self._problem = self.refusal or silent
            raise silent from error
        except RevocationsRolledBackError as error:
            if self.refusal is None:
                log.critical("revocations_rolled_back", error=str(error))
            self._problem = error
            for stream in self._streams.all():
                stream.end(error)
            raise
        except WitnessError as error:
            self._problem = self.refusal or error
            raise

    async def _in_turn(self, question: Callable[[Connection], object]) -> None:
        await self._turn.acquire()
        asking = asyncio.ensure_future(self._unit_of_work.read_beside(self._thread, question))
        asking.add_done_callback(self._answered)  # not when the caller gives up: the thread is still at it
        await asyncio.shield(asking)

    def _answered(self, asking: asyncio.Future[object]) -> None:
        self._turn.release()
        if not asking.cancelled():
            asking.exception()  # looked at, so that nobody complains when the one who asked has left


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
            await self._keeper.look()
            before = await self._keeper.head()
            answer = await inner(request, context)
            await self._keeper.vouch(entries_before=before)
            return answer

        return witnessed
