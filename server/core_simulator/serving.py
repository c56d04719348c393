"""How does the core run as a process? One port for the envelope and for /sim/, until SIGTERM."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.core_simulator.books import Books
from server.core_simulator.control import Control
from server.core_simulator.core import Core
from server.core_simulator.exchange import HANG_UP, Exchange
from server.core_simulator.script import Script

STOP_SECONDS: Final = 1
"""How long answers that are under way, or late by script, may still take when the process is told to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Where the core listens."""

    address: str
    """With scheme and port."""
    pid: int


def serve(
    *, core: Core, books: Books, script: Script, host: str, port: int, ready_file: Path | None,
    on_ready: Callable[[Ready], None],
) -> None:  # fmt: skip
    """Run until SIGTERM or Ctrl-C.

    Args:
        core: what answers.
        books: its books; closed at the end.
        script: how it misbehaves at first.
        host: where to listen.
        port: likewise; 0 is any free one.
        ready_file: gets what `on_ready` gets, as JSON, once it listens.
        on_ready: told where it listens.
    """
    listening = _bound(host, port)
    ready = Ready(address=_address(listening), pid=os.getpid())

    def tell() -> None:
        if ready_file is not None:
            _write(ready_file, asdict(ready))
        on_ready(ready)

    exchange = Exchange(core, script)
    try:
        asyncio.run(_serve(application(books, exchange), listening, tell))
    finally:
        exchange.close()
        books.close()


def application(books: Books, exchange: Exchange) -> Starlette:
    """Return every page: /sim/ to look and steer, any other path for the envelope."""
    return Starlette(
        routes=[
            *Control(books=books, exchange=exchange).routes(),
            Route("/{path:path}", exchange.answer, methods=["POST"]),
        ]
    )


async def _serve(app: Starlette, listening: socket.socket, on_started: Callable[[], None]) -> None:
    config = uvicorn.Config(
        app, http=_Protocol, ws="none", log_config=None, access_log=False, lifespan="off",
        timeout_graceful_shutdown=STOP_SECONDS,
    )  # fmt: skip
    server = _Server(config, on_started)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.leave)
    await server.serve(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=512)
    # Connections inherit it. Else an answer, written in two pieces, waits 40 ms for the other side's acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write the file whole or not at all: somebody is waiting for it to appear."""
    half = path.with_suffix(path.suffix + ".part")
    half.write_text(json.dumps(content), encoding="utf-8")
    half.replace(path)


class _Server(uvicorn.Server):
    """Says when it answers, and leaves the signals to `_serve`."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_started: Final = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    def leave(self) -> None:
        """Stop in good order."""
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal."""
        yield


class _Protocol(H11Protocol):
    """HTTP that can also hang up: the one thing ASGI has no word for."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base has it
        """Hand every request the means to close its connection."""
        super().connection_made(transport)
        self.app = _with_hang_up(self.app, transport)


def _with_hang_up(app: ASGIApp, transport: asyncio.Transport) -> Any:  # noqa: ANN401 - uvicorn's own type of an application
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("extensions", {})[HANG_UP] = transport.abort
        await app(scope, receive, send)

    return wrapped
