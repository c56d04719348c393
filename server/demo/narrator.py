"""How is the story told? With colour and times to people, as one JSON object a step to programs."""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final, Protocol

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from server.demo.stage import Told

TITLE_WIDTH: Final = 21
MEANWHILE: Final = "meanwhile"
"""In the place of a time: it was done while another step was told."""
ABOUT: Final = (
    "One platform process, terminals as processes of their own, mutual TLS on loopback, real models on real frames. "
    "The cameras alone are simulated: they make a head out of a still portrait."
)


class Narrator(Protocol):
    """Tells the steps as they happen."""

    def begin(self) -> None:
        """Say what is to come."""

    def chapter(self, title: str) -> None:
        """Say that a new part begins."""

    def starting(self, title: str) -> None:
        """Say what is being done now."""

    def done(self, step: str, title: str, told: Told, *, ms: int) -> None:
        """Say how a step went."""

    def failed(self, step: str, title: str, why: str, *, ms: int) -> None:
        """Say that a step failed."""

    def end(self, summary: Mapping[str, Any]) -> None:
        """Say how it all went."""


class JsonNarrator:
    """One JSON object a line, for programs."""

    def begin(self) -> None:
        """Say nothing."""

    def chapter(self, title: str) -> None:
        """Say nothing."""

    def starting(self, title: str) -> None:
        """Say nothing."""

    def done(self, step: str, title: str, told: Told, *, ms: int) -> None:  # noqa: ARG002 - the port's signature
        """Print the step with its details."""
        self._print({"step": step, "ok": True, "ms": ms, **told.details})

    def failed(self, step: str, title: str, why: str, *, ms: int) -> None:  # noqa: ARG002 - the port's signature
        """Print the step with what went wrong."""
        self._print({"step": step, "ok": False, "ms": ms, "error": why})

    def end(self, summary: Mapping[str, Any]) -> None:
        """Print the summary."""
        self._print({"step": "summary", **summary})

    @staticmethod
    def _print(line: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()


class StoryTeller:
    """Chapters, check marks and times, for people."""

    def __init__(self, console: Console) -> None:
        self._out = console
        self._status = console.status("")

    def begin(self) -> None:
        """Say what is to come."""
        text = Text("刷脸 Shualian", style="bold")
        text.append(", the main job from an empty folder to closed books.\n", style="not bold")
        text.append(ABOUT, style="not bold dim")
        self._out.print(Panel(text, border_style="cyan", padding=(0, 1)))

    def chapter(self, title: str) -> None:
        """Print the title of a new part."""
        self._status.stop()
        self._out.print()
        self._out.print(Text(title, style="bold cyan"))

    def starting(self, title: str) -> None:
        """Show what is being done now, where somebody watches."""
        if self._out.is_terminal:
            self._status.update(f"  {title} …")
            self._status.start()

    def done(self, step: str, title: str, told: Told, *, ms: int) -> None:  # noqa: ARG002 - the port's signature
        """Print a check mark, what happened, and how long it took."""
        self._line("✓", "green", title, told.line, ms)
        for note in told.notes:
            self._out.print(Padding(Text(note, style="dim"), (0, 9, 0, TITLE_WIDTH + 3)))

    def failed(self, step: str, title: str, why: str, *, ms: int) -> None:  # noqa: ARG002 - the port's signature
        """Print a cross and what went wrong."""
        self._line("✗", "bold red", title, why, ms)

    def end(self, summary: Mapping[str, Any]) -> None:
        """Print how it all went, and where to read on."""
        self._status.stop()
        self._out.print()
        seconds = summary["ms"] / 1000
        if summary["ok"]:
            text = f"[bold green]All {summary['steps']} steps as they must be[/], in {seconds:.1f} s."
        else:
            text = f"[bold red]The step {summary['failed']} failed[/], after {seconds:.1f} s."
        kept = f"\nEverything is kept in {summary['kept']}: logs, keys, the database." if summary.get("kept") else ""
        self._out.print(Panel(text + kept, border_style="green" if summary["ok"] else "red", padding=(0, 1)))

    def _line(self, mark: str, style: str, title: str, line: str, ms: int) -> None:
        self._status.stop()
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=1)
        grid.add_column(width=TITLE_WIDTH)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", width=len(MEANWHILE))
        took = f"{ms / 1000:.1f} s" if ms >= 1000 else f"{ms} ms" if ms else MEANWHILE  # noqa: PLR2004 - milliseconds
        grid.add_row(Text(mark, style=style), Text(title, style="bold"), Text(line), Text(took, style="dim"))
        self._out.print(grid)
