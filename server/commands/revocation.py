"""`shualian revocation`: what was taken from whom, and is it on record outside the database?"""

from typing import Annotated

import typer

from server.commands.mistakes import ExitCode
from server.commands.options import Json
from server.commands.output import console, print_json, show_list
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import revocation_pb2 as pb
from shualian.admin.v1.revocation_pb2_grpc import RevocationServiceStub

app = typer.Typer(
    name="revocation", help="The log of revocations and its witness.", no_args_is_help=True, add_completion=False
)

Reason = Annotated[str, typer.Option("--reason", help="Why, for the audit trail.")]
_STATES = {"AGREES": "green", "BEHIND": "yellow", "ROLLED_BACK": "bold red"}


@app.command("list")
def list_revocations(
    context: typer.Context,
    *,
    after: Annotated[int, typer.Option("--after", help="Entries above this number.", min=0)] = 0,
    limit: Annotated[int, typer.Option("--limit", help="How many at most; 0 for all.", min=0)] = 100,
    as_json: Json = False,
) -> None:
    """List the entries of the log, oldest first."""
    with admin(session_of(context)) as api:
        answers = RevocationServiceStub(api).ListRevocations(pb.ListRevocationsRequest(after=after, limit=limit))
        entries = [shown(answer.revocation) for answer in answers]
    show_list(
        "revocations",
        entries,
        columns=("entry_id", "recorded_at", "kind", "subject", "serial_number", "code", "certificate_serial"),
        as_json=as_json,
        empty="Nothing was ever revoked.",
    )


@app.command("witness")
def witness(
    context: typer.Context,
    *,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Write a lost or damaged witness anew from the database.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, with --rebuild.")] = "",
    as_json: Json = False,
) -> None:
    """Compare database and witness; exit code 1 when the database was set back."""
    if rebuild and not reason:
        raise typer.BadParameter("say why the witness is written anew", param_hint="--reason")
    with admin(session_of(context)) as api:
        stub = RevocationServiceStub(api)
        answer = (
            stub.RebuildWitness(pb.RebuildWitnessRequest(reason=reason))
            if rebuild
            else stub.VerifyWitness(pb.VerifyWitnessRequest())
        )
    _show(answer.witness, as_json=as_json)


@app.command("reapply")
def reapply(context: typer.Context, *, reason: Reason, as_json: Json = False) -> None:
    """Apply to a restored database every revocation that the witness has and the database lacks."""
    with admin(session_of(context)) as api:
        answer = RevocationServiceStub(api).Reapply(pb.ReapplyRequest(reason=reason))
    if not as_json:
        console().print(
            f"{answer.taken_over} revocations taken over: {answer.terminals_moved} terminals and "
            f"{answer.certificates_revoked} certificates; {answer.unknown} are unknown here."
        )
        if answer.issuer_missing:
            console().print(
                "[bold red]No issuing authority is active[/]: the one that was is revoked. "
                "Run `shualian ca prepare` and `shualian ca activate`."
            )
        _show(answer.witness, as_json=False)
        return
    print_json(shown(answer))


def _show(found: pb.Witness, *, as_json: bool) -> None:
    record = shown(found)
    state = str(record["state"])
    if as_json:
        print_json(record)
    else:
        out = console()
        out.print(f"Witness [bold]{found.path}[/]: [{_STATES.get(state, 'red')}]{state}[/]")
        out.print(
            f"{found.witness_entries} entries there, {found.database_entries} in the database, "
            f"alike up to entry {found.agree_until}."
        )
        if state == "ROLLED_BACK":
            out.print(
                "The database was set back. Apply the revocations again: `shualian revocation reapply --reason ...`"
            )
    if state == "ROLLED_BACK":
        raise typer.Exit(ExitCode.REFUSED)
