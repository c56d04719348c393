"""How does the simulated register run as a process? On this machine alone, until it is told to stop."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Final

from starlette.applications import Starlette

from server.http import HttpServer

HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


async def serve(app: Starlette, *, host: str, port: int, ready_file: Path | None) -> None:
    """Serve until SIGINT or SIGTERM; the ready file, JSON with `address`, is written once somebody may ask."""
    server, told = HttpServer(app, address=host, port=port), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    server.start()
    if ready_file is not None:
        shown = f"[{host}]" if ":" in host else host
        written = ready_file.with_suffix(".new")
        written.write_text(json.dumps({"address": f"{shown}:{server.port}"}), encoding="utf-8")
        written.replace(ready_file)
    await told.wait()
    await server.stop()
