"""How many small transactions share one durable commit (group commit).

One thread does all the writing. It takes every job that is waiting, runs each inside its own savepoint, commits once,
and only then hands out results: nothing is acknowledged that a power cut could take back. While one batch is being
committed the next one gathers, so batches grow by themselves under load and nobody waits for a timer.

The write lock is the database's, and other processes (the CLI) need it too. A thread that never pauses would starve
them, so after a stretch without a pause it gives way for a moment.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from server.store.announcements import take_announced
from server.store.errors import StoreError, StoreFailedError, is_from_driver, store_error_from

GIVE_WAY_EVERY: Final = timedelta(milliseconds=100)
"""A stretch of batches without a pause; then the lock is free for a moment."""
GIVE_WAY_FOR: Final = timedelta(milliseconds=2)
"""That moment, and at the same time what counts as a pause: others look for the lock every 1 to 2 ms (engine.py)."""
_IN_JOB: Final = "shualian_in_job"
_OUR_FAULT = (
    DataError,
    IntegrityError,
    ProgrammingError,
)  # these say something about the statement, not about the database


class JobEndedTransactionError(Exception):
    """A job committed or rolled back the transaction that it shares with others; a bug of ours."""


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
        event.listen(engine, "commit", _refuse_commit_in_job)
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
        paused_at = time.perf_counter()
        while not self._closing:
            ended_at = time.perf_counter()
            if ended_at - paused_at > GIVE_WAY_EVERY.total_seconds():
                time.sleep(GIVE_WAY_FOR.total_seconds())
            jobs = self._next_jobs()
            if time.perf_counter() - ended_at >= GIVE_WAY_FOR.total_seconds():
                paused_at = time.perf_counter()
            if jobs:
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
                    try:
                        _run_jobs(connection, jobs)
                    except JobEndedTransactionError:
                        connection.connection.rollback()  # SQLAlchemy believes that it is over; the database does not
                        raise
                    finally:
                        connection.info.pop(_IN_JOB, None)
                announced = take_announced(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, every caller must hear of it and the thread must live
            for job in jobs:
                job.result, job.error = None, _failure_from(error)
            return Batch(jobs=jobs, committed=False, announced=False, seconds=time.perf_counter() - started)
        return Batch(jobs=jobs, committed=True, announced=announced, seconds=time.perf_counter() - started)


def _run_jobs(connection: Connection, jobs: Sequence[Job]) -> None:
    """Run each job in its own savepoint, so that one that fails leaves the others alone.

    Savepoints go straight to the driver: SQLAlchemy's nested transactions cost ten times as much. When the database has
    rolled back everything by itself (disk full), the savepoint is gone, the next statement here fails, and with it the
    whole batch. A job that ends the transaction through SQLAlchemy fails its batch too: its commit is refused before
    the database hears of it, its rollback is seen afterwards. So nothing is committed that is not acknowledged. A job
    that sends the word COMMIT itself is beyond this guard.

    Raises:
        JobEndedTransactionError: one of the jobs committed or rolled back what is not its own.
    """
    cursor = connection.connection.cursor()
    connection.info[_IN_JOB] = True
    for job in jobs:
        cursor.execute("SAVEPOINT job")
        try:
            job.result = job.work(connection)
            _refuse_ended(connection)
            # On PostgreSQL this refuses a job that hid a statement's failure and went on as if nothing had been.
            cursor.execute("RELEASE SAVEPOINT job")
        except JobEndedTransactionError:
            raise
        except Exception as error:  # noqa: BLE001 - one job's failure is its own, whatever it is
            _refuse_ended(connection, error)
            cursor.execute("ROLLBACK TO SAVEPOINT job")
            cursor.execute("RELEASE SAVEPOINT job")
            job.result = None
            job.error = store_error_from(error) if _is_database_trouble(error) else error
    cursor.close()


def _refuse_ended(connection: Connection, error: Exception | None = None) -> None:
    if not connection.in_transaction():
        raise JobEndedTransactionError from error


def _refuse_commit_in_job(connection: Connection) -> None:
    if connection.info.get(_IN_JOB):
        raise JobEndedTransactionError


def _is_database_trouble(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and not isinstance(error, _OUR_FAULT)


def _failure_from(error: Exception) -> StoreError:
    if isinstance(error, SQLAlchemyError) or is_from_driver(error):
        return store_error_from(error)
    failure = StoreFailedError(detail=f"the batch failed: {type(error).__name__}")
    failure.__cause__ = error
    return failure
