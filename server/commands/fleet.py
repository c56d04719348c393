"""`shualian fleet`: how the fleet stands, what is suspicious in it, and what to do about that."""

from typing import Annotated, Any

import typer

from server.commands.mistakes import ExitCode
from server.commands.options import Json, Reason
from server.commands.output import console, print_json, show_list, show_record
from server.commands.remote import admin
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import fleet_pb2 as pb
from shualian.admin.v1.fleet_pb2_grpc import FleetServiceStub

app = typer.Typer(
    name="fleet", help="Census, audits and findings of the whole fleet.", no_args_is_help=True, add_completion=False
)

Id = Annotated[str, typer.Argument(metavar="FINDING", help="Id of the finding.")]

COLUMNS = ("severity", "kind", "terminal_id", "details", "state", "times", "last_seen", "allowed", "finding_id")
PAGE_SIZE_MAX = 1000


@app.command("census")
def census(context: typer.Context, *, as_json: Json = False) -> None:
    """Count terminals, presences, certificates and findings."""
    with admin(session_of(context)) as api:
        answer = shown(FleetServiceStub(api).GetCensus(pb.GetCensusRequest()))
    if as_json:
        print_json(answer)
        return
    for name, columns in (
        ("terminals", ("region", "terminal_class", "state", "terminals")),
        ("presences", ("presence", "terminals")),
        ("findings", ("severity", "kind", "findings")),
    ):
        show_list(name, answer.pop(name), columns=columns, as_json=False, empty=f"No {name}.")
    show_record(answer, as_json=False)


@app.command("audit")
def audit(
    context: typer.Context,
    *,
    is_applied: Annotated[
        bool,
        typer.Option(
            "--apply", help="Also do what the policy does by itself (quarantine ...), up to its bound for an hour."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Look at every terminal now. Exit code 1: something HIGH or CRITICAL asks for somebody."""
    with admin(session_of(context)) as api:
        service = FleetServiceStub(api)
        if is_applied:
            report = service.EnforceAudit(pb.EnforceAuditRequest()).report
        else:
            report = service.RunAudit(pb.RunAuditRequest()).report
        asking = [finding for finding in _all(service, pb.ListFindingsRequest()) if _asks(finding)]
    asking.sort(key=lambda finding: (-finding.severity, finding.kind, finding.finding_id))
    if as_json:
        print_json({"report": shown(report), "findings": [_row(finding) for finding in asking]})
    else:
        _show(asking, empty="Nothing is wrong.")
        console().print(
            f"Terminals looked at: {report.terminals}. Findings opened: {report.opened}, cleared: {report.cleared}, "
            f"acted on: {len(report.mitigated)}, held back by the bound: {report.held_back}.",
            style="dim",
        )
    if any(finding.severity >= pb.SEVERITY_HIGH for finding in asking):
        raise typer.Exit(int(ExitCode.REFUSED))


@app.command("findings")
def findings(
    context: typer.Context,
    *,
    severity: Annotated[str, typer.Option("--severity", help="At least this: LOW, MEDIUM, HIGH, CRITICAL.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Of this kind, e.g. CLOCK_SKEW.")] = "",
    state: Annotated[str, typer.Option("--state", help="OPEN, ACKNOWLEDGED, MITIGATED or CLOSED.")] = "",
    terminal_id: Annotated[str, typer.Option("--terminal", help="Of the terminal with this id.")] = "",
    with_closed: Annotated[bool, typer.Option("--all", help="Also those that are closed.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = 1000,
    as_json: Json = False,
) -> None:
    """List findings, newest first."""
    wanted = pb.ListFindingsRequest(
        kind=_value(pb.FindingKind, "FINDING_KIND", kind, "--kind"),
        state=_value(pb.FindingState, "FINDING_STATE", state, "--state"),
        severity_min=_value(pb.Severity, "SEVERITY", severity, "--severity"),
        terminal_id=terminal_id,
        with_closed=with_closed,
    )
    with admin(session_of(context)) as api:
        found = _all(FleetServiceStub(api), wanted, limit=limit)
    if as_json:
        print_json({"findings": [_row(finding) for finding in found]})
    else:
        _show(found, empty="No such finding.")


@app.command("acknowledge")
def acknowledge(context: typer.Context, finding_id: Id, *, reason: Reason, as_json: Json = False) -> None:
    """Take a finding on; it begins again when it gets worse."""
    wanted = pb.AcknowledgeFindingRequest(finding_id=finding_id, reason=reason)
    with admin(session_of(context)) as api:
        finding = FleetServiceStub(api).AcknowledgeFinding(wanted).finding
    show_record(_row(finding), as_json=as_json, title="Finding acknowledged")


@app.command("mitigate")
def mitigate(
    context: typer.Context,
    finding_id: Id,
    *,
    mitigation: Annotated[str, typer.Option("--with", help="SUSPEND, QUARANTINE or EVICT; see `allowed`.")],
    reason: Reason,
    as_json: Json = False,
) -> None:
    """Act on the finding's terminal."""
    wanted = pb.MitigateFindingRequest(
        finding_id=finding_id, mitigation=_value(pb.Mitigation, "MITIGATION", mitigation, "--with"), reason=reason
    )
    with admin(session_of(context)) as api:
        finding = FleetServiceStub(api).MitigateFinding(wanted).finding
    show_record(_row(finding), as_json=as_json, title="Finding mitigated")


@app.command("close")
def close(context: typer.Context, finding_id: Id, *, reason: Reason, as_json: Json = False) -> None:
    """Say that a finding is over; if it is not, the next audit opens a new one."""
    wanted = pb.CloseFindingRequest(finding_id=finding_id, reason=reason)
    with admin(session_of(context)) as api:
        finding = FleetServiceStub(api).CloseFinding(wanted).finding
    show_record(_row(finding), as_json=as_json, title="Finding closed")


def _all(service: FleetServiceStub, wanted: pb.ListFindingsRequest, *, limit: int = 100_000) -> list[pb.Finding]:
    """Return every page, up to a bound."""
    found: list[pb.Finding] = []
    while len(found) < limit:
        wanted.page_size = min(PAGE_SIZE_MAX, limit - len(found))
        page = service.ListFindings(wanted)
        found += page.findings
        if not page.next_page_token:
            break
        wanted.page_token = page.next_page_token
    return found


def _show(findings: list[pb.Finding], *, empty: str) -> None:
    """Print findings as a table, lists in words."""
    rows = [
        {
            **row,
            "details": ", ".join(f"{name} {value}" for name, value in row["details"].items()),
            "allowed": ", ".join(row["allowed"]),
            "last_seen": f"{row['last_seen']:%Y-%m-%d %H:%M:%S}",
        }
        for row in map(_row, findings)
    ]
    show_list("findings", rows, columns=COLUMNS, as_json=False, empty=empty)


def _asks(finding: pb.Finding) -> bool:
    return finding.state in {pb.FINDING_STATE_OPEN, pb.FINDING_STATE_ACKNOWLEDGED}


def _row(finding: pb.Finding) -> dict[str, Any]:
    """Return a finding as tables and JSON show it: its details as one mapping."""
    return {**shown(finding), "details": {detail.name: detail.value for detail in finding.details}}


def _value(names: Any, prefix: str, word: str, option: str) -> Any:  # noqa: ANN401 - each enum of a contract is a type of its own
    """Return the contract's value for a word of the command line; 0 for none."""
    if not word:
        return 0
    known = [name.removeprefix(f"{prefix}_") for name in names.keys()[1:]]
    if word.upper() not in known:
        raise typer.BadParameter(f"one of {', '.join(known)}", param_hint=option)
    return names.Value(f"{prefix}_{word.upper()}")
