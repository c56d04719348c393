"""`shualian ticket`: what a technician brings to terminals that nobody registered."""

from datetime import timedelta
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from server.commands.options import Json, Reason
from server.commands.output import console, print_json, show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from server.services.admin.convert import moment
from shualian.admin.v1 import ticket_pb2 as pb
from shualian.admin.v1.ticket_pb2_grpc import TicketServiceStub

app = typer.Typer(name="ticket", help="Installer tickets.", no_args_is_help=True, add_completion=False)


_COLUMNS = ("ticket_id", "region", "terminals_left", "terminals_max", "issued_by", "expires_at", "revoked_at")


@app.command("issue")
def issue(
    context: typer.Context,
    *,
    region: Annotated[str, typer.Option("--region", help="Region (统筹区) of the sites it is for.")],
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many terminals it lets in.")],
    hours: Annotated[int, typer.Option("--hours", min=1, max=72, help="How long it is good.")] = 8,
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Make a ticket; it is shown once and kept only as a hash."""
    lifetime = Duration()
    lifetime.FromTimedelta(timedelta(hours=hours))
    request = pb.IssueInstallerTicketRequest(region=region, terminals_max=count, lifetime=lifetime, reason=reason)
    with admin(session_of(context)) as api:
        issued = TicketServiceStub(api).IssueInstallerTicket(request)
    if as_json:
        fingerprint = issued.root_fingerprint_sha256
        print_json({**shown(issued.record), "ticket": issued.ticket, "root_fingerprint_sha256": fingerprint})
        return
    out = console()
    out.print(f"Installer ticket: [bold]{issued.ticket}[/]")
    until = f"{moment(issued.record.expires_at):%Y-%m-%d %H:%M} UTC"
    out.print(f"For {count} terminals in region {region}, until {until}. It is not shown again.")
    out.print(f"Root fingerprint: {issued.root_fingerprint_sha256}")


@app.command("list")
def list_tickets(context: typer.Context, *, as_json: Json = False) -> None:
    """List the tickets."""
    with admin(session_of(context)) as api:
        tickets = TicketServiceStub(api).ListInstallerTickets(pb.ListInstallerTicketsRequest()).tickets
    show_list("tickets", [shown(one) for one in tickets], columns=_COLUMNS, as_json=as_json, empty="No ticket yet.")


@app.command("revoke")
def revoke(
    context: typer.Context,
    *,
    ticket_id: Annotated[str, typer.Argument(metavar="TICKET_ID", help="Id of the ticket, from `ticket list`.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """End a ticket's life now; the terminals it let in stay."""
    with admin(session_of(context)) as api:
        request = pb.RevokeInstallerTicketRequest(ticket_id=ticket_id, reason=reason)
        revoked = TicketServiceStub(api).RevokeInstallerTicket(request).ticket
    show_record(shown(revoked), as_json=as_json, title="Ticket revoked")
