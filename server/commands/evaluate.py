"""`shualian evaluate`: how good are the face decisions on your own labelled pictures, with which certainty?"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

from face_pipeline import FacePipeline, FacePolicy, load_manifest
from face_pipeline.evaluation.errors import LabelsError, TooManyPairsError
from face_pipeline.evaluation.identification import identification as measure_identification
from face_pipeline.evaluation.liveness import liveness as measure_liveness
from face_pipeline.evaluation.notice import Figures
from face_pipeline.evaluation.pictures import System, Tick
from face_pipeline.evaluation.report import Report, as_json_text, write
from face_pipeline.evaluation.run import Options, Run
from face_pipeline.evaluation.tables import Table, tables
from face_pipeline.evaluation.verification import verification as measure_verification
from server.commands.mistakes import CommandError, ExitCode
from server.commands.options import Json
from server.commands.output import console, print_json
from server.commands.session import Session, session_of

TOLD_MAX: Final = 20  # mistakes in labels; the first ones usually explain the others
EPILOG: Final = (
    "Examples: `shualian evaluate verification faces/ --all-pairs --report out.html` · "
    "`shualian evaluate liveness faces/ --model own-models.toml --json` · "
    "`shualian evaluate identification faces/ --seed 7 --report out.html`. "
    "docs/operations/evaluation.md says how the folder is labelled and what is in the JSON."
)

app = typer.Typer(
    name="evaluate",
    help="Measure the face decisions on a folder of labelled pictures: rates with intervals, plots, worst errors.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Holds the labels and the pictures.")
]
ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE.html", help="Write one page with plots here, and the JSON beside it."),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model", metavar="FILE.toml", help="Your own ONNX models (docs/models.md), beside the default, same pictures."
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=2, help="At most so many of each kind, drawn by the seed.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed draws the same, so that figures can be repeated.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, max=64, help="Pictures at once; the cores, if unset.")]
WithFaces = Annotated[
    bool,
    typer.Option("--with-faces", help="Show the worst errors as thumbnails: the page is personal data then."),
]
AllPairs = Annotated[
    bool, typer.Option("--all-pairs", help="Every two pictures of different persons, for small false accept rates.")
]
Rolled = Annotated[
    float, typer.Option("--rolled", metavar="DEGREES", min=0, max=90, help="Turn one picture of each genuine pair.")
]
Enrolled = Annotated[
    float, typer.Option("--enrolled", metavar="SHARE", min=0.05, max=0.95, help="Of the people, into the gallery.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the three verbs have in common."""

    folder: Path
    model: Path | None
    options: Options
    file: Path | None
    with_faces: bool
    as_json: bool


@app.command("verification", epilog="Example: `shualian evaluate verification faces/ --all-pairs --report out.html`")
def verification(
    context: typer.Context,
    *,
    folder: Folder,
    report: ReportFile = None,
    model: Model = None,
    all_pairs: AllPairs = False,
    rolled: Rolled = 0.0,
    limit: Limit = None,
    seed: Seed = 1,
    threads: Threads = None,
    with_faces: WithFaces = False,
    as_json: Json = False,
) -> None:
    """Is this the person? False rejects and accepts, TAR at FAR, from verification_pairs.csv (file_a, file_b, same).

    `--all-pairs` also needs verification_images.csv (file, person). A false accept rate is named only where the number
    of impostor pairs can show it.
    """
    options = Options(all_pairs=all_pairs, rolled_degrees=rolled, limit=limit, seed=seed, threads=threads or _cores())
    asked = Asked(folder=folder, model=model, options=options, file=report, with_faces=with_faces, as_json=as_json)
    _evaluate("verification", measure_verification, session_of(context), asked)


@app.command(
    "liveness", epilog="Example: `shualian evaluate liveness faces/ --report out.html --model own-models.toml`"
)
def liveness(
    context: typer.Context,
    *,
    folder: Folder,
    report: ReportFile = None,
    model: Model = None,
    limit: Limit = None,
    seed: Seed = 1,
    threads: Threads = None,
    with_faces: WithFaces = False,
    as_json: Json = False,
) -> None:
    """Is it alive? APCER by instrument, BPCER, ACER of the passive model, from liveness_labels.csv.

    Columns: file, live, kind, instrument, and `simulated` if you like. Single pictures: the platform decides on many.
    """
    options = Options(limit=limit, seed=seed, threads=threads or _cores())
    asked = Asked(folder=folder, model=model, options=options, file=report, with_faces=with_faces, as_json=as_json)
    _evaluate("liveness", measure_liveness, session_of(context), asked)


@app.command("identification", epilog="Example: `shualian evaluate identification faces/ --seed 7 --report out.html`")
def identification(
    context: typer.Context,
    *,
    folder: Folder,
    report: ReportFile = None,
    model: Model = None,
    enrolled: Enrolled = 0.5,
    limit: Limit = None,
    seed: Seed = 1,
    threads: Threads = None,
    with_faces: WithFaces = False,
    as_json: Json = False,
) -> None:
    """Who of many is it? FPIR, FNIR, rank 1 by size of the gallery, from verification_images.csv (file, person).

    Some people are enrolled, the others are strangers: a watch list, drawn by the seed.
    """
    options = Options(enrolled_share=enrolled, limit=limit, seed=seed, threads=threads or _cores())
    asked = Asked(folder=folder, model=model, options=options, file=report, with_faces=with_faces, as_json=as_json)
    _evaluate("identification", measure_identification, session_of(context), asked)


def _evaluate(kind: str, measure: Callable[[Run], Figures], session: Session, asked: Asked) -> None:
    _check(asked)
    with _progress(shown=not asked.as_json) as tick:
        systems = _systems(session, asked.model)
        run = Run(folder=asked.folder, systems=systems, options=asked.options, tick=tick)
        report = Report(kind=kind, run=run, figures=_measured(measure, run))
    if asked.file is not None:
        write(asked.file, report.html(with_faces=asked.with_faces), private=asked.with_faces)
        write(asked.file.with_suffix(".json"), as_json_text(report.document()), private=False)
    if asked.as_json:
        print_json(report.document())
    else:
        _tell(report, asked)


def _check(asked: Asked) -> None:
    file = asked.file
    if file is not None and file.suffix != ".html":
        raise CommandError(
            f"The report is a page, and {file.name} is not called so.",
            next="Give it a name that ends in .html; the JSON goes beside it.",
            code=ExitCode.USAGE,
        )
    if file is not None and not file.absolute().parent.is_dir():  # said now, not after all the measuring
        raise CommandError(f"There is no folder {file.parent} for the report.", next="Make it, or name another.")
    if asked.with_faces and file is None:
        raise CommandError(
            "Faces can only be shown on a page.", next="Name one with --report FILE.html.", code=ExitCode.USAGE
        )


def _systems(session: Session, model: Path | None) -> tuple[System, ...]:
    """Return the models of this platform, and the user's own beside them."""
    config, policy = session.config, FacePolicy()
    manifests = [("default", config.models_manifest), *([("own", model)] if model else [])]
    return tuple(
        System(
            name=name,
            pipeline=FacePipeline.load(manifest=load_manifest(path), models_dir=config.models_dir, policy=policy),
        )
        for name, path in manifests
    )


def _measured(measure: Callable[[Run], Figures], run: Run) -> Figures:
    try:
        return measure(run)
    except LabelsError as error:
        listed = [f"\n- {mistake}" for mistake in error.mistakes[:TOLD_MAX]]
        more = len(error.mistakes) - len(listed)
        raise CommandError(
            f"The labels cannot be used:{''.join(listed)}" + (f"\n- and {more:,} more" if more > 0 else ""),
            next="Correct them (docs/operations/evaluation.md says how a folder is labelled).",
        ) from error
    except TooManyPairsError as error:
        raise CommandError(
            f"All pairs of {error.pictures:,} pictures do not fit; {error.pictures_max:,} do.",
            next=f"Draw some: --limit {error.pictures_max}.",
        ) from error


def _tell(report: Report, asked: Asked) -> None:
    out = console()
    out.print(Text(report.notice, style="bold yellow"))
    for table in tables(report.figures):
        out.print()
        out.print(Text(table.title, style="bold"))
        out.print(_grid(table))
        if table.note:
            out.print(Text(table.note))
    out.print()
    for note in report.notes:
        out.print(Text(note, style="dim"))
    if asked.file is not None:
        out.print(f"\nReport: {asked.file}, and {asked.file.with_suffix('.json').name} beside it.")
    if asked.with_faces:
        out.print(Text("The report shows faces: it is personal data, and only you may read it as it is.", style="red"))


def _grid(table: Table) -> Grid:
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        grid.add_column(Text(column), overflow="fold")
    for row in table.rows:
        grid.add_row(*(Text(cell) for cell in row))
    return grid


@contextmanager
def _progress(*, shown: bool) -> Iterator[Tick]:
    """Yield what is told how far it is: one bar for each thing that takes a while, on standard error."""
    if not (shown and sys.stderr.isatty()):
        yield lambda *_: None
        return
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tick(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        yield tick


def _cores() -> int:
    return len(os.sched_getaffinity(0))
