"""How do many readers share memory with one writer? They look together, and stand aside while it changes something."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Turns:
    """Any number may read at once; a writer is alone. A waiting writer goes before those who come after it."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._reading = 0
        self._writers = 0
        """Those who write or wait to."""
        self._is_writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold what is read as it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._writers == 0)
            self._reading += 1
        try:
            yield
        finally:
            with self._changed:
                self._reading -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be alone."""
        with self._changed:
            self._writers += 1
            self._changed.wait_for(lambda: self._reading == 0 and not self._is_writing)
            self._is_writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writers -= 1
                self._is_writing = False
                self._changed.notify_all()
