"""Did it happen within so many seconds, however little of them the machine has left for this process?"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
TURN_SECONDS = 0.01


async def within(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of it; that it takes longer is a failed test.

    The clock are short pauses of the event loop itself. Where the machine is busy with other things every pause is
    longer, and so is the bound: what is measured is how long the work waits of its own accord.

    Raises:
        TimeoutError: it took longer.
    """
    task = asyncio.ensure_future(work)
    for _ in range(round(seconds / TURN_SECONDS)):
        done, _ = await asyncio.wait([task], timeout=TURN_SECONDS)
        if done:
            return task.result()
    task.cancel()
    raise TimeoutError
