"""How many small transactions share one durable commit (group commit).

One thread does all the writing. It takes every job that is waiting, runs each inside its own savepoint, commits once,
and only then hands out results: nothing is acknowledged that a power cut could take back. While one batch is being
committed the next one gathers, so batches grow by themselves under load and nobody waits for a timer.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from server.store.errors import StoreError, StoreFailedError, store_error_from
from server.store.events import take_announced

_OUR_FAULT = (IntegrityError, ProgrammingError)  # these say something about the statement, not about the database


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One transaction on its way: what to do, and after the commit what came of it."""

    work: Callable[[Connection], Any]
    is_abandoned: Callable[[], bool] = lambda: False
    """True when nobody waits any more; asked before the job starts, never after."""
    result: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A finished batch: committed, or failed as a whole with the same kind of error in every job."""

    jobs: Sequence[Job]
    committed: bool
    announced: bool
    """True when the batch wrote to the events table."""
    seconds: float
    """From the first statement to the acknowledged commit."""


class Writer:
    """The thread that writes."""

    def __init__(self, engine: Engine, *, batch_max: int, deliver: Callable[[Batch], None]) -> None:
        self._engine: Final = engine
        self._batch_max: Final = batch_max
        self._deliver: Final = deliver
        self._waiting: Final = queue.SimpleQueue[Job | None]()
        self._closing = False
        self._thread: Final = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job in the queue; never waits."""
        self._waiting.put(job)

    @property
    def queue_length(self) -> int:
        """How many jobs wait."""
        return self._waiting.qsize()

    def close(self) -> None:
        """Finish what is waiting, then end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while not self._closing:
            if jobs := self._next_jobs():
                self._deliver(self._run_batch(jobs))

    def _next_jobs(self) -> list[Job]:
        """Return all that is waiting, up to the bound; wait only for the first."""
        jobs: list[Job] = []
        job = self._waiting.get()
        while job is not None:
            if not job.is_abandoned():
                jobs.append(job)
            if len(jobs) >= self._batch_max:
                return jobs
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return jobs
        self._closing = True
        return jobs

    def _run_batch(self, jobs: Sequence[Job]) -> Batch:
        started = time.perf_counter()
        try:
            with self._engine.connect() as connection:
                with connection.begin():
                    _run_jobs(connection, jobs)
                announced = take_announced(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must hear of it and the thread must live
            for job in jobs:
                job.result, job.error = None, _failure_from(error)
            return Batch(jobs=jobs, committed=False, announced=False, seconds=time.perf_counter() - started)
        return Batch(jobs=jobs, committed=True, announced=announced, seconds=time.perf_counter() - started)


def _run_jobs(connection: Connection, jobs: Sequence[Job]) -> None:
    """Run each job in its own savepoint, so that one that fails leaves the others alone.

    Savepoints go straight to the driver: SQLAlchemy's nested transactions cost ten times as much. When the database has
    rolled back everything by itself (disk full) or a job has ended the transaction, the savepoint is gone, the next
    statement here fails, and with it the whole batch: nothing half-written is ever committed.
    """
    cursor = connection.connection.cursor()
    for job in jobs:
        cursor.execute("SAVEPOINT job")
        try:
            job.result = job.work(connection)
        except Exception as error:  # noqa: BLE001 - handed to the caller
            cursor.execute("ROLLBACK TO SAVEPOINT job")
            job.error = store_error_from(error) if _is_database_trouble(error) else error
        cursor.execute("RELEASE SAVEPOINT job")
    cursor.close()


def _is_database_trouble(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and not isinstance(error, _OUR_FAULT)


def _failure_from(error: Exception) -> StoreError:
    if isinstance(error, SQLAlchemyError) or hasattr(error, "sqlite_errorcode"):
        return store_error_from(error)
    failure = StoreFailedError(detail=f"the batch failed: {type(error).__name__}")
    failure.__cause__ = error
    return failure
