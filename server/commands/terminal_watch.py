"""`shualian terminal watch`: how the fleet does, while one looks."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any

import grpc
import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from device_registry.model import Presence, TerminalClass, TerminalState
from server.commands.asked import terminal_filter
from server.commands.options import Json
from server.commands.output import STYLES, console, print_json
from server.commands.remote import admin, code_of
from server.commands.session import session_of
from server.commands.shown import shown
from shualian.admin.v1 import registry_pb2 as pb
from shualian.admin.v1.registry_pb2_grpc import RegistryServiceStub

COLUMNS = ("serial_number", "model", "region", "state", "presence", "firmware_version", "certificate_not_after")
LINES_KEPT_FREE = 6
_WORST_FIRST = ("QUARANTINED", "SUSPENDED", "OVERDUE", "FLAPPING", "REVOKED", "BANNED", "DISCONNECTED", "UNSEEN")

State = Annotated[TerminalState | None, typer.Option("--state", case_sensitive=False, help="Only this state.")]
PresenceOption = Annotated[
    Presence | None, typer.Option("--presence", case_sensitive=False, help="Only this presence.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verb to `shualian terminal`."""
    app.command("watch")(watch)


def watch(
    context: typer.Context,
    *,
    state: State = None,
    presence: PresenceOption = None,
    region: Annotated[str, typer.Option("--region", help="Only this region.")] = "",
    site_id: Annotated[str, typer.Option("--site", help="Only this site.")] = "",
    terminal_class: Annotated[TerminalClass | None, typer.Option("--class", help="Only this class.")] = None,
    model: Annotated[str, typer.Option("--model", help="Only this model.")] = "",
    seconds: Annotated[float | None, typer.Option("--for", metavar="SECONDS", help="Stop after so long.")] = None,
    as_json: Json = False,
) -> None:
    """Follow terminals until Ctrl-C: a table on a terminal, else a line a change; `--json` prints JSON lines."""
    where = terminal_filter(
        state=state, presence=presence, region=region, site_id=site_id, terminal_class=terminal_class, model=model
    )
    with admin(session_of(context)) as api:
        changes = _until_over(
            RegistryServiceStub(api).WatchTerminals(pb.WatchTerminalsRequest(filter=where), timeout=seconds)
        )
        with suppress(KeyboardInterrupt):
            if as_json:
                for change in changes:
                    print_json(_document(change))
            elif sys.stdout.isatty():
                _show_table(changes)
            else:
                _print_lines(changes)


def _until_over(changes: Iterable[pb.WatchTerminalsResponse]) -> Iterator[pb.WatchTerminalsResponse]:
    """Yield changes; that the time is over is no mistake."""
    try:
        yield from changes
    except grpc.RpcError as error:
        if code_of(error) is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise


def _document(change: pb.WatchTerminalsResponse) -> dict[str, Any]:
    match change.WhichOneof("change"):
        case "terminal":
            return {"event": "terminal", **_flat(change.terminal)}
        case "gone":
            return {"event": "gone", "terminal_id": change.gone}
        case _:
            return {"event": "caught_up", "terminals": change.caught_up}


def _flat(view: pb.TerminalView) -> dict[str, Any]:
    fields = shown(view)
    return {**fields.pop("terminal"), **fields}


def _print_lines(changes: Iterable[pb.WatchTerminalsResponse]) -> None:
    out = console()
    for change in changes:
        told = _document(change)
        if told["event"] == "terminal":
            out.print(
                f"{told['serial_number']}  {told['state']}  {told['presence']}  {told['terminal_id']}", markup=False
            )
        elif told["event"] == "gone":
            out.print(f"gone  {told['terminal_id']}", markup=False)
        else:
            out.print(f"{told['terminals']} terminals; changes from here on.", style="dim")


def _show_table(changes: Iterable[pb.WatchTerminalsResponse]) -> None:
    known: dict[str, Mapping[str, Any]] = {}
    out = console()
    with Live(console=out, auto_refresh=False, transient=True) as live:
        is_caught_up = False
        for change in changes:
            told = _document(change)
            if told["event"] == "terminal":
                known[told["terminal_id"]] = told
            elif told["event"] == "gone":
                known.pop(told["terminal_id"], None)
            else:
                is_caught_up = True
            if is_caught_up:
                live.update(_table(known, lines=out.height - LINES_KEPT_FREE), refresh=True)


def _table(known: Mapping[str, Mapping[str, Any]], *, lines: int) -> Table:
    """Return the fleet as a table, those that need somebody on top."""
    counts = Counter(str(terminal[column]) for terminal in known.values() for column in ("state", "presence"))
    caption = f"{len(known)} terminals: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    table = Table(box=None, pad_edge=False, header_style="bold", caption=caption, caption_justify="left")
    for column in COLUMNS:
        table.add_column(column.replace("_", " "))
    for terminal in sorted(known.values(), key=_trouble)[: max(1, lines)]:
        words = (str(terminal[column] or "-") for column in COLUMNS)
        table.add_row(*(Text(word, style=STYLES.get(word, "")) for word in words))
    return table


def _trouble(terminal: Mapping[str, Any]) -> tuple[int, str]:
    places = [_WORST_FIRST.index(word) for word in (terminal["state"], terminal["presence"]) if word in _WORST_FIRST]
    return (min(places, default=len(_WORST_FIRST)), terminal["terminal_id"])
