"""`shualian-terminal`: each verb of a terminal, with exit codes that a script can act on."""

import typer

from mock_terminal.leaving import Exit
from mock_terminal.verbs import credentials, faces, factory, identity, money, reconciling, till

app = typer.Typer(
    name="shualian-terminal",
    help="A medical-insurance terminal in software.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: " + ", ".join(f"{code.value} {code.name.lower()}" for code in Exit),
)

app.command()(identity.enroll)
app.command()(identity.run)
app.command()(identity.renew)
app.command()(money.pay)
app.command()(money.resume)
app.command()(reconciling.reconcile)
app.command()(till.till)
app.command()(till.journal)
app.command()(credentials.activate)
app.command()(credentials.code)
app.command("end-credential")(credentials.end)
app.add_typer(credentials.relatives)
app.command()(faces.face)
app.command()(faces.attack)
app.command()(faces.picture)
app.add_typer(factory.app)
