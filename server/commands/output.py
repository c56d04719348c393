"""How does a command answer? A table or a few lines for people, one JSON document for programs; never both."""

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_UNWATCHED = 240  # for pipes and files; wide enough for every table of ours


def console() -> Console:
    """Return the terminal as it is now; lines are not broken in the middle of an id when nobody watches."""
    watched = sys.stdout.isatty()
    return Console(width=None if watched else WIDTH_UNWATCHED, soft_wrap=not watched, highlight=False)


def plain(value: object) -> Any:  # noqa: ANN401 - what JSON can hold
    """Return a value as JSON can hold it; records lose what is secret by their own `repr`, durations become seconds."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain_fields({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    match value:
        case Mapping():
            return _plain_fields({str(key): item for key, item in value.items()})
        case list() | tuple():
            return [plain(item) for item in value]
        case date() | Path():  # a datetime is a date
            return value.isoformat() if isinstance(value, date) else str(value)
        case _:
            return value.value if isinstance(value, Enum) else value


def _plain_fields(fields: Mapping[str, object]) -> dict[str, object]:
    return {
        (f"{key}_seconds" if isinstance(value, timedelta) else key): (
            value.total_seconds() if isinstance(value, timedelta) else plain(value)
        )
        for key, value in fields.items()
        if not isinstance(value, bytes)
    }


def print_json(document: object) -> None:
    """Print one JSON document on one line."""
    sys.stdout.write(json.dumps(plain(document), ensure_ascii=False) + "\n")
    sys.stdout.flush()


def show_record(record: object, *, as_json: bool, title: str = "", leave_out: Iterable[str] = ()) -> None:
    """Print one record: its fields one below the other."""
    if as_json:
        print_json(record)
        return
    left_out = set(leave_out)
    grid = Table.grid(padding=(0, 2))
    for key, value in plain(record).items():
        if key not in left_out:
            grid.add_row(Text(key.replace("_", " "), style="dim"), Text(_cell(value)))
    out = console()
    if title:
        out.print(Text(title, style="bold"))
    out.print(grid)


def show_list(name: str, records: Sequence[object], *, columns: Sequence[str], as_json: bool, empty: str) -> None:
    """Print records as a table, or as `{name: [...]}`."""
    if as_json:
        print_json({name: [plain(record) for record in records]})
        return
    if not records:
        console().print(empty, style="dim")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for record in records:
        fields = plain(record)
        table.add_row(*(Text(_cell(fields[column]), style=_style(fields[column])) for column in columns))
    console().print(table)


def yuan(fen: int) -> str:
    """Return an amount as people read it."""
    return f"¥{fen // 100:,}.{fen % 100:02d}"


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


STYLES: Mapping[str, str] = {
    "ACTIVE": "green",
    "ENROLLED": "cyan",
    "SUSPENDED": "yellow",
    "QUARANTINED": "yellow",
    "REVOKED": "red",
    "CRITICAL": "bold red",
    "HIGH": "red",
    "MEDIUM": "yellow",
    "BANNED": "bold red",
    "RETIRED": "dim",
    "verified": "green",
    "missing": "red",
    "tampered": "bold red",
}


def _style(value: object) -> str:
    return STYLES.get(value, "") if isinstance(value, str) else ""
