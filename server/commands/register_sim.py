"""`shualian register-sim`: a register of made-up people, for desks and tests."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from server.commands.mistakes import CommandError, ExitCode
from server.register_simulator.app import application
from server.register_simulator.people import SimulatorInputError, register_from
from server.register_simulator.process import HERE, serve

app = typer.Typer(name="register-sim", add_completion=False)


@app.command("register-sim")
def register_sim(
    *,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where it answers, on this machine; port 0: any.")
    ] = "127.0.0.1:0",
    people: Annotated[
        Path | None,
        typer.Option("--people", help="TOML file with [[people]]: id_number, name, region, portrait, guardians."),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option("--script", help="TOML file: mode (up, down, slow, garbled, other-person), delay_ms."),
    ] = None,
    token_file: Annotated[Path | None, typer.Option("--token-file", help="Bearer token that it asks for.")] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", help="Written as JSON with `address` once it answers.")
    ] = None,
) -> None:
    """Run a register of people that is made up, and that fails when it is told to."""
    host, _, port = listen.rpartition(":")
    if host.strip("[]") not in HERE or not port.isdigit():
        raise CommandError(
            "It listens on this machine alone.", next="Use --listen 127.0.0.1:0, or another port.", code=ExitCode.USAGE
        )
    try:
        register = register_from(people, script)
        token = token_file.read_text(encoding="utf-8").strip() if token_file is not None else ""
    except (SimulatorInputError, OSError) as error:
        raise CommandError(str(error), next="Mend the file and start again.", code=ExitCode.USAGE) from error
    typer.echo(f"register-sim: {len(register)} people", err=True)
    asyncio.run(serve(application(register, token=token), host=host.strip("[]"), port=int(port), ready_file=ready_file))
