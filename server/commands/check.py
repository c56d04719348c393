"""`shualian check`: the history checker."""

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from server.checker.core_side import CoreSide
from server.checker.database import throwaway_postgresql
from server.checker.insurers import InsurerSide, LocalSide
from server.checker.plan import Plan, make_plan, plan_from
from server.checker.report import Report, show
from server.checker.run import Run, Tell
from server.checker.world import InsurerChoice, World
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console
from server.commands.session import session_of
from server.programs import StepFailedError

TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(name="check", add_completion=False)


class DatabaseChoice(StrEnum):
    """Where the platform keeps its books."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@app.command("check")
def check(
    context: typer.Context,
    *,
    seed: Annotated[int, typer.Option("--seed", help="What goes wrong, and who pays what, follows from it.")] = 1,
    minutes: Annotated[float, typer.Option("--minutes", min=0.05, max=24 * 60, help="How long the load lasts.")] = 1.0,
    database: Annotated[DatabaseChoice, typer.Option("--database")] = DatabaseChoice.SQLITE,
    insurer: Annotated[InsurerChoice, typer.Option("--insurer")] = InsurerChoice.LOCAL,
    terminals: Annotated[int, typer.Option("--terminals", min=1, max=9)] = 3,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", exists=True, dir_okay=False, help="The plan of a former run, perhaps cut.")
    ] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", dir_okay=False, help="Write the report here, as JSON.")
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Keep plan, history, logs and databases here, also of a good run."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Break a whole platform under load, heal it, and compare the three books; exit code 1 when they differ."""
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise CommandError(f"{keep} is not empty.", next="Name a new folder.", code=ExitCode.USAGE)
    lasting, has_core = timedelta(minutes=minutes), insurer is InsurerChoice.FSI
    has_database = database is DatabaseChoice.POSTGRESQL
    plan = make_plan(seed=seed, lasting=lasting, terminals=terminals, has_core=has_core, has_database=has_database)
    if plan_file is not None:
        plan = _read(plan_file, has_core=has_core, has_database=has_database)
    models_dir = session_of(context).config.models_dir
    report = _run(plan, models_dir, database=database, insurer=insurer, keep=keep, quiet=as_json)
    if report_file is not None:
        report_file.write_text(report.as_json() + "\n", encoding="utf-8")
    if as_json:
        sys.stdout.write(report.as_json() + "\n")
    else:
        show(report, console())
    if not report.is_sound:
        raise typer.Exit(ExitCode.REFUSED)


def _read(path: Path, *, has_core: bool, has_database: bool) -> Plan:
    try:
        plan = plan_from(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{path} is no plan.", next="Name the plan.json of a run.", code=ExitCode.USAGE) from error
    if plan.has_core != has_core:
        insurer = InsurerChoice.FSI if plan.has_core else InsurerChoice.LOCAL
        raise CommandError(
            "That plan is for another insurer.", next=f"Add --insurer {insurer.value}.", code=ExitCode.USAGE
        )
    if plan.has_database != has_database:
        choice = DatabaseChoice.POSTGRESQL if plan.has_database else DatabaseChoice.SQLITE
        raise CommandError(
            "That plan is for another database.", next=f"Add --database {choice.value}.", code=ExitCode.USAGE
        )
    return plan


def _run(
    plan: Plan, models_dir: Path, *, database: DatabaseChoice, insurer: InsurerChoice, keep: Path | None, quiet: bool
) -> Report:
    folder = (keep or Path(tempfile.mkdtemp(prefix="shualian-check-"))).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_of_interest = keep is not None
    try:
        with throwaway_postgresql(wanted=plan.has_database) as postgres, _progress(quiet=quiet) as tell:
            url = postgres.url if postgres is not None else ""
            world = World(folder=folder, models_dir=models_dir, insurer=insurer, database_url=url)
            run = Run(world, plan, _side(world, plan), database=database.value, tell=tell, postgres=postgres)
            report = asyncio.run(_interruptible(run))
        is_of_interest |= not report.is_sound
    except StepFailedError as error:
        is_of_interest = True
        raise CommandError(f"The run could not be made: {error}", next=f"The logs are in {folder}.") from error
    except asyncio.CancelledError as error:  # SIGTERM
        raise typer.Exit(TERMINATED) from error
    finally:
        if not is_of_interest:
            shutil.rmtree(folder, ignore_errors=True)
    report.kept = str(folder) if is_of_interest else ""
    return report


def _side(world: World, plan: Plan) -> InsurerSide:
    return LocalSide() if world.insurer is InsurerChoice.LOCAL else CoreSide(world.folder, seed=plan.seed)


async def _interruptible(run: Run) -> Report:
    """Play; a SIGTERM ends it like Ctrl-C: what was started is stopped first."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run.play()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Tell]:
    """Show how it goes where somebody watches."""
    out = Console(stderr=True)
    with Progress(
        TextColumn("{task.description:34}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(),
        TextColumn("{task.fields[counts]}"), console=out, transient=True, disable=quiet or not out.is_terminal,
    ) as progress:  # fmt: skip
        row = progress.add_task("", total=1.0, counts="")

        def tell(what: str, share: float, receipts: int, kills: int) -> None:
            counts = f"{receipts} receipts, {kills} kills" if receipts else ""
            progress.update(row, description=what, completed=share, counts=counts)

        yield tell
