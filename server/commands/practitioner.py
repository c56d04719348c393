"""`shualian practitioner`: staff who may confirm with their face. Codes and names are never printed in full."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.domain import open_domain, reading, transaction
from server.commands.options import Json, Reason
from server.commands.output import console, show_list, show_record
from server.commands.session import session_of

app = typer.Typer(
    name="practitioner", help="Staff who confirm with face and place.", no_args_is_help=True, add_completion=False
)

Who = Annotated[str, typer.Argument(metavar="PRACTITIONER", help="Id of the practitioner.")]


@app.command("add")
def add(
    context: typer.Context,
    *,
    code: Annotated[
        str, typer.Option("--code", prompt=True, help="Code in the national register; asked for when left out.")
    ],
    name: Annotated[str, typer.Option("--name", prompt=True, help="Full name; asked for when left out.")],
    site: Annotated[str, typer.Option("--site", help="Id of the site where they work.")],
    portrait: Annotated[
        Path,
        typer.Option("--portrait", help="JPEG of the face; a template is kept, the picture is not.", dir_okay=False),
    ],
    as_json: Json = False,
) -> None:
    """Add a practitioner of a site; they confirm at its terminals alone, and only when its place is known."""
    session = session_of(context)
    with open_domain(session) as domain:
        template = domain.faces().enroll(portrait.read_bytes())
        with domain.engine.begin() as connection:
            added = domain.practitioners.add(
                connection, code=code, name=name, site_id=site, template=template, actor=session.actor
            )
            has_place = domain.registry.site(connection, site).radius_metres is not None
    show_record(added, as_json=as_json, title="Practitioner added", leave_out=("removed_at",))
    if not has_place and not as_json:
        console().print(
            "Nobody has said where the site stands, so nobody can confirm there yet: "
            "`shualian site update SITE --latitude ... --longitude ... --reason ...`.",
            style="yellow",
        )


@app.command("show")
def show(context: typer.Context, *, practitioner_id: Who, as_json: Json = False) -> None:
    """Show a practitioner, masked."""
    with reading(session_of(context)) as (domain, connection):
        found = domain.practitioners.get(connection, practitioner_id)
    show_record(found, as_json=as_json)


@app.command("list")
def list_practitioners(
    context: typer.Context,
    *,
    site: Annotated[str, typer.Option("--site", help="Only those of this site.")] = "",
    as_json: Json = False,
) -> None:
    """List who is in service."""
    with reading(session_of(context)) as (domain, connection):
        found = domain.practitioners.of_site(connection, site or None)
    columns = ("practitioner_id", "masked_name", "site_id", "added_at")
    empty = "Nobody may confirm yet. Add somebody with `shualian practitioner add`."
    show_list("practitioners", found, columns=columns, as_json=as_json, empty=empty)


@app.command("remove")
def remove(context: typer.Context, *, practitioner_id: Who, reason: Reason, as_json: Json = False) -> None:
    """Put a practitioner out of service and delete the face template; what they confirmed stays written down."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        gone = domain.practitioners.remove(connection, practitioner_id, actor=session.actor, reason=reason)
    show_record(gone, as_json=as_json, title="Practitioner removed")
