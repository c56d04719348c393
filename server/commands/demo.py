"""`shualian demo`: the main job end to end, as a story."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.session import session_of
from server.demo.narrator import JsonNarrator, Narrator, StoryTeller
from server.demo.play import play
from server.demo.story import STEPS

PAGE_WIDTH = 100
TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(name="demo", add_completion=False)


@app.command("demo")
def demo(
    context: typer.Context,
    *,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep logs, keys and database in this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run platform and terminals here, from an empty folder to a settled bill; exit code 1 if a step fails."""
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise CommandError(f"{keep} is not empty.", next="Name a new folder.", code=ExitCode.USAGE)
    config = session_of(context).config
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that what was started is stopped as well
    narrator: Narrator = JsonNarrator() if as_json else StoryTeller(_page())
    if not play(STEPS, narrator, models_dir=config.models_dir, models_manifest=config.models_manifest, keep=keep):
        raise typer.Exit(ExitCode.REFUSED)


def _page() -> Console:
    """Return the terminal, no wider than a story reads well."""
    console = Console(highlight=False)
    console.width = min(console.width, PAGE_WIDTH) if console.is_terminal else PAGE_WIDTH
    return console
