"""`shualian terminal`: register, let in, look at, and lock out."""

from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from device_registry.model import Presence, TerminalClass, TerminalState
from server.commands import terminal_decisions, terminal_import, terminal_watch
from server.commands.asked import terminal_filter
from server.commands.options import Json, TerminalId
from server.commands.output import console, print_json, show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from server.services.admin.convert import moment
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub

app = typer.Typer(name="terminal", help="Terminals and their certificates.", no_args_is_help=True, add_completion=False)


@app.command("register")
def register(
    context: typer.Context,
    *,
    serial_number: Annotated[str, typer.Option("--serial", help="Serial number, as printed on the terminal.")],
    site_id: Annotated[str, typer.Option("--site", help="Id of the site where it stands.")],
    manufacturer: Annotated[str, typer.Option("--manufacturer", help="Who made it.")],
    model: Annotated[str, typer.Option("--model", help="The maker's name of the model.")],
    certification_number: Annotated[str, typer.Option("--certification", help="Certification number (认证编号).")],
    record_number: Annotated[str, typer.Option("--record", help="Terminal record number (终端备案号).")],
    terminal_class: Annotated[
        TerminalClass, typer.Option("--class", help="What it is certified for: I scans, II cards, III faces.")
    ] = TerminalClass.FACE,
    with_token: Annotated[bool, typer.Option("--with-token", help="Also make its one-time enrollment token.")] = False,
    as_json: Json = False,
) -> None:
    """Register a terminal; it then enrolls with a token."""
    wanted = pb.NewTerminal(
        serial_number=serial_number,
        site_id=site_id,
        manufacturer=manufacturer,
        model=model,
        terminal_class=pb.TerminalClass.Value(f"TERMINAL_CLASS_{terminal_class.name}"),
        certification_number=certification_number,
        record_number=record_number,
    )
    with admin(session_of(context)) as api:
        answer = RegistryServiceStub(api).RegisterTerminal(
            pb.RegisterTerminalRequest(terminal=wanted, with_token=with_token)
        )
    terminal = shown(answer.terminal)
    if as_json:
        token = shown(answer.token) if with_token else {}
        kept = ("token", "expires_at", "root_fingerprint_sha256")
        print_json({**terminal, **{name: value for name, value in token.items() if name in kept}})
        return
    show_record(terminal, as_json=False, title="Terminal registered", leave_out=("state_reason",))
    if with_token:
        _tell_token(answer.token)


@app.command("token")
def token(context: typer.Context, *, terminal: TerminalId, as_json: Json = False) -> None:
    """Make a one-time enrollment token; it is shown once and kept only as a hash."""
    with admin(session_of(context)) as api:
        made = RegistryServiceStub(api).IssueEnrollmentToken(pb.IssueEnrollmentTokenRequest(terminal=terminal)).token
    if as_json:
        print_json(shown(made))
        return
    _tell_token(made)


@app.command("list")
def list_terminals(
    context: typer.Context,
    *,
    state: Annotated[
        TerminalState | None, typer.Option("--state", case_sensitive=False, help="Only this state.")
    ] = None,
    presence: Annotated[
        Presence | None, typer.Option("--presence", case_sensitive=False, help="Only this presence.")
    ] = None,
    region: Annotated[str, typer.Option("--region", help="Only this region.")] = "",
    site_id: Annotated[str, typer.Option("--site", help="Only this site.")] = "",
    terminal_class: Annotated[TerminalClass | None, typer.Option("--class", help="Only this class.")] = None,
    manufacturer: Annotated[str, typer.Option("--manufacturer", help="Only this manufacturer.")] = "",
    model: Annotated[str, typer.Option("--model", help="Only this model.")] = "",
    firmware: Annotated[str, typer.Option("--firmware", help="Only this version of the firmware.")] = "",
    issuer: Annotated[str, typer.Option("--issuer", help="Only certificates of this issuing authority.")] = "",
    expiring_within: Annotated[
        int | None, typer.Option("--expiring-within", metavar="DAYS", min=0, help="Only certificates that end so soon.")
    ] = None,
    expiring_before: Annotated[
        datetime | None,
        typer.Option("--expiring-before", metavar="DATE", help="Only certificates that end before, UTC."),
    ] = None,
    after: Annotated[str, typer.Option("--after", help="Start behind this id: the last one of the page before.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 1_000,
    as_json: Json = False,
) -> None:
    """List terminals."""
    where = terminal_filter(
        state=state,
        presence=presence,
        region=region,
        site_id=site_id,
        terminal_class=terminal_class,
        manufacturer=manufacturer,
        model=model,
        firmware=firmware,
        issuer=issuer,
        expiring_within=None if expiring_within is None else timedelta(days=expiring_within),
        expiring_before=expiring_before,
    )
    with admin(session_of(context)) as api:
        answer = RegistryServiceStub(api).ListTerminals(
            pb.ListTerminalsRequest(filter=where, page_size=limit, page_token=after)
        )
    terminals = [flat(view) for view in answer.terminals]
    columns = (
        "terminal_id",
        "serial_number",
        "model",
        "terminal_class",
        "region",
        "state",
        "presence",
        "certificate_not_after",
    )
    show_list("terminals", terminals, columns=columns, as_json=as_json, empty="No such terminal.")
    if answer.next_page_token and not as_json:
        console().print(f"There are more: --after {answer.next_page_token}", style="dim")


@app.command("show")
def show(context: typer.Context, *, terminal: TerminalId, as_json: Json = False) -> None:
    """Show a terminal with its certificates and vitals."""
    with admin(session_of(context)) as api:
        answer = RegistryServiceStub(api).GetTerminal(pb.GetTerminalRequest(terminal=terminal))
    record = shown(answer.terminal)
    certificates = [shown(certificate) for certificate in answer.certificates]
    vitals = _vitals(answer.vitals)
    if as_json:
        print_json({**record, "certificates": certificates, "vitals": vitals})
        return
    show_record(record, as_json=False, title=f"Terminal {record['serial_number']}")
    show_record(vitals, as_json=False, title="Vitals")
    columns = ("fingerprint", "status", "not_after", "first_used_at")
    show_list("certificates", certificates, columns=columns, as_json=False, empty="No certificate yet.")


terminal_decisions.add_to(app)
terminal_import.add_to(app)
terminal_watch.add_to(app)


def flat(view: pb.TerminalView) -> dict[str, Any]:
    """Return one line of a list: the terminal and what is known of it, side by side."""
    fields = shown(view)
    return {**fields.pop("terminal"), **fields}


def _vitals(message: pb.Vitals) -> dict[str, Any]:
    fields = shown(message)
    skew = fields.pop("clock_skew_ms")
    return {**fields, "clock_skew_seconds": None if skew is None else skew / 1000}


def _tell_token(made: pb.EnrollmentToken) -> None:
    out = console()
    out.print(f"One-time token: [bold]{made.token}[/]")
    until = f"{moment(made.expires_at):%Y-%m-%d %H:%M} UTC"
    out.print(f"Good until {until}, once, for this serial number. It is not shown again.")
    out.print(f"Root fingerprint: {made.root_fingerprint_sha256}")
