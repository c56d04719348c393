"""`shualian bench`: how fast is it here, beside the yardsticks?"""

import subprocess
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json

app = typer.Typer(name="bench", add_completion=False)


@app.command("bench")
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="rpc, settle, face, face_load, face_memory, identification, handshakes, enrollments, fleet, "
            "revocation; all by default.",
        ),
    ] = None,
    *,
    quick: Annotated[
        bool, typer.Option("--quick", help="Two minutes in all, at the price of wider error bars.")
    ] = False,
    terminals: Annotated[
        int | None,
        typer.Option(min=10, max=50_000, help="How many are connected, for fleet and revocation."),
    ] = None,
    sessions: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="How many are held: at once for face_load, in all for face_memory."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure the platform beside its yardsticks, as `make bench` does; needs a checkout of the source."""
    if find_spec("bench") is None:
        raise CommandError(
            "The benchmarks are not part of the installed package.",
            next="Run this command in a checkout of the source, after `make setup`.",
            code=ExitCode.NOT_SET_UP,
        )
    flags = [flag for flag, wanted in (("--quick", quick), ("--json", as_json)) if wanted]
    if terminals is not None:
        flags += ["--terminals", str(terminals)]
    if sessions is not None:
        flags += ["--sessions", str(sessions)]
    done = subprocess.run([sys.executable, "-m", "bench", *(names or ()), *flags], check=False)  # noqa: S603 - our own module
    raise typer.Exit(done.returncode)
