"""Where asynchronous services meet the synchronous database: one write or one read, awaited."""

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from server.store.backend import Listener, backend_named
from server.store.engine import open_reader
from server.store.errors import StoreBusyError, StoreFailedError, store_error_from
from server.store.writer import Batch, Job, Writer

T = TypeVar("T")
_SWITCH_INTERVAL = timedelta(microseconds=100)


@dataclass(slots=True, kw_only=True, eq=False)
class _WaitingJob(Job):
    """A job and the future its caller waits on."""

    future: asyncio.Future[Any]


class UnitOfWork:
    """Runs transactions for one event loop: writes on the writer thread, reads on a small pool of threads."""

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
            queue_length_max: writes, and likewise reads, that may wait; one more is StoreBusyError (I11).
            batch_max: transactions that may share one commit.
            readers: threads for reads.
            on_batch: told of every batch in the event loop, for whoever counts.
        """
        self._queue_length_max: Final = queue_length_max
        self._writer: Final = Writer(engine, batch_max=batch_max, deliver=self._deliver_from_thread)
        self._reading: Final = open_reader(engine)
        self._readers: Final = ThreadPoolExecutor(max_workers=readers, thread_name_prefix="store-reader")
        self._reads_waiting = 0
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
        self._readers.shutdown(wait=True)
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
        loop = self._enter()
        if self._reads_waiting >= self._queue_length_max:
            raise StoreBusyError(detail=f"{self._queue_length_max} reads are waiting")
        self._reads_waiting += 1
        try:
            return await loop.run_in_executor(self._readers, self._read, work)
        finally:
            self._reads_waiting -= 1

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
