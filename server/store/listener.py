"""How does a replica hear at once what another one committed? A thread that waits on PostgreSQL's LISTEN."""

import selectors
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import psycopg

RETRY_AFTER: Final = timedelta(seconds=1)
"""Pause before a lost connection is made anew; followers poll meanwhile."""


class PostgresqlListener:
    """Calls `on_heard` in its own thread, after each notification, and after each connect because of what it missed.

    The thread waits on the socket itself, with epoll: `select` ends at file descriptor 1,024, and a platform with ten
    thousand terminals is far above it.
    """

    def __init__(
        self, *, connect: Callable[[], psycopg.Connection[Any]], channel: str, on_heard: Callable[[], None]
    ) -> None:
        self._connect: Final = connect
        self._channel: Final = channel
        self._on_heard: Final = on_heard
        self._closing = False
        self._wake, self._woken = socket.socketpair()
        self._thread: Final = threading.Thread(target=self._run, name="store-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and its connection."""
        self._closing = True
        self._wake.send(b"x")
        self._thread.join()
        self._wake.close()
        self._woken.close()

    def _run(self) -> None:
        while not self._closing:
            try:
                with self._connect() as connection:
                    self._listen(connection)
            except (psycopg.Error, OSError):
                self._wait(None, RETRY_AFTER.total_seconds())  # not silent: the followers' lag is watched

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(f"LISTEN {self._channel}".encode())
        self._on_heard()
        while not self._closing:
            self._wait(connection.pgconn.socket)
            connection.pgconn.consume_input()
            heard = False
            while connection.pgconn.notifies() is not None:
                heard = True
            if heard:
                self._on_heard()

    def _wait(self, descriptor: int | None, seconds: float | None = None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            if descriptor is not None:
                selector.register(descriptor, selectors.EVENT_READ)
            selector.select(seconds)
