"""Where proofs of strangers are checked: on a thread of their own, not in the event loop and not by the one writer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final, TypeVar

from device_registry.errors import TooManyChallengesError

T = TypeVar("T")
WAITING_MAX: Final = 64
"""Checks that may be under way; each takes a few milliseconds, so that nobody waits for long."""
_RETRY_AFTER: Final = timedelta(seconds=1)


class ProofChecks:
    """Runs checks of signatures and certificates one after the other, and refuses when too many wait (I11)."""

    def __init__(self, *, waiting_max: int = WAITING_MAX) -> None:
        self._waiting_max: Final = waiting_max
        self._waiting = 0
        # One thread: however many strangers knock, they take one processor's share and no more.
        self._executor: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="proof-check")

    async def run(self, check: Callable[[], T]) -> T:
        """Return what a check returns, or raise what it raises.

        Raises:
            TooManyChallengesError: so many wait that this one was not looked at.
        """
        if self._waiting >= self._waiting_max:
            raise TooManyChallengesError(retry_after=_RETRY_AFTER)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, check)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True, cancel_futures=True)
