"""Where asynchronous services meet the synchronous database: one write or one read, awaited."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from server.store.backend import Listener, backend_named
from server.store.engine import open_reader
from server.store.errors import StoreBusyError, StoreFailedError, WalkUnderWayError, store_error_from
from server.store.writer import Batch, Job, Writer

T = TypeVar("T")
_SWITCH_INTERVAL = timedelta(microseconds=100)
WALK_PATIENCE = timedelta(seconds=1)
"""How long a walk waits for the one before it: the page of somebody's export passes by, a walk over everything not."""


@dataclass(slots=True, kw_only=True, eq=False)
class _WaitingJob(Job):
    """A job and the future its caller waits on."""

    future: asyncio.Future[Any]


class _ReadLane:
    """Threads for one kind of read, so that it waits for its own kind alone."""

    def __init__(self, *, threads: int, name: str, waiting_max: int) -> None:
        self.threads: Final = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name)
        self._waiting_max: Final = waiting_max
        self._waiting = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place among those that read or wait.

        Raises:
            StoreBusyError: all are taken (I11).
        """
        if self._waiting >= self._waiting_max:
            raise StoreBusyError(detail=f"{self._waiting_max} reads are waiting")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1


class UnitOfWork:
    """Runs transactions for one event loop: writes on the writer thread, reads on one of three lanes.

    `read` is what a call needs, on a small pool of threads. `read_at_once` is what decides whether anybody is let in,
    on a thread that does nothing else. `walk` is whatever goes through a table from end to end, one at a time: no
    number of these makes a terminal wait, and none keeps the registry from being followed.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        queue_length_max: int,
        batch_max: int,
        readers: int,
        on_batch: Callable[[Batch], None] = lambda _: None,
    ) -> None:
        """Take the engine; nothing runs before `start`.

        Args:
            engine: from `open_engine`, migrated.
            queue_length_max: writes, and likewise reads of each lane, that may wait; one more is StoreBusyError (I11).
            batch_max: transactions that may share one commit.
            readers: threads for `read`; the other two lanes have one each.
            on_batch: told of every batch in the event loop, for whoever counts.
        """
        self._queue_length_max: Final = queue_length_max
        self._writer: Final = Writer(engine, batch_max=batch_max, deliver=self._deliver_from_thread)
        self._reading: Final = open_reader(engine)
        self._readers: Final = _ReadLane(threads=readers, name="store-reader", waiting_max=queue_length_max)
        self._at_once: Final = _ReadLane(threads=1, name="store-at-once", waiting_max=queue_length_max)
        self._walkers: Final = _ReadLane(threads=1, name="store-walker", waiting_max=queue_length_max)
        self._walking: Final = asyncio.Lock()
        self._on_batch: Final = on_batch
        self._after_commit: Final[list[Callable[[], None]]] = []
        self._url: Final = engine.url
        self._backend: Final = backend_named(engine.dialect.name)
        self._listener: Listener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def start(self) -> None:
        """Start the writer thread, and have Python hand over between threads sooner, in the whole process.

        A thread that comes back from SQLite waits up to the switch interval for a busy event loop to let go, several
        times a statement. At Python's 5 ms a saturated loop left 129 transactions/s, at 0.1 ms 4,300 (idle: 15,000).
        """
        sys.setswitchinterval(min(sys.getswitchinterval(), _SWITCH_INTERVAL.total_seconds()))
        self._writer.start()

    def close(self) -> None:
        """Refuse new work, finish what is waiting, end the threads; call it from the event loop or after it."""
        if self._closed:
            return
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        self._writer.close()
        for lane in (self._readers, self._at_once, self._walkers):
            lane.threads.shutdown(wait=True)
        self._reading.dispose()

    @property
    def queue_length(self) -> int:
        """How many writes wait for the writer thread."""
        return self._writer.queue_length

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Have `callback` called in the event loop after each commit that announced an event.

        Commits of other processes are among them where the database tells us about those.
        """
        self._after_commit.append(callback)
        if self._listener is None:
            self._listener = self._backend.listen(self._url, self._heard_in_thread)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own and return its result once that is durable.

        An exception from `work` rolls back this transaction alone and is raised here. Work whose caller is cancelled
        before it began is dropped; after that it may commit without anyone hearing of it, as on any network.

        Raises:
            StoreBusyError: the queue is full, or another process holds the database.
            StoreFailedError: the database refused; nothing of this transaction is written.
        """
        loop = self._enter()
        if self._writer.queue_length >= self._queue_length_max:
            raise StoreBusyError(detail=f"{self._queue_length_max} writes are waiting")
        future: asyncio.Future[T] = loop.create_future()
        self._writer.submit(_WaitingJob(work=work, is_abandoned=future.cancelled, future=future))
        return await future

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a connection that cannot write, with one consistent view of what is committed.

        Raises:
            StoreBusyError: too many reads are waiting.
            StoreFailedError: the database refused.
        """
        return await self._read_on(self._readers, work)

    async def read_at_once(self, work: Callable[[Connection], T]) -> T:
        """Like `read`, for the short look-ups that letting terminals in depends on; they wait for each other alone."""
        return await self._read_on(self._at_once, work)

    async def walk(self, work: Callable[[Connection], T], *, patience: timedelta = WALK_PATIENCE) -> T:
        """Like `read`, for work that may take seconds; one at a time in this process, in the order they came.

        Args:
            work: the walk, or a page of one.
            patience: how long to wait for one's turn.

        Raises:
            WalkUnderWayError: another walk takes longer than that.
            StoreBusyError, StoreFailedError: as above.
        """
        loop = self._enter()
        with self._walkers.place():
            try:
                async with asyncio.timeout(patience.total_seconds()):
                    await self._walking.acquire()
            except TimeoutError as error:
                raise WalkUnderWayError from error
            walking = loop.run_in_executor(self._walkers.threads, self._read, work)
            # Not when the caller leaves: the thread goes on with the walk, and the next one must not queue behind it.
            walking.add_done_callback(lambda _: self._walking.release())
            return await asyncio.shield(walking)

    async def read_beside(self, threads: Executor, work: Callable[[Connection], T]) -> T:
        """Like `read`, on threads of the caller's own: for work that waits for something else than the database."""
        return await self._enter().run_in_executor(threads, self._read, work)

    async def _read_on(self, lane: _ReadLane, work: Callable[[Connection], T]) -> T:
        loop = self._enter()
        with lane.place():
            return await loop.run_in_executor(lane.threads, self._read, work)

    def _enter(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise StoreFailedError(detail="the store is closed")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    def _read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._reading.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            raise store_error_from(error) from error

    def _deliver_from_thread(self, batch: Batch) -> None:
        """Wake the event loop once for the whole batch."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return  # the callers are gone with their loop; what is committed stays committed
        loop.call_soon_threadsafe(self._deliver, batch)

    def _deliver(self, batch: Batch) -> None:
        for job in batch.jobs:
            if not isinstance(job, _WaitingJob) or job.future.done():
                continue
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
        self._on_batch(batch)
        if batch.announced:
            self._call_back()

    def _heard_in_thread(self) -> None:
        """Wake the event loop because another process may have announced something; a first look needs no waking."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._call_back)

    def _call_back(self) -> None:
        for callback in self._after_commit:
            callback()
