"""`shualian serve`: every listener in one process."""

import gc
from pathlib import Path
from typing import Annotated

import typer

from monitoring.logs import configure_logs
from server.commands.output import console
from server.commands.session import session_of
from server.listeners import Ready
from server.listeners import serve as serve_until_stopped

app = typer.Typer(name="serve", add_completion=False)

ReadyFile = Annotated[
    Path | None,
    typer.Option(
        "--ready-file", help="Write a JSON file with the ports once ready; tests use it with port 0.", dir_okay=False
    ),
]


@app.command("serve")
def serve(context: typer.Context, *, ready_file: ReadyFile = None) -> None:
    """Run the platform until SIGTERM or Ctrl-C; running calls finish within limits.stop_grace."""
    config = session_of(context).config
    configure_logs(config.log.level.value)
    serve_until_stopped(config, ready_file=ready_file, on_ready=_up)


def _up(ready: Ready) -> None:
    """Tell, and keep the collector from what is there by now: it stays, and nobody waits while it is walked."""
    gc.freeze()
    _tell(ready)


def _tell(ready: Ready) -> None:
    """Say where the platform listens; everything else goes to the log, on standard error."""
    out = console()
    out.print(f"[bold]Shualian[/] is up, pid {ready.pid}. SIGTERM or Ctrl-C stops it in good order.")
    places = {
        "enrollment (TLS)": ready.enrollment,
        "terminals (mutual TLS)": ready.terminal,
        "operators (mutual TLS)": ready.admin,
        "metrics and health (HTTP)": ready.http,
        "diagnostics (unix socket)": ready.diagnostics,
    }
    for what, where in places.items():
        out.print(f"  {what:26} {where or 'switched off'}", markup=False)
