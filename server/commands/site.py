"""`shualian site`: the designated institutions where terminals stand."""

from typing import Annotated, Any

import typer

from device_registry.model import SiteKind
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json, Reason
from server.commands.output import show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub

app = typer.Typer(name="site", help="Hospitals, clinics and pharmacies.", no_args_is_help=True, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="SITE", help="Id of the site.")]
Name = Annotated[str, typer.Option("--name", help="Name of the institution.")]
Region = Annotated[str, typer.Option("--region", help="Region (统筹区) it belongs to, e.g. 110000.")]
Kind = Annotated[SiteKind, typer.Option("--kind", help="What it is.", case_sensitive=False)]
Latitude = Annotated[float | None, typer.Option("--latitude", help="Degrees north, for the fleet checks.")]
Longitude = Annotated[float | None, typer.Option("--longitude", help="Degrees east.")]
Radius = Annotated[int, typer.Option("--radius-metres", min=1, help="How far from there its terminals may be.")]
Hours = Annotated[str, typer.Option("--opening-hours", metavar="07:00-21:00", help="When it is open, every day.")]

RADIUS_METRES = 500


@app.command("add")
def add(
    context: typer.Context,
    *,
    name: Name,
    region: Region,
    kind: Kind,
    latitude: Latitude = None,
    longitude: Longitude = None,
    radius_metres: Radius = RADIUS_METRES,
    opening_hours: Hours = "",
    as_json: Json = False,
) -> None:
    """Add a site."""
    wanted = pb.AddSiteRequest(
        name=name,
        region=region,
        kind=pb.SiteKind.Value(f"SITE_KIND_{kind.name}"),
        place=_place(latitude, longitude, radius_metres),
        opening_hours=opening_hours,
    )
    with admin(session_of(context)) as api:
        site = RegistryServiceStub(api).AddSite(wanted).site
    show_record(_flat(site), as_json=as_json, title="Site added")


@app.command("update")
def update(
    context: typer.Context,
    *,
    site: Id,
    reason: Reason,
    name: Annotated[str, typer.Option("--name", help="New name.")] = "",
    kind: Annotated[SiteKind | None, typer.Option("--kind", case_sensitive=False, help="New kind.")] = None,
    latitude: Latitude = None,
    longitude: Longitude = None,
    radius_metres: Radius = RADIUS_METRES,
    opening_hours: Hours = "",
    as_json: Json = False,
) -> None:
    """Correct a site; what is not given stays. The region stays too: bills were settled under it."""
    wanted = pb.UpdateSiteRequest(
        site_id=site,
        name=name,
        kind=pb.SiteKind.Value(f"SITE_KIND_{kind.name if kind else 'UNSPECIFIED'}"),
        reason=reason,
        place=_place(latitude, longitude, radius_metres),
        opening_hours=opening_hours,
    )
    with admin(session_of(context)) as api:
        changed = RegistryServiceStub(api).UpdateSite(wanted).site
    show_record(_flat(changed), as_json=as_json, title="Site corrected")


@app.command("list")
def list_sites(context: typer.Context, *, as_json: Json = False) -> None:
    """List the sites."""
    with admin(session_of(context)) as api:
        sites = RegistryServiceStub(api).ListSites(pb.ListSitesRequest()).sites
    columns = ("site_id", "name", "region", "kind")
    empty = "No site yet. Add one with `shualian site add`."
    show_list("sites", [_flat(site) for site in sites], columns=columns, as_json=as_json, empty=empty)


def _place(latitude: float | None, longitude: float | None, radius_metres: int) -> pb.Place | None:
    if latitude is None and longitude is None:
        return None
    if latitude is None or longitude is None:
        raise CommandError(
            "A place has a latitude and a longitude.", next="Give both, or neither.", code=ExitCode.USAGE
        )
    return pb.Place(latitude=latitude, longitude=longitude, radius_metres=radius_metres)


def _flat(site: pb.Site) -> dict[str, Any]:
    """Return a site with its place side by side."""
    fields = shown(site)
    place = fields.pop("place") or {"latitude": None, "longitude": None, "radius_metres": None}
    return {**fields, **place, "opening_hours": fields["opening_hours"] or None}
