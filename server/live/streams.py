"""Which streams are open, and whose: so that any of them can be ended at once from outside (I2)."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from device_registry.model import Standing
from server.caller import NoCallerError


class LiveStream:
    """One open stream of one terminal."""

    __slots__ = ("_ending", "_is_finished", "_on_ended", "_task", "method", "standing")

    def __init__(self, *, standing: Standing, method: str, task: asyncio.Task[object]) -> None:
        self.standing = standing
        self.method = method
        self._task = task
        self._ending: Exception | None = None
        self._is_finished = False
        self._on_ended: Callable[[], None] | None = None

    @property
    def is_ending(self) -> bool:
        """Whether somebody has ended it and the handler has not let go yet."""
        return self._ending is not None or self._is_finished

    def end(self, error: Exception, on_ended: Callable[[], None] | None = None) -> None:
        """End the stream with this error; the first reason stands.

        The handler's own task is cancelled and then answers from the error table. A status sent from another task
        would leave the handler running, and a bare cancellation would leave the client hanging.

        Args:
            error: what the caller is told, through the error table.
            on_ended: called when the handler has let go of the stream.
        """
        if not self.is_ending:
            self._ending = error
            self._on_ended = on_ended
            self._task.cancel()

    def finish(self) -> None:
        """End the stream in good order, with status OK."""
        if not self.is_ending:
            self._is_finished = True
            self._task.cancel()

    def taken_over(self) -> bool:
        """Return whether a cancellation of the handler was ours and its end is a good one.

        Raises:
            Exception: the one the stream was to be ended with.
        """
        if self._ending is not None:
            self._task.uncancel()
            raise self._ending from None
        if self._is_finished:
            self._task.uncancel()
        return self._is_finished

    def ended(self) -> None:
        """Tell whoever ended it that the handler has let go."""
        if self._on_ended is not None:
            self._on_ended()


_current: ContextVar[LiveStream | None] = ContextVar("shualian_live_stream", default=None)


def current_stream() -> LiveStream:
    """Return the stream that the current task serves.

    Raises:
        NoCallerError: it serves none.
    """
    stream = _current.get()
    if stream is None:
        raise NoCallerError
    return stream


class LiveStreams:
    """Every open stream of this process, by terminal."""

    def __init__(self) -> None:
        self._streams: dict[str, set[LiveStream]] = {}

    @contextmanager
    def opened(self, standing: Standing, method: str) -> Iterator[LiveStream]:
        """Keep the stream that the current task serves in the list while the block runs.

        Raises:
            Exception: the one given to `LiveStream.end`, in place of the cancellation that it caused.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a stream is served by a task")
        stream = LiveStream(standing=standing, method=method, task=task)
        _current.set(stream)
        mine = self._streams.setdefault(standing.terminal_id, set())
        mine.add(stream)
        try:
            yield stream
        except asyncio.CancelledError:
            if not stream.taken_over():
                raise
        finally:
            mine.discard(stream)
            if not mine and self._streams.get(standing.terminal_id) is mine:
                del self._streams[standing.terminal_id]
            stream.ended()

    def of(self, terminal_id: str) -> tuple[LiveStream, ...]:
        """Return the open streams of one terminal."""
        return tuple(self._streams.get(terminal_id, ()))

    def all(self) -> tuple[LiveStream, ...]:
        """Return every open stream."""
        return tuple(stream for streams in self._streams.values() for stream in streams)
