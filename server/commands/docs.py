"""`shualian docs`: the pages that are printed from code, so that they cannot be wrong."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitoring.dashboards.__main__ import dashboards
from server.commands.mistakes import ExitCode
from server.commands.options import Json
from server.commands.output import console, print_json
from server.commands.pages import PAGES

app = typer.Typer(
    name="docs", help="Write or check the pages printed from code.", no_args_is_help=True, add_completion=False
)


Folder = Annotated[Path, typer.Option("--folder", help="Folder of the pages; in a checkout, `docs`.", file_okay=False)]
DOCS = Path("docs")


@app.command("errors")
def errors() -> None:
    """Print every error a terminal can meet."""
    sys.stdout.write(PAGES["errors"]())


@app.command("catalogue")
def catalogue() -> None:
    """Print what the cashier reads: reason, status, the insurer's codes and the sentence."""
    sys.stdout.write(PAGES["error-catalogue"]())


@app.command("configuration")
def configuration() -> None:
    """Print every setting with default and bounds."""
    sys.stdout.write(PAGES["configuration"]())


@app.command("metrics")
def metrics() -> None:
    """Print every metric with its labels."""
    sys.stdout.write(PAGES["metrics"]())


@app.command("write")
def write(*, folder: Folder = DOCS, as_json: Json = False) -> None:
    """Write all pages and the dashboards."""
    written = _stale(folder)
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if as_json:
        print_json({"written": list(written)})
        return
    for path in written:
        console().print(f"wrote {path}")


@app.command("check")
def check_all(*, folder: Folder = DOCS, as_json: Json = False) -> None:
    """Say which pages and dashboards are not what the code prints; exit code 1 when there is one."""
    stale = list(_stale(folder))
    if as_json:
        print_json({"ok": not stale, "stale": stale})
    for path in () if as_json else stale:
        console().print(f"{path} is {'stale' if path.exists() else 'missing'}; run `shualian docs write`.")
    if stale:
        raise typer.Exit(ExitCode.REFUSED)


def _stale(folder: Path) -> dict[Path, str]:
    wanted = {folder / f"{name}.md": page() for name, page in PAGES.items()} | dashboards()
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
