"""What runs beside the calls: work done again and again, and begun again when it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import structlog

from server.interceptors.errors import where_from

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work that is to be done for as long as the platform runs."""

    work: Callable[[], Awaitable[object]]
    """One round of it; it may also last, and then comes here only when it has failed."""
    every: timedelta
    """The rest between two rounds."""


class Background:
    """The jobs, each in a task of its own, so that none waits for another."""

    def __init__(self, *, jobs: Mapping[str, Job], on_success: Callable[[str], None]) -> None:
        """Take the jobs by name.

        Args:
            jobs: what to do.
            on_success: told the name of a job after each round that went well.
        """
        self._jobs = jobs
        self._on_success = on_success
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin all of them."""
        self._tasks = [asyncio.create_task(self._again_and_again(name), name=name) for name in self._jobs]

    async def stop(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _again_and_again(self, name: str) -> None:
        job = self._jobs[name]
        while True:
            if await _went_well(name, job):
                self._on_success(name)
            await asyncio.sleep(job.every.total_seconds())


async def _went_well(name: str, job: Job) -> bool:
    """Do one round. Whatever goes wrong is logged, and the platform goes on; the next round tries again."""
    try:
        await job.work()
    except Exception as error:  # noqa: BLE001  # as the sentence above says
        reason = getattr(error, "reason", None)
        if reason is None:  # nobody expected it: no text, for it may hold data
            log.error("task_failed", task=name, **where_from(error))  # noqa: TRY400  # as above
        else:
            log.warning("task_failed", task=name, reason=reason, error=str(error))
        return False
    return True
