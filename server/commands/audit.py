"""`shualian audit`: is the audit trail the one that was written?"""

from typing import Annotated

import typer

from device_registry.audit import AuditReport
from server.commands.domain import reading
from server.commands.mistakes import ExitCode
from server.commands.output import Json, console, plain, print_json
from server.commands.session import session_of

app = typer.Typer(name="audit", help="The audit trail.", no_args_is_help=True, add_completion=False)


@app.callback()
def audit() -> None:
    """The audit trail."""


@app.command("verify")
def verify(
    context: typer.Context,
    *,
    entries: Annotated[int | None, typer.Option("--known-entries", help="Entries of an earlier report.", min=1)] = None,
    head: Annotated[
        str | None, typer.Option("--known-head", help="Head of that report; finds entries cut off since.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Walk the hash chain; exit code 1 when it is broken. Note entries and head somewhere else, for the next time."""
    known = AuditReport(entries=entries, head=head, broken_at=None) if entries and head else None
    with reading(session_of(context)) as (domain, connection):
        report = domain.audit.verify(connection, known=known)
    ok = report.broken_at is None
    if as_json:
        print_json({"ok": ok, **plain(report)})
    else:
        state = "[green]unbroken[/]" if ok else f"[red]broken at entry {report.broken_at}[/]: {report.detail}"
        console().print(f"{report.entries} entries, {state}\nhead {report.head}")
    if not ok:
        raise typer.Exit(ExitCode.REFUSED)
