"""`shualian docs`: the pages that are printed from code, so that they cannot be wrong."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitoring.dashboards.__main__ import dashboards
from server.commands.mistakes import ExitCode
from server.commands.output import Json, console, print_json
from server.commands.pages import PAGES

app = typer.Typer(name="docs", help="Pages printed from code.", no_args_is_help=True, add_completion=False)


Folder = Annotated[Path, typer.Option("--folder", help="Folder of the pages.", file_okay=False)]
DOCS = Path("docs")


def _print_page(name: str, check: Path | None) -> None:
    text = PAGES[name]()
    if check is None:
        sys.stdout.write(text)
    elif not check.is_file() or check.read_text(encoding="utf-8") != text:
        console().print(f"{check} is stale; run `shualian docs write`.")
        raise typer.Exit(ExitCode.REFUSED)


Check = Annotated[Path | None, typer.Option("--check", metavar="FILE", help="Print nothing; exit 1 when FILE differs.")]


@app.command("errors")
def errors(check: Check = None) -> None:
    """Print every error a terminal can meet."""
    _print_page("errors", check)


@app.command("configuration")
def configuration(check: Check = None) -> None:
    """Print every setting with default and bounds."""
    _print_page("configuration", check)


@app.command("metrics")
def metrics(check: Check = None) -> None:
    """Print every metric with its labels."""
    _print_page("metrics", check)


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
        console().print(f"{path} is stale; run `shualian docs write`.")
    if stale:
        raise typer.Exit(ExitCode.REFUSED)


def _stale(folder: Path) -> dict[Path, str]:
    wanted = {folder / f"{name}.md": page() for name, page in PAGES.items()} | dashboards()
    return {
        path: text for path, text in wanted.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
