"""Which pictures of a folder show whom or what, and are the labels fit to be measured by?"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from face_pipeline.evaluation.errors import LabelsError

PAIRS: Final = "verification_pairs.csv"
IMAGES: Final = "verification_images.csv"
LIVENESS: Final = "liveness_labels.csv"
ROWS_MAX: Final = 2_000_000  # of one file of labels; more is a mistake, or wants to be measured in parts
SIMULATED: Final = "SIMULATED"
YES_NO: Final = {"1": True, "0": False}
SAID_YES: Final = {"1", "true", "yes"}

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two pictures, and whether they show the same person."""

    file_a: str
    file_b: str
    same: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture, and whom it shows."""

    file: str
    person: str
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """One picture that was shown to a camera, and what it was; ISO/IEC 30107-3 calls it so."""

    file: str
    live: bool
    kind: str
    instrument: str
    simulated: bool


@dataclass(slots=True, kw_only=True)
class Labels:
    """One file of labels on its way in: gives its rows, and gathers what is wrong with them."""

    folder: Path
    name: str
    needs: tuple[str, ...]
    mistakes: list[str]

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Yield line numbers and rows; what cannot be read at all becomes a mistake."""
        path = self.folder / self.name
        try:
            with path.open(encoding="utf-8-sig", newline="") as lines:
                reader = csv.DictReader(lines, strict=True)
                missing = [column for column in self.needs if column not in (reader.fieldnames or ())]
                if missing:
                    self.mistakes.append(f"{self.name}, line 1: no column {', '.join(missing)}")
                    return
                for count, row in enumerate(reader, start=1):
                    if count > ROWS_MAX:
                        self.wrong(reader.line_num, f"more than {ROWS_MAX:,} rows")
                        return
                    yield reader.line_num, {str(key): (value or "").strip() for key, value in row.items() if key}
        except FileNotFoundError:
            self.mistakes.append(f"{self.name} is not there; it needs the columns {', '.join(self.needs)}")
        except (UnicodeDecodeError, csv.Error) as error:
            self.mistakes.append(f"{self.name} cannot be read: {error}")

    def wrong(self, line: int, sentence: str) -> None:
        """Note a mistake."""
        self.mistakes.append(f"{self.name}, line {line}: {sentence}")

    def picture(self, line: int, file: str) -> bool:
        """Return whether this picture lies in the folder; note it when not."""
        inside = self.folder.resolve()
        try:
            path = (inside / file).resolve()
            found = bool(file) and path.is_file()
        except (OSError, ValueError):  # a name that no file can have
            path, found = inside, False
        if not path.is_relative_to(inside):
            self.wrong(line, f"{file} lies outside the folder")
        elif not found:
            self.wrong(line, f"there is no picture {file or '(empty)'}")
        else:
            return True
        return False

    def yes_or_no(self, line: int, row: Row, column: str) -> bool | None:
        """Return a label of 1 or 0; note it when it is neither."""
        said = YES_NO.get(row[column])
        if said is None:
            self.wrong(line, f"{column} must be 1 or 0, not {row[column] or 'empty'}")
        return said


def read_pairs(folder: Path) -> tuple[Pair, ...]:
    """Return the labelled pairs; where pictures are labelled with persons too, both must say the same.

    Raises:
        LabelsError: with every mistake.
    """
    labels = Labels(folder=folder, name=PAIRS, needs=("file_a", "file_b", "same"), mistakes=[])
    persons = {picture.file: picture.person for picture in read_images(folder)} if (folder / IMAGES).exists() else {}
    seen: dict[frozenset[str], int] = {}
    pairs = []
    for line, row in labels.rows():
        files = (row["file_a"], row["file_b"])
        same = labels.yes_or_no(line, row, "same")
        there = [labels.picture(line, file) for file in files]
        if same is None or not all(there):
            continue
        complaint = _contradiction(files, seen, persons, same=same)
        if complaint:
            labels.wrong(line, complaint)
        seen.setdefault(frozenset(files), line)
        pairs.append(Pair(file_a=files[0], file_b=files[1], same=same))
    if not labels.mistakes and {pair.same for pair in pairs} != {True, False}:
        labels.mistakes.append(f"{PAIRS} needs pairs of both kinds: same 1 and same 0")
    _refuse(labels.mistakes)
    return tuple(pairs)


def read_images(folder: Path) -> tuple[Picture, ...]:
    """Return every picture with its person.

    Raises:
        LabelsError: with every mistake.
    """
    labels = Labels(folder=folder, name=IMAGES, needs=("file", "person"), mistakes=[])
    seen: dict[str, int] = {}
    pictures = []
    for line, row in labels.rows():
        file = row["file"]
        if not labels.picture(line, file):
            continue
        if not row["person"]:
            labels.wrong(line, "person is empty")
        if file in seen:
            labels.wrong(line, f"{file} was labelled in line {seen[file]} already")
        seen.setdefault(file, line)
        pictures.append(Picture(file=file, person=row["person"], simulated=_is_simulated(row)))
    if not labels.mistakes and len({picture.person for picture in pictures}) <= 1:
        labels.mistakes.append(f"{IMAGES} needs pictures of at least two persons")
    _refuse(labels.mistakes)
    return tuple(pictures)


def read_presentations(folder: Path) -> tuple[Presentation, ...]:
    """Return every picture with what was before the camera.

    Raises:
        LabelsError: with every mistake.
    """
    labels = Labels(folder=folder, name=LIVENESS, needs=("file", "live", "kind", "instrument"), mistakes=[])
    seen: dict[str, int] = {}
    shown = []
    for line, row in labels.rows():
        file = row["file"]
        live = labels.yes_or_no(line, row, "live")
        if not labels.picture(line, file) or live is None:
            continue
        if not live and not (row["instrument"] and row["kind"]):
            labels.wrong(line, "an attack needs a kind and an instrument")
        if file in seen:
            labels.wrong(line, f"{file} was labelled in line {seen[file]} already")
        seen.setdefault(file, line)
        instrument = "" if live else row["instrument"]
        shown.append(
            Presentation(file=file, live=live, kind=row["kind"], instrument=instrument, simulated=_is_simulated(row))
        )
    if not labels.mistakes and {presentation.live for presentation in shown} != {True, False}:
        labels.mistakes.append(f"{LIVENESS} needs pictures of both kinds: live 1 and live 0")
    _refuse(labels.mistakes)
    return tuple(shown)


def _contradiction(
    files: tuple[str, str], seen: dict[frozenset[str], int], persons: dict[str, str], *, same: bool
) -> str:
    if files[0] == files[1]:
        return "the same picture twice says nothing"
    if frozenset(files) in seen:
        return f"this pair was labelled in line {seen[frozenset(files)]} already"
    known = [persons.get(file) for file in files]
    if None not in known and (known[0] == known[1]) is not same:
        return f"same is {int(same)}, but {IMAGES} says {known[0]} and {known[1]}"
    return ""


def _is_simulated(row: Row) -> bool:
    """Return whether the labels say that no camera saw this: a column `simulated`, or a name that begins so."""
    named = any(row.get(column, "").upper().startswith(SIMULATED) for column in ("kind", "instrument"))
    return named or row.get("simulated", "").lower() in SAID_YES


def _refuse(mistakes: list[str]) -> None:
    if mistakes:
        raise LabelsError(mistakes=tuple(mistakes))
