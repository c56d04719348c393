"""`shualian config`: what is set, from file and environment together."""

import typer

from server.commands.options import Json
from server.commands.output import console, plain, print_json
from server.commands.session import session_of

app = typer.Typer(name="config", help="The configuration.", no_args_is_help=True, add_completion=False)


@app.callback()
def config() -> None:
    """The configuration."""


@app.command("show")
def show(context: typer.Context, *, as_json: Json = False) -> None:
    """Show every setting as it is in force; secrets are files, so none is shown."""
    shown = plain(session_of(context).config)
    if as_json:
        print_json(shown)
        return
    out = console()
    for key, value in shown.items():
        if isinstance(value, dict):
            out.print(f"\n[bold]\\[{key}][/]")
            for inner, setting in value.items():
                out.print(f"{inner} = {setting}", markup=False)
        else:
            out.print(f"{key} = {value}", markup=False)
