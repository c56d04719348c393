"""What does a CSV file of insured people say, and which of its lines cannot be imported at all?

Nothing that is told about a line repeats what stands in it: a report goes to people who may not read ID numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from device_registry.model import Site
from server.commands.csv_table import read_table, site_ids_by_name_and_id
from server.credentials.errors import CredentialError
from server.credentials.identity import (
    card_number_from_text,
    id_number_from_text,
    name_from_text,
    phone_number_from_text,
)

NEEDED: Final = ("name", "id_number", "region", "image")
ALSO: Final = ("card_number", "phone", "site")
IMAGE_BYTES_MAX: Final = 32 * 1024 * 1024
_REGION_LENGTH_MAX: Final = 32
_FORMS: Final[Mapping[str, tuple[Callable[[str], str], str]]] = {
    "name": (name_from_text, "is empty or too long"),
    "id_number": (id_number_from_text, "is no ID number: form or checksum"),
    "card_number": (card_number_from_text, "is no card number"),
    "phone": (phone_number_from_text, "is no phone number"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that was not imported, and what to do about it; never what stands in it."""

    line: int
    column: str
    reason: str
    problem: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """One line, in written forms."""

    line: int
    name: str
    id_number: str
    region: str
    image: Path
    card_number: str | None
    phone: str | None
    site_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file holds."""

    rows: Sequence[PersonRow]
    bad_lines: Sequence[BadLine]


class _BadLineError(Exception):
    """A line cannot be imported."""

    def __init__(self, column: str, reason: str, problem: str, following: str) -> None:
        self.column, self.reason, self.problem, self.following = column, reason, problem, following
        super().__init__(reason)


def read_people(path: Path, *, images: Path, sites: Sequence[Site]) -> Content:
    """Return the lines that can be imported and those that cannot.

    Raises:
        CommandError: it is no table with the columns that are needed.
    """
    site_ids = site_ids_by_name_and_id(sites)
    rows: list[PersonRow] = []
    bad_lines: list[BadLine] = []
    first_with: dict[str, int] = {}
    for line, fields in read_table(path, needed=NEEDED, also=ALSO):
        try:
            row = _row(line, fields, images, site_ids)
            _refuse_repeated(row, first_with)
        except _BadLineError as bad:
            bad_lines.append(
                BadLine(line=line, column=bad.column, reason=bad.reason, problem=bad.problem, next=bad.following)
            )
        else:
            first_with[row.id_number] = line
            rows.append(row)
    return Content(rows=rows, bad_lines=bad_lines)


def _refuse_repeated(row: PersonRow, first_with: Mapping[str, int]) -> None:
    if row.id_number in first_with:
        problem = f"stands in line {first_with[row.id_number]} already"
        raise _BadLineError("id_number", "ID_NUMBER_REPEATED", problem, "Keep the right one of the two lines.")


def _row(line: int, fields: Mapping[str, str], images: Path, site_ids: Mapping[str, Sequence[str]]) -> PersonRow:
    for column in NEEDED:
        if not fields[column]:
            raise _BadLineError(column, "FIELD_MISSING", "is empty", "Fill it in.")
    if len(fields["region"]) > _REGION_LENGTH_MAX:
        raise _BadLineError("region", "FIELD_INVALID", "is too long", "Write the region's code, e.g. 110000.")
    written = {column: _written(column, fields[column]) for column in _FORMS}
    return PersonRow(
        line=line,
        name=written["name"] or "",
        id_number=written["id_number"] or "",
        region=fields["region"],
        image=_image(images, fields["image"]),
        card_number=written["card_number"],
        phone=written["phone"],
        site_id=_site_id(fields["site"], site_ids),
    )


def _written(column: str, text: str) -> str | None:
    """Return a field in its one written form; None for an empty one."""
    form, problem = _FORMS[column]
    try:
        return form(text) if text else None
    except CredentialError as error:
        raise _BadLineError(column, error.reason, problem, "Correct it.") from error


def _image(images: Path, name: str) -> Path:
    """Return the picture; it must lie in the folder that was named, whatever the file says."""
    path = (images / name).resolve()
    if not path.is_relative_to(images.resolve()) or not path.is_file():
        raise _BadLineError("image", "IMAGE_MISSING", "is no file in the folder", "Add it, or correct the name.")
    if path.stat().st_size > IMAGE_BYTES_MAX:
        raise _BadLineError("image", "IMAGE_TOO_LARGE", "is larger than 32 MiB", "Save it smaller.")
    return path


def _site_id(text: str, site_ids: Mapping[str, Sequence[str]]) -> str | None:
    if not text:
        return None
    found = site_ids.get(text, ())
    if len(found) != 1:
        problem = "is the name of several sites" if found else "is no site"
        following = "`shualian site list` shows the sites; give the id, or the name where only one site has it."
        raise _BadLineError("site", "SITE_AMBIGUOUS" if found else "SITE_UNKNOWN", problem, following)
    return found[0]
