"""`shualian`: what can be asked of the platform from the command line, and how is it told when something goes wrong?

A verb's module is loaded when the verb is used, so that `shualian site list` does not wait for ONNX Runtime.
"""

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from typer.core import TyperGroup

from server.commands.mistakes import ExitCode, Mistake, explain
from server.commands.session import Session

VERBS: Final = (
    "serve", "ca", "operator", "site", "terminal", "maker", "firmware", "ticket", "fleet", "command", "rollout",
    "person", "practitioner", "face", "evaluate", "models", "ledger", "settlement", "reconciliation", "credit",
    "rules", "revocation", "audit", "config", "docs", "demo", "bench", "check", "core-sim", "register-sim",
)  # fmt: skip
"""Each is `app` in the module of `server.commands` with its name, in the order of `--help`."""

EPILOG: Final = "Exit codes: " + " · ".join(f"{code.value} {code.name.lower().replace('_', ' ')}" for code in ExitCode)


class Verbs(TyperGroup):
    """The verbs of the main command, each loaded when it is asked for."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Return the names of all verbs."""
        return list(VERBS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - Typer's signature and its own class
        """Return one verb, or None when there is no such verb."""
        if cmd_name not in VERBS:
            return None
        return typer.main.get_command(import_module(f"server.commands.{cmd_name.replace('-', '_')}").app)


app = typer.Typer(
    name="shualian",
    cls=Verbs,
    help="The platform side of medical-insurance face payment: terminals, faces, settlement.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it so
    if wanted:
        typer.echo(f"shualian {version('shualian')}")
        raise typer.Exit


@app.callback()
def shualian(
    context: typer.Context,
    *,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="TOML file with settings; SHUALIAN_SECTION_KEY variables win over it."
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="HOST:PORT",
            help="Speak to this platform's admin port; without it, to the one on this machine.",
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--as", metavar="FOLDER", help="Folder of the operator who speaks to a server.")
    ] = None,
    show_version: Annotated[  # noqa: ARG001 - answered by its callback
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Make the session that every verb asks for its configuration."""
    context.obj = Session(config_path=config, given_server=server, given_folder=folder)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; what goes wrong is told in a sentence, never as a traceback."""
    try:
        app(list(arguments), prog_name="shualian")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(ExitCode.REFUSED)
    except Exception as error:  # noqa: BLE001 - the last net: a sentence instead of a traceback
        return _tell(error, as_json="--json" in arguments)
    return int(ExitCode.OK)


def _tell(error: Exception, *, as_json: bool) -> int:
    mistake = explain(error)
    if mistake is None:
        import_module("server.commands.bugs").log_bug(error)
        mistake = Mistake(
            reason="BUG",
            message=f"Something unforeseen went wrong ({type(error).__name__}).",
            next="This is a mistake of ours: please report the log line above.",
            code=ExitCode.BUG,
        )
    if as_json:
        told = {"reason": mistake.reason, "message": mistake.message, "next": mistake.next}
        sys.stdout.write(json.dumps({"error": told}, ensure_ascii=False) + "\n")
        return int(mistake.code)
    out = Console(stderr=True, soft_wrap=not sys.stderr.isatty(), highlight=False)
    out.print("[bold red]Error:[/] ", end="")
    out.print(mistake.message, markup=False)
    out.print(mistake.next, markup=False)
    return int(mistake.code)
