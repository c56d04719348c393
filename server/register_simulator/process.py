"""How does the simulated register run as a process? On this machine alone, until it is told to stop."""

import asyncio
import contextlib
import json
import signal
import socket
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


async def serve(app: Starlette, *, host: str, port: int, ready_file: Path | None) -> None:
    """Serve until SIGINT or SIGTERM; the ready file, JSON with `address`, is written once somebody may ask."""
    listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    shown = f"[{host}]" if ":" in host else host
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
    )
    serving = asyncio.create_task(_quiet(server, listening))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    if ready_file is not None:
        written = ready_file.with_suffix(".new")
        written.write_text(json.dumps({"address": f"{shown}:{listening.getsockname()[1]}"}), encoding="utf-8")
        written.replace(ready_file)
    await serving


async def _quiet(server: uvicorn.Server, listening: socket.socket) -> None:
    with contextlib.closing(listening):
        await server.serve(sockets=[listening])
