"""`shualian-terminal`: each verb of a terminal, with exit codes that a script can act on.

A verb's module is loaded when the verb is used: to enroll does not wait for what renders a face.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from mock_terminal.leaving import Exit

VERBS: Final[Mapping[str, str]] = {
    "enroll": "identity.enroll",
    "run": "identity.run",
    "renew": "identity.renew",
    "pay": "money.pay",
    "resume": "money.resume",
    "reconcile": "reconciling.reconcile",
    "till": "till.till",
    "journal": "till.journal",
    "activate": "credentials.activate",
    "code": "credentials.code",
    "end-credential": "credentials.end",
    "relatives": "credentials.relatives",
    "face": "faces.face",
    "attack": "faces.attack",
    "picture": "faces.picture",
    "factory": "factory.app",
}
"""Where each is in `mock_terminal.verbs`, in the order of `--help`: a function, or a `Typer` of several."""


class Verbs(TyperGroup):
    """The verbs, each loaded when it is asked for."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Return the names of all verbs."""
        return list(VERBS)

    def get_command(self, ctx: object, cmd_name: str) -> Any:  # noqa: ANN401, ARG002 - Typer's signature and its own class
        """Return one verb, or None when there is no such verb."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(".")
        verb = getattr(import_module(f"mock_terminal.verbs.{module}"), name)
        if isinstance(verb, typer.Typer):
            return typer.main.get_command(verb)
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command(cmd_name)(verb)
        return typer.main.get_command(alone)


app = typer.Typer(
    name="shualian-terminal",
    cls=Verbs,
    help="A medical-insurance terminal in software.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: " + ", ".join(f"{code.value} {code.name.lower()}" for code in Exit),
)


@app.callback()
def shualian_terminal() -> None:
    """A medical-insurance terminal in software."""
