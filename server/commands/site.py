"""`shualian site`: the designated institutions where terminals stand."""

from typing import Annotated

import typer

from device_registry.model import SiteKind
from server.commands.domain import reading, transaction
from server.commands.output import Json, show_list, show_record
from server.commands.session import session_of

app = typer.Typer(name="site", help="Hospitals, clinics and pharmacies.", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Option("--name", help="Name of the institution.")]
Region = Annotated[str, typer.Option("--region", help="Region (统筹区) it belongs to, e.g. 110000.")]
Kind = Annotated[SiteKind, typer.Option("--kind", help="What it is.", case_sensitive=False)]


@app.command("add")
def add(context: typer.Context, *, name: Name, region: Region, kind: Kind, as_json: Json = False) -> None:
    """Add a site."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        site = domain.registry.add_site(connection, name=name, region=region, kind=kind, actor=session.actor)
    show_record(site, as_json=as_json, title="Site added")


@app.command("list")
def list_sites(context: typer.Context, *, as_json: Json = False) -> None:
    """List the sites."""
    with reading(session_of(context)) as (domain, connection):
        sites = domain.registry.sites(connection)
    columns = ("site_id", "name", "region", "kind")
    show_list("sites", sites, columns=columns, as_json=as_json, empty="No site yet. Add one with `shualian site add`.")
