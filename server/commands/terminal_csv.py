"""What does a CSV file of terminals say, and which of its lines cannot be sent at all?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.commands.csv_table import read_table, site_ids_by_name_and_id
from shualian.admin.v1 import registry_pb2 as pb

COLUMNS: Final = (
    "serial_number", "site", "manufacturer", "model", "class", "certification_number", "record_number",
)  # fmt: skip
"""What a file must have, in any order; further columns are left alone."""
CLASSES: Final[Mapping[str, str]] = {
    "I": "SCAN", "II": "CARD", "III": "FACE", "1": "SCAN", "2": "CARD", "3": "FACE", "Ⅰ": "SCAN", "Ⅱ": "CARD",
    "Ⅲ": "FACE",
}  # fmt: skip
_FIELD_LENGTH_MAX = 1000  # registry.proto, ImportRow
_SITES = "`shualian site list` shows the sites; give the id, or the name where only one site has it."


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that was not registered, and what to do about it."""

    line: int
    serial_number: str
    column: str
    reason: str
    problem: str
    next: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a file holds."""

    rows: Sequence[pb.ImportRow]
    bad_lines: Sequence[BadLine]


def read_terminals(path: Path, sites: Sequence[pb.Site]) -> Content:
    """Return the lines that can be sent and those that cannot.

    Raises:
        CommandError: it is no table with the columns that are needed.
    """
    named_sites = site_ids_by_name_and_id(sites)
    rows: list[pb.ImportRow] = []
    bad_lines: list[BadLine] = []
    first_with: dict[str, int] = {}
    for line, fields in read_table(path, needed=COLUMNS):
        problem = _problem(line, fields, named_sites, first_with)
        if problem is None:
            rows.append(_row(line, fields, named_sites))
        else:
            bad_lines.append(problem)
    return Content(rows=rows, bad_lines=bad_lines)


def _problem(
    line: int, fields: Mapping[str, str], sites: Mapping[str, Sequence[str]], first_with: dict[str, int]
) -> BadLine | None:
    """Return what keeps a line from being sent."""
    serial_number = fields["serial_number"]

    def bad(column: str, reason: str, problem: str, following: str) -> BadLine:
        return BadLine(
            line=line, serial_number=serial_number, column=column, reason=reason, problem=problem, next=following
        )

    for column in COLUMNS:
        if not fields[column]:
            return bad(column, "FIELD_MISSING", "is empty", "Fill it in.")
        if len(fields[column]) > _FIELD_LENGTH_MAX:
            return bad(column, "FIELD_INVALID", "is far too long", "Is a quotation mark missing somewhere above?")
    if fields["class"].upper() not in CLASSES:
        return bad("class", "CLASS_UNKNOWN", f"is {fields['class'][:20]!r}", "Write I, II or III.")
    found = sites.get(fields["site"], ())
    if len(found) != 1:
        problem = "is the name of several sites" if found else "is no site"
        return bad("site", "SITE_AMBIGUOUS" if found else "SITE_UNKNOWN", problem, _SITES)
    if serial_number in first_with:
        problem = f"stands in line {first_with[serial_number]} already"
        return bad("serial_number", "SERIAL_NUMBER_REPEATED", problem, "Keep the right one of the two lines.")
    first_with[serial_number] = line
    return None


def _row(line: int, fields: Mapping[str, str], sites: Mapping[str, Sequence[str]]) -> pb.ImportRow:
    return pb.ImportRow(
        line=line,
        serial_number=fields["serial_number"],
        site_id=sites[fields["site"]][0],
        manufacturer=fields["manufacturer"],
        model=fields["model"],
        terminal_class=pb.TerminalClass.Value(f"TERMINAL_CLASS_{CLASSES[fields['class'].upper()]}"),
        certification_number=fields["certification_number"],
        record_number=fields["record_number"],
    )
