"""What runs beside the calls: each job watched, and begun again when it fails."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import structlog

from server.interceptors.errors import where_from

log = structlog.get_logger()

PAUSE = timedelta(seconds=1)
"""Between the failure of a job and its next try."""


class Background:
    """Jobs that are to run for as long as the platform does."""

    def __init__(self, *, jobs: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin all of them."""
        self._tasks = [asyncio.create_task(_kept_running(name, job), name=name) for name, job in self._jobs.items()]

    async def stop(self) -> None:
        """End all of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []


async def _kept_running(name: str, job: Callable[[], Awaitable[None]]) -> None:
    """Run a job; when it fails, say so and begin again. A job that returns is done."""
    while True:
        try:
            await job()
        except Exception as error:  # noqa: BLE001  # whatever it is, the platform goes on without it, and is told
            log.error("job_failed", job=name, **where_from(error))  # noqa: TRY400  # no message: it may hold data
            await asyncio.sleep(PAUSE.total_seconds())
        else:
            return
