"""How does one step of a frame run beside another, when a processor is idle?"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")


class Beside:
    """Threads that take work off whoever looks at a frame. Safe to share.

    They never make anybody wait: work that no thread has begun when its result is wanted is done by whoever wants it.
    """

    def __init__(self, threads: ThreadPoolExecutor | None = None) -> None:
        """Take threads of somebody's; by default as many of its own as are asked for at once."""
        self._threads: Final = threads or ThreadPoolExecutor(thread_name_prefix="face-beside")

    def begin(self, work: Callable[[], T]) -> Callable[[], T]:
        """Begin some work; what is returned waits for its result, or raises what the work raised."""
        begun = self._threads.submit(work)
        return lambda: work() if begun.cancel() else begun.result()
