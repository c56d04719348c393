"""`shualian command`: tell a terminal to do something; delivered at least once over its control stream."""

from typing import Annotated, Any

import typer

from server.commands import orders
from server.commands.options import Json, TerminalId
from server.commands.output import show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import command_pb2 as pb
from shualian.admin.v1.command_pb2_grpc import CommandServiceStub

app = typer.Typer(name="command", help="Commands to terminals.", no_args_is_help=True, add_completion=False)

Action = Annotated[
    str, typer.Argument(metavar="ACTION", parser=orders.action_from_text, help=", ".join(orders.ACTIONS) + ".")
]


@app.command("send")
def send(
    context: typer.Context,
    *,
    terminal: TerminalId,
    action: Action,
    heartbeat_seconds: orders.Heartbeat = None,
    firmware: orders.Firmware = "",
    url: orders.Url = "",
    lifetime: orders.LifetimeOption = None,
    key: orders.Key = "",
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail.")] = "",
    as_json: Json = False,
) -> None:
    """Queue a command; a connected terminal gets it at once, others when they connect and it still applies."""
    asked = orders.order(action, heartbeat_seconds=heartbeat_seconds, firmware=firmware, url=url, lifetime=lifetime)
    request = pb.QueueCommandRequest(terminal=terminal, order=asked, reason=reason, idempotency_key=key)
    with admin(session_of(context)) as api:
        queued = CommandServiceStub(api).QueueCommand(request).command
    show_record(_row(queued), as_json=as_json, title="Command queued")


@app.command("list")
def list_commands(
    context: typer.Context,
    *,
    terminal: TerminalId,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 100,
    as_json: Json = False,
) -> None:
    """List a terminal's commands, newest first, and how far they have come."""
    with admin(session_of(context)) as api:
        found = CommandServiceStub(api).ListCommands(pb.ListCommandsRequest(terminal=terminal, limit=limit)).commands
    columns = ("command_id", "action", "state", "times_sent", "answer", "detail")
    rows = [_row(command) for command in found]
    show_list("commands", rows, columns=columns, as_json=as_json, empty="No command for this terminal.")


@app.command("cancel")
def cancel(
    context: typer.Context,
    *,
    command_id: Annotated[str, typer.Argument(metavar="COMMAND", help="Id of the command.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail.")],
    as_json: Json = False,
) -> None:
    """Take a command back; one that was sent may have been done nevertheless."""
    with admin(session_of(context)) as api:
        cancelled = (
            CommandServiceStub(api).CancelCommand(pb.CancelCommandRequest(command_id=command_id, reason=reason)).command
        )
    show_record(_row(cancelled), as_json=as_json, title="Command taken back")


def _row(command: pb.Command) -> dict[str, Any]:
    """Return a command as one flat record."""
    fields = shown(command)
    order = fields.pop("order")
    flat = {"command_id": fields.pop("command_id"), "terminal_id": fields.pop("terminal_id")}
    return {**flat, **{name: value for name, value in order.items() if value not in {None, ""}}, **fields}
