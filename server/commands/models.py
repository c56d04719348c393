"""`shualian models`: the weight files, each checked against the hash in the manifest before anything trusts it."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from face_pipeline import FileStatus, load_manifest
from face_pipeline import install as install_files
from face_pipeline import verify as verify_files
from face_pipeline.models.install import Progress as Report
from server.commands.mistakes import ExitCode
from server.commands.options import Json
from server.commands.output import console, print_json, show_list
from server.commands.session import session_of

app = typer.Typer(name="models", help="The models and portraits.", no_args_is_help=True, add_completion=False)

COLUMNS = ("name", "job", "state", "licence", "path")


@app.command("install")
def install(context: typer.Context, *, as_json: Json = False) -> None:
    """Fetch, check, fix up and put in place whatever is missing; needs no network when everything is there."""
    config = session_of(context).config
    manifest = load_manifest(config.models_manifest)
    with _progress_bars(shown=not as_json) as report:
        installed = install_files(manifest, config.models_dir, report)
    if as_json:
        files = [
            {
                "name": file.file.name,
                "job": file.file.job.value,
                "path": file.path,
                "fetched": file.fetched,
                "sha256": file.file.installed_sha256,
                "output_difference": file.difference,
            }
            for file in installed
        ]
        print_json({"ok": True, "files": files})
        return
    fetched = [file for file in installed if file.fetched]
    console().print(f"{len(installed)} files in {config.models_dir}, {len(fetched)} of them new, all verified.")
    for file in fetched:
        if file.difference is not None:
            console().print(
                f"  {file.file.name}: rewritten, outputs differ by at most {file.difference:.1e}", style="dim"
            )


@app.command("verify")
def verify(context: typer.Context, *, as_json: Json = False) -> None:
    """Check every file against its hash; exit code 1 when one is missing or changed."""
    config = session_of(context).config
    statuses = verify_files(load_manifest(config.models_manifest), config.models_dir)
    ok = all(status.ok for status in statuses)
    if as_json:
        print_json({"ok": ok, "files": [_row(status) for status in statuses]})
    else:
        show_list("files", [_row(status) for status in statuses], columns=COLUMNS, as_json=False, empty="")
        console().print("[green]All verified.[/]" if ok else "[red]Not usable.[/] Run `shualian models install`.")
    if not ok:
        raise typer.Exit(ExitCode.REFUSED)


@app.command("list")
def list_models(context: typer.Context, *, as_json: Json = False) -> None:
    """List the files of the manifest with their origin and licence."""
    config = session_of(context).config
    rows = [
        {
            "name": file.name,
            "job": file.job.value,
            "licence": file.licence,
            "source": file.source,
            "about": file.about,
            "path": file.path_in(config.models_dir),
            "sha256": file.installed_sha256,
        }
        for file in load_manifest(config.models_manifest).files
    ]
    show_list("files", rows, columns=("name", "job", "licence", "source", "about"), as_json=as_json, empty="")


def _row(status: FileStatus) -> dict[str, object]:
    return {
        "name": status.file.name,
        "job": status.file.job.value,
        "state": status.state.value,
        "licence": status.file.licence,
        "path": status.path,
        "sha256": status.file.installed_sha256,
        "found_sha256": status.found_sha256,
    }


@contextmanager
def _progress_bars(*, shown: bool) -> Iterator[Report]:
    """Yield what the installer reports to: one bar for each file, on standard error."""
    if not shown:
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def report(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        yield report
