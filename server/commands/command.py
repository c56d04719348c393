"""`shualian command`: tell a terminal to do something; delivered at least once over its control stream."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from device_registry.commands import HEARTBEAT_INTERVAL
from device_registry.model import CommandAction
from server.commands.domain import reading, terminal_meant, transaction
from server.commands.output import Json, plain, show_list, show_record
from server.commands.session import session_of

app = typer.Typer(name="command", help="Commands to terminals.", no_args_is_help=True, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="TERMINAL", help="Id of the terminal, or its serial number.")]


@app.command("send")
def send(
    context: typer.Context,
    *,
    terminal: Id,
    action: Annotated[CommandAction, typer.Argument(case_sensitive=False, help="What to do.")],
    heartbeat_seconds: Annotated[
        float | None,
        typer.Option("--heartbeat-seconds", min=1, help="For SET_CONFIGURATION: new time between heartbeats."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Queue a command; a connected terminal gets it at once, others when they connect."""
    parameters = {} if heartbeat_seconds is None else {HEARTBEAT_INTERVAL: round(heartbeat_seconds * 1000)}
    session = session_of(context)
    with transaction(session) as (domain, connection):
        terminal_id = terminal_meant(domain, connection, terminal)
        queued = domain.registry.queue_command(
            connection, terminal_id=terminal_id, action=action, parameters=parameters, actor=session.actor
        )
    show_record(queued, as_json=as_json, title="Command queued")


@app.command("list")
def list_commands(context: typer.Context, *, terminal: Id, as_json: Json = False) -> None:
    """List a terminal's commands and how far they have come."""
    now = datetime.now(UTC)
    with reading(session_of(context)) as (domain, connection):
        commands = domain.registry.commands(connection, terminal_meant(domain, connection, terminal))
    rows = [{**plain(command), "state": command.state(now).value} for command in commands]
    columns = ("command_id", "action", "state", "times_sent", "outcome", "detail")
    show_list("commands", rows, columns=columns, as_json=as_json, empty="No command for this terminal.")
