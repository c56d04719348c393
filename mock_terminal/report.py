"""What a verb tells while it runs: one JSON object a line for programs, a line of text for people."""

import json
import sys
import time
from typing import Final

from rich.console import Console
from rich.markup import escape


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


def _text(value: object) -> str:
    """Return a value as people write it; brackets in it are no markup."""
    return escape(", ".join(map(str, value)) if isinstance(value, list) else str(value))
