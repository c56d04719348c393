"""`shualian terminal`: register, let in, look at, and lock out."""

from typing import Annotated

import typer

from device_registry.model import TerminalClass, TerminalFilter, TerminalState
from server.commands.domain import reading, terminal_meant, transaction
from server.commands.output import Json, console, plain, print_json, show_list, show_record
from server.commands.session import Session, session_of

app = typer.Typer(name="terminal", help="Terminals and their certificates.", no_args_is_help=True, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="TERMINAL", help="Id of the terminal, or its serial number.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the audit trail. Nothing personal.")]


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
    session = session_of(context)
    with transaction(session) as (domain, connection):
        terminal = domain.registry.register(
            connection,
            serial_number=serial_number,
            manufacturer=manufacturer,
            model=model,
            terminal_class=terminal_class,
            site_id=site_id,
            certification_number=certification_number,
            record_number=record_number,
            actor=session.actor,
        )
        token = None
        if with_token:
            token = domain.registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=session.actor)
        fingerprint = domain.authority.root_fingerprint_sha256
    if as_json:
        enrollment = {"token": token.token, "expires_at": token.expires_at} if token else {}
        print_json(
            {**plain(terminal), **({**plain(enrollment), "root_fingerprint_sha256": fingerprint} if token else {})}
        )
        return
    show_record(terminal, as_json=False, title="Terminal registered", leave_out=("state_reason",))
    if token:
        _tell_token(token.token, f"{token.expires_at:%Y-%m-%d %H:%M} UTC", fingerprint)


@app.command("token")
def token(context: typer.Context, *, terminal: Id, as_json: Json = False) -> None:
    """Make a one-time enrollment token; it is shown once and kept only as a hash."""
    session = session_of(context)
    with transaction(session) as (domain, connection):
        found = terminal_meant(domain, connection, terminal)
        made = domain.registry.issue_token(connection, terminal_id=found, actor=session.actor)
        fingerprint = domain.authority.root_fingerprint_sha256
    if as_json:
        print_json({**plain(made), "root_fingerprint_sha256": fingerprint})
        return
    _tell_token(made.token, f"{made.expires_at:%Y-%m-%d %H:%M} UTC", fingerprint)


@app.command("list")
def list_terminals(
    context: typer.Context,
    *,
    state: Annotated[
        TerminalState | None, typer.Option("--state", case_sensitive=False, help="Only this state.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="Only this region.")] = None,
    site_id: Annotated[str | None, typer.Option("--site", help="Only this site.")] = None,
    after: Annotated[
        str | None, typer.Option("--after", help="Start behind this id: the last one of the page before.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 1_000,
    as_json: Json = False,
) -> None:
    """List terminals."""
    where = TerminalFilter(state=state, region=region, site_id=site_id, after=after, limit=limit)
    with reading(session_of(context)) as (domain, connection):
        terminals = domain.registry.terminals(connection, where)
    columns = ("terminal_id", "serial_number", "model", "terminal_class", "region", "state")
    show_list("terminals", terminals, columns=columns, as_json=as_json, empty="No such terminal.")


@app.command("show")
def show(context: typer.Context, *, terminal: Id, as_json: Json = False) -> None:
    """Show a terminal with its certificates and vitals."""
    with reading(session_of(context)) as (domain, connection):
        found = terminal_meant(domain, connection, terminal)
        record = domain.registry.terminal(connection, found)
        certificates = domain.registry.certificates(connection, found)
        vitals = domain.registry.vitals(connection, found)
    if as_json:
        print_json({**plain(record), "certificates": plain(certificates), "vitals": plain(vitals)})
        return
    show_record(record, as_json=False, title=f"Terminal {record.serial_number}")
    if vitals is not None:
        show_record(vitals, as_json=False, title="Vitals", leave_out=("terminal_id",))
    columns = ("fingerprint", "status", "not_after", "first_used_at")
    show_list("certificates", certificates, columns=columns, as_json=False, empty="No certificate yet.")


@app.command("suspend")
def suspend(context: typer.Context, *, terminal: Id, reason: Reason, as_json: Json = False) -> None:
    """Lock a terminal out for now; its streams end within a second."""
    _change(session_of(context), "suspend", terminal, reason, as_json=as_json)


@app.command("resume")
def resume(context: typer.Context, *, terminal: Id, reason: Reason, as_json: Json = False) -> None:
    """Let a suspended terminal in again."""
    _change(session_of(context), "resume", terminal, reason, as_json=as_json)


@app.command("revoke")
def revoke(context: typer.Context, *, terminal: Id, reason: Reason, as_json: Json = False) -> None:
    """Withdraw a terminal's certificates for good; its streams end within a second."""
    _change(session_of(context), "revoke", terminal, reason, as_json=as_json)


def _change(session: Session, verb: str, terminal: str, reason: str, *, as_json: bool) -> None:
    with transaction(session) as (domain, connection):
        found = terminal_meant(domain, connection, terminal)
        change = {
            "suspend": domain.registry.suspend,
            "resume": domain.registry.resume,
            "revoke": domain.registry.revoke,
        }[verb]
        changed = change(connection, terminal_id=found, reason=reason, actor=session.actor)
    show_record(changed, as_json=as_json, title=f"Terminal {changed.serial_number} is {changed.state.value}")


def _tell_token(token: str, until: str, fingerprint: str) -> None:
    out = console()
    out.print(f"One-time token: [bold]{token}[/]")
    out.print(f"Good until {until}, once, for this serial number. It is not shown again.")
    out.print(f"Root fingerprint: {fingerprint}")
