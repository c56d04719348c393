"""Work beside the calls goes on whatever happens, and says when it last went well."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from server.background import Background, Job
from server.store import StoreBusyError

AT_ONCE = timedelta(0)


async def rounds_of(work: Callable[[], Awaitable[object]], *, until: asyncio.Event) -> tuple[list[str], list[Any]]:
    """Run one job until an event; return whom success was told of, and what was logged."""
    went_well: list[str] = []
    background = Background(jobs={"WORK": Job(work=work, every=AT_ONCE)}, on_success=went_well.append)
    with capture_logs() as logged:
        background.start()
        async with asyncio.timeout(30):
            await until.wait()
        await background.stop()
    return went_well, logged


@pytest.mark.parametrize(
    ("failure", "level", "reason"),
    [(StoreBusyError(detail="locked"), "warning", "STORE_BUSY"), (KeyError("林夏"), "error", None)],
)
async def test_a_job_that_fails_is_logged_and_done_again(failure: Exception, level: str, reason: str | None) -> None:
    rounds, enough = 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            raise failure
        if rounds == 4:
            enough.set()
            await asyncio.Event().wait()

    went_well, logged = await rounds_of(work, until=enough)

    assert went_well == ["WORK", "WORK"]
    (line,) = logged
    assert (line["event"], line["task"], line["log_level"], line.get("reason")) == (
        "task_failed",
        "WORK",
        level,
        reason,
    )
    assert "林夏" not in str(line)


async def test_jobs_do_not_wait_for_one_another_and_all_end_at_once() -> None:
    quick = asyncio.Event()
    ended: list[str] = []

    async def lasting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("lasting")

    async def once() -> None:
        quick.set()

    background = Background(
        jobs={"LASTING": Job(work=lasting, every=AT_ONCE), "QUICK": Job(work=once, every=timedelta(hours=1))},
        on_success=lambda _: None,
    )
    background.start()
    async with asyncio.timeout(30):
        await quick.wait()
        await background.stop()

    assert ended == ["lasting"]
