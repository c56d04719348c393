"""`shualian terminal import`: register the terminals of a CSV file; a bad line is reported and stops no other."""

import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import grpc
import typer

from server.commands.mistakes import ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json
from server.commands.remote import admin, code_of
from server.commands.session import session_of
from server.commands.shown import word_in
from server.commands.terminal_csv import COLUMNS, BadLine, Content, read_terminals
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub

ROWS_AT_ONCE: Final = 100
"""Rows of one call, and so of one transaction: payments wait for it, some 50 ms."""
TRIES_MAX: Final = 5
TRY_AGAIN_AFTER_SECONDS: Final = 1.0
TOLD_MAX: Final = 20
_AGAIN: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)

_PROBLEMS: Final = {
    "SITE_UNKNOWN": ("is no site", "`shualian site list` shows the sites."),
    "SERIAL_NUMBER_TAKEN": (
        "differs from the terminal that has this serial number",
        "Look at it with `shualian terminal show SERIAL`; correct the line, or revoke the terminal first.",
    ),
    "TERMINAL_REVOKED": (
        "belongs to a terminal that was revoked or banned",
        "If it is to come back, register it by itself with `shualian terminal register`.",
    ),
    "TERMINAL_BANNED": ("is banned", "Ask the security team; `shualian terminal unban` lifts a ban."),
}
_COLUMN_OF: Final = {"site_id": "site", "terminal_class": "class"}

File = Annotated[Path, typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, help=f"{', '.join(COLUMNS)}.")]
Report = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.csv", help="Write the lines that were refused here.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every line and register nothing.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb to `shualian terminal`."""
    app.command("import")(import_terminals)


def import_terminals(
    context: typer.Context, *, file: File, dry_run: DryRun = False, report: Report = None, as_json: Json = False
) -> None:
    """Register the terminals of a CSV file; to run it again is safe. Leaves with 1 when lines were refused."""
    counts = {"REGISTERED": 0, "UNCHANGED": 0}
    with admin(session_of(context)) as api:
        stub = RegistryServiceStub(api)
        content = read_terminals(file, stub.ListSites(pb.ListSitesRequest()).sites)
        bad_lines = list(content.bad_lines)
        serials = {row.line: row.serial_number for row in content.rows}
        for results in _sent(stub, content, dry_run=dry_run):
            for result in results:
                outcome = word_in(pb.ImportOutcome.DESCRIPTOR, result.outcome) or ""
                if outcome in counts:
                    counts[outcome] += 1
                else:
                    bad_lines.append(_refused(result, serials[result.line]))
    bad_lines.sort(key=lambda bad: bad.line)
    if report is not None:
        _write_report(report, bad_lines)
    _tell(counts, bad_lines, report, dry_run=dry_run, as_json=as_json)
    if bad_lines:
        raise typer.Exit(int(ExitCode.REFUSED))


def _sent(stub: RegistryServiceStub, content: Content, *, dry_run: bool) -> Iterator[Sequence[pb.ImportResult]]:
    """Send the rows some at a time, and yield the answers; somebody who watches sees how far it is."""
    rows = content.rows
    batches = [rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)]
    if not sys.stderr.isatty():
        for batch in batches:
            yield _answered(stub, pb.ImportTerminalsRequest(rows=batch, dry_run=dry_run))
        return
    from rich.console import Console  # noqa: PLC0415 - nobody watches most imports
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("import", total=len(rows))
        for batch in batches:
            yield _answered(stub, pb.ImportTerminalsRequest(rows=batch, dry_run=dry_run))
            progress.advance(task, len(batch))


def _answered(stub: RegistryServiceStub, request: pb.ImportTerminalsRequest) -> Sequence[pb.ImportResult]:
    """Return the answers; what the platform cannot take right now is sent again, which changes nothing twice."""
    tries = 0
    while True:
        tries += 1
        try:
            return stub.ImportTerminals(request).results
        except grpc.RpcError as error:
            if tries == TRIES_MAX or code_of(error) not in _AGAIN:
                raise
        time.sleep(TRY_AGAIN_AFTER_SECONDS)


def _refused(result: pb.ImportResult, serial_number: str) -> BadLine:
    column = _COLUMN_OF.get(result.field, result.field)
    problem, following = _PROBLEMS.get(result.reason, (result.detail or "was refused", "docs/errors.md says more."))
    if result.reason == "FIELD_INVALID":
        problem, following = f"must be {result.detail}", "Correct it."
    return BadLine(
        line=result.line,
        serial_number=serial_number,
        column=column,
        reason=result.reason,
        problem=problem,
        next=following,
    )


def _write_report(path: Path, bad_lines: Sequence[BadLine]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # with a mark, for spreadsheets
        writer = csv.DictWriter(file, fieldnames=list(BadLine.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(bad) for bad in bad_lines)


def _tell(
    counts: dict[str, int], bad_lines: Sequence[BadLine], report: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "registered": counts["REGISTERED"],
                "unchanged": counts["UNCHANGED"],
                "refused": len(bad_lines),
                "dry_run": dry_run,
                "bad_lines": [plain(bad) for bad in bad_lines],
            }
        )
        return
    out = console()
    done = "would be registered" if dry_run else "registered"
    out.print(
        f"[bold]{counts['REGISTERED']}[/] {done}, {counts['UNCHANGED']} unchanged, [bold]{len(bad_lines)}[/] refused."
    )
    for bad in bad_lines[:TOLD_MAX]:
        out.print(f"Line {bad.line}, {bad.column}: {bad.problem}. {bad.next}", markup=False)
    if len(bad_lines) > TOLD_MAX:
        rest = f"and {len(bad_lines) - TOLD_MAX} more"
        out.print(f"… {rest}; {f'all are in {report}' if report else 'name a file with --report to have all'}.")
