"""What a verb tells while it runs: one JSON object a line for programs, a line of text for people."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Reporter:
    """Tells events as they happen."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json: Final = as_json
        self._console: Final = Console(highlight=False)
        self._began: Final = time.monotonic()

    def event(self, name: str, **fields: object) -> None:
        """Tell one event; fields are plain values, nothing personal beyond what the platform masked."""
        ms = round((time.monotonic() - self._began) * 1000)
        if self._as_json:
            sys.stdout.write(json.dumps({"event": name, "ms": ms, **fields}, ensure_ascii=False) + "\n")
            sys.stdout.flush()
            return
        shown = "  ".join(
            f"[dim]{key}[/] {_text(value)}" for key, value in fields.items() if value not in (None, "", [])
        )
        self._console.print(f"[dim]{ms:>7} ms[/]  [bold]{name}[/]  {shown}")

    def table(self, name: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Tell several things of one kind at once; fields as in `event`, a field may be missing in a row."""
        if self._as_json:
            self.event(name, rows=list(rows))
            return
        columns = list(dict.fromkeys(key for row in rows for key in row))
        shown = Table(*(column.replace("_", " ") for column in columns), box=None, header_style="bold", pad_edge=False)
        for row in rows:
            shown.add_row(*(_text(row.get(column, "")) for column in columns))
        self._console.print(shown)


def _text(value: object) -> str:
    """Return a value as people write it; brackets in it are no markup."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))
