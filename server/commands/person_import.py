"""`shualian person import`: enroll the people of a CSV file by their pictures; a bad line is told and stops no other.

To run it again is safe: who is known is passed over by their ID number, so that an import that was interrupted goes on
where it stopped. Pictures are looked at on two threads; what they give is written some lines at a time.
"""

import csv
import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from sqlalchemy import Connection, Engine

from device_registry import store
from device_registry.errors import RegistryError
from server.commands.domain import open_domain
from server.commands.mistakes import ExitCode
from server.commands.options import Json
from server.commands.output import console, plain, print_json
from server.commands.person_csv import ALSO, NEEDED, BadLine, PersonRow, read_people
from server.commands.session import session_of
from server.credentials.errors import CredentialError
from server.settlement.ledger import Account, AccountKind
from server.store import open_reader
from server.wiring import Domain

if TYPE_CHECKING:
    from face_pipeline import FacePipeline, Template

ENCODERS: Final = 2
AT_ONCE: Final = 20
"""Lines of one transaction: payments wait for it, some 20 ms."""
TOLD_MAX: Final = 20

_PROBLEMS: Final = {
    "CARD_TAKEN": ("card_number", "belongs to somebody else", "Correct it."),
    "SITE_GALLERY_FULL": ("site", "has as many people as are safe", "See docs/operations/identification.md."),
    "PERSON_DIFFERS": ("name", "is not the one this ID number has here", "Find out who it is."),
}

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE.csv", exists=True, dir_okay=False, help=f"{', '.join(NEEDED)}; perhaps {', '.join(ALSO)}."
    ),
]
Images = Annotated[
    Path, typer.Option("--images", metavar="DIR", exists=True, file_okay=False, help="Folder of the pictures.")
]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write the refused lines here, as JSON if it ends so, else as CSV."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check every line and picture, and change nothing.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A line that says something new."""

    row: PersonRow
    person_id: str | None
    """Of who is known already: by the number, without a face or a place of theirs."""
    needs_face: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looked:
    """The same, and what the picture gave."""

    wanted: _Wanted
    template: "Template | None" = None
    bad: BadLine | None = None


def add_to(app: typer.Typer) -> None:
    """Add the verb to `shualian person`."""
    app.command("import")(import_people)


def import_people(
    context: typer.Context,
    *,
    file: File,
    images: Images,
    dry_run: DryRun = False,
    report: Report = None,
    as_json: Json = False,
) -> None:
    """Enroll the people of a CSV file; to run it again is safe. Leaves with 1 when lines were refused."""
    session = session_of(context)
    with open_domain(session) as domain:
        reader = open_reader(domain.engine)
        try:
            with reader.connect() as connection:
                content = read_people(file, images=images, sites=store.all_sites(connection))
            with _progress(len(content.rows)) as advance:
                importing = _Importing(domain, reader, advance, actor=session.actor, dry_run=dry_run)
                importing.run(content.rows)
        finally:
            reader.dispose()
    bad_lines = sorted([*content.bad_lines, *importing.bad_lines], key=lambda bad: bad.line)
    if report is not None:
        _write_report(report, bad_lines)
    _tell(importing.counts, bad_lines, report, dry_run=dry_run, as_json=as_json)
    if bad_lines:
        raise typer.Exit(int(ExitCode.REFUSED))


class _Importing:
    """One run over the lines of a file."""

    def __init__(
        self, domain: Domain, reader: Engine, advance: Callable[[], None], *, actor: str, dry_run: bool
    ) -> None:
        self._domain = domain
        self._reader = reader
        self._advance = advance
        self._actor = actor
        self._dry_run = dry_run
        self.counts: Counter[str] = Counter()
        self.bad_lines: list[BadLine] = []

    def run(self, rows: Sequence[PersonRow]) -> None:
        """Look at the pictures and write down what they give, in the order of the lines."""
        looked = self._looked_at(rows)
        while batch := list(islice(looked, AT_ONCE)):
            self._write(batch)

    def _looked_at(self, rows: Sequence[PersonRow]) -> Iterator[_Looked]:
        """Yield what the pictures give; a few are looked at ahead of the one that is asked for."""
        waiting: deque[Future[_Looked]] = deque()
        pipeline: FacePipeline | None = None  # loaded for the first picture: an import with nothing new needs none
        with ThreadPoolExecutor(max_workers=ENCODERS, thread_name_prefix="import") as encoders:
            for wanted in self._wanted(rows):
                pipeline = pipeline or (self._domain.faces() if wanted.needs_face else None)
                waiting.append(encoders.submit(_looked, pipeline, wanted))
                if len(waiting) > 2 * ENCODERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _wanted(self, rows: Sequence[PersonRow]) -> Iterator[_Wanted]:
        """Yield the lines that say something new; who is known with all of it is passed over."""
        for row in rows:
            with self._reader.connect() as connection:
                wanted = self._said_newly(connection, row)
            if wanted is None:
                self._advance()
            else:
                yield wanted

    def _said_newly(self, connection: Connection, row: PersonRow) -> _Wanted | None:
        people = self._domain.people
        person_id = people.id_by_number(connection, row.id_number)
        if person_id is None:
            return _Wanted(row=row, person_id=None, needs_face=True)
        if people.by_claim(connection, id_number=row.id_number, name=row.name) is None:
            self.bad_lines.append(_bad(row, "PERSON_DIFFERS"))
            return None
        has_face = people.has_face(connection, person_id)
        site_id = row.site_id
        is_placed = site_id is None or people.is_looked_for_at(connection, person_id=person_id, site_id=site_id)
        if has_face and is_placed:
            self.counts["known"] += 1
            return None
        return _Wanted(row=row, person_id=person_id, needs_face=not has_face)

    def _write(self, batch: Sequence[_Looked]) -> None:
        """Write some lines in one transaction, each in a savepoint of its own."""
        with self._domain.engine.begin() as connection:
            for looked in batch:
                if looked.bad is not None:
                    self.bad_lines.append(looked.bad)
                    continue
                try:
                    with connection.begin_nested() as savepoint:
                        self._add(connection, looked)
                        if self._dry_run:
                            savepoint.rollback()
                except (CredentialError, RegistryError) as error:
                    self.bad_lines.append(_bad(looked.wanted.row, error.reason))
                else:
                    self.counts["completed" if looked.wanted.person_id else "added"] += 1
        for _ in batch:
            self._advance()

    def _add(self, connection: Connection, looked: _Looked) -> None:
        row, person_id, domain = looked.wanted.row, looked.wanted.person_id, self._domain
        if person_id is None:
            person = domain.people.add(
                connection, name=row.name, id_number=row.id_number, region=row.region, card_number=row.card_number,
                pin=None, template=looked.template, actor=self._actor, phone=row.phone, site_id=row.site_id,
            )  # fmt: skip
            domain.ledger.open_accounts(connection, [Account(AccountKind.PERSON, person.person_id)])
            return
        if row.site_id is not None:
            domain.people.look_for_at(connection, person_id=person_id, site_id=row.site_id, actor=self._actor)
        if looked.template is not None:
            domain.people.remember_face(connection, person_id=person_id, template=looked.template, actor=self._actor)


def _looked(pipeline: "FacePipeline | None", wanted: _Wanted) -> _Looked:
    """Return what the picture gives, on a thread of its own."""
    if pipeline is None or not wanted.needs_face:
        return _Looked(wanted=wanted)
    from face_pipeline import FaceError, FaceQualityError  # noqa: PLC0415 - the pipeline is loaded by now

    def bad(reason: str, problem: str, following: str) -> _Looked:
        told = BadLine(line=wanted.row.line, column="image", reason=reason, problem=problem, next=following)
        return _Looked(wanted=wanted, bad=told)

    try:
        return _Looked(wanted=wanted, template=pipeline.enroll(wanted.row.image.read_bytes()))
    except FaceQualityError as error:
        following = "Take another portrait: one face, from the front, sharp, evenly lit."
        return bad(error.reason, f"is not good enough: {error.guidance.value}", following)
    except FaceError as error:
        return bad(error.reason, "is no picture that can be read", "Save it as JPEG or PNG.")
    except OSError:
        return bad("IMAGE_UNREADABLE", "cannot be read", "Who may read the file?")


def _bad(row: PersonRow, reason: str) -> BadLine:
    column, problem, following = _PROBLEMS.get(reason, ("", "was refused", "docs/errors.md says more."))
    return BadLine(line=row.line, column=column, reason=reason, problem=problem, next=following)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    """Show somebody who watches how far it is."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415 - nobody watches most imports
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("import", total=total)
        yield lambda: progress.advance(task)


def _write_report(path: Path, bad_lines: Sequence[BadLine]) -> None:
    if path.suffix.lower() == ".json":
        path.write_text(json.dumps([asdict(bad) for bad in bad_lines], ensure_ascii=False, indent=1), encoding="utf-8")
        return
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # with a mark, for spreadsheets
        writer = csv.DictWriter(file, fieldnames=list(BadLine.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(bad) for bad in bad_lines)


def _tell(
    counts: Counter[str], bad_lines: Sequence[BadLine], report: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    if as_json:
        numbers = {name: counts[name] for name in ("added", "completed", "known")}
        told = [plain(each) for each in bad_lines]
        print_json({**numbers, "refused": len(bad_lines), "dry_run": dry_run, "bad_lines": told})
        return
    out = console()
    would = "would be " if dry_run else ""
    out.print(
        f"[bold]{counts['added']}[/] {would}added, {counts['completed']} {would}given a face, {counts['known']} known "
        f"already, [bold]{len(bad_lines)}[/] refused."
    )
    for bad in bad_lines[:TOLD_MAX]:
        out.print(f"Line {bad.line}, {bad.column}: {bad.problem}. {bad.next}", markup=False)
    if len(bad_lines) > TOLD_MAX:
        rest = f"and {len(bad_lines) - TOLD_MAX} more"
        out.print(f"… {rest}; {f'all are in {report}' if report else 'name a file with --report to have all'}.")
