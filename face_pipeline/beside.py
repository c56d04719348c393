"""How does one step of a frame run beside another, when a processor is idle?"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Final, TypeVar

T = TypeVar("T")


class Beside:
    """Threads that take work off whoever looks at a frame. Safe to share.

    They never make anybody wait: work that no thread has begun when its result is wanted is done by whoever wants it.
    And they never work against anybody: where each processor has a frame of its own, two steps at once would only slow
    each other down, and everybody does their own work.
    """

    def __init__(self, threads: ThreadPoolExecutor | None = None, *, processors: int | None = None) -> None:
        """Take threads of somebody's, and how many of them can really run at once; by default what the machine has."""
        self._processors: Final = processors or os.cpu_count() or 1
        self._threads: Final = threads or ThreadPoolExecutor(self._processors, thread_name_prefix="face-beside")
        self._looking = 0
        self._lock: Final = Lock()

    @property
    def is_full(self) -> bool:
        """Whether each processor has a frame of its own."""
        return self._looking >= self._processors

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Say that the thread that runs this block looks at a frame."""
        with self._lock:
            self._looking += 1
        try:
            yield
        finally:
            with self._lock:
                self._looking -= 1

    def begin(self, work: Callable[[], T]) -> Callable[[], T]:
        """Begin some work; what is returned gives its result, or raises what the work raised. Call it once at most."""
        if self.is_full:
            return work
        begun = self._threads.submit(work)
        return lambda: work() if begun.cancel() else begun.result()
