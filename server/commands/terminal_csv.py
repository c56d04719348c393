"""What does a CSV file of terminals say, and which of its lines cannot be sent at all?"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from server.commands.mistakes import CommandError, ExitCode
from shualian.admin.v1 import registry_pb2 as pb

COLUMNS: Final = (
    "serial_number", "site", "manufacturer", "model", "class", "certification_number", "record_number",
)  # fmt: skip
"""What a file must have, in any order; further columns are left alone."""
CLASSES: Final[Mapping[str, str]] = {
    "I": "SCAN", "II": "CARD", "III": "FACE", "1": "SCAN", "2": "CARD", "3": "FACE", "Ⅰ": "SCAN", "Ⅱ": "CARD",
    "Ⅲ": "FACE",
}  # fmt: skip
_BYTES_MAX = 64 * 1024 * 1024
_FIELD_LENGTH_MAX = 1000  # registry.proto, ImportRow
_SITES = "`shualian site list` shows the sites; give the id, or the name where only one site has it."


class _Reader(Protocol):
    """What csv.reader makes; its own type has no public name."""

    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


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
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), dialect=_dialect(text), strict=True)
    header = [name.strip().lower() for name in next(reader, [])]
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise CommandError(
            f"{path}: no column {', '.join(missing)}; the first line has {', '.join(header) or 'nothing'}.",
            next=f"The first line names the columns: {','.join(COLUMNS)}.",
            code=ExitCode.USAGE,
        )
    places = {column: header.index(column) for column in COLUMNS}
    named_sites = _by_name_and_id(sites)
    rows: list[pb.ImportRow] = []
    bad_lines: list[BadLine] = []
    first_with: dict[str, int] = {}
    for line, values in _numbered(path, reader):
        fields = {column: values[at].strip() if at < len(values) else "" for column, at in places.items()}
        problem = _problem(line, fields, named_sites, first_with)
        if problem is None:
            rows.append(_row(line, fields, named_sites))
        else:
            bad_lines.append(problem)
    return Content(rows=rows, bad_lines=bad_lines)


def _numbered(path: Path, reader: "_Reader") -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the number of the line it begins on; empty ones are passed over."""
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CommandError(
                f"{path}, line {line}: {error}.", next="Is a quotation mark missing? Nothing was imported."
            ) from error
        if any(value.strip() for value in values):
            yield line, values


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


def _by_name_and_id(sites: Sequence[pb.Site]) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for site in sites:
        named.setdefault(site.site_id, []).append(site.site_id)
        named.setdefault(site.name.strip(), []).append(site.site_id)
    return named


def _text(path: Path) -> str:
    """Return the file's text: UTF-8 with or without a mark, or what spreadsheets in China write, GB 18030."""
    if path.stat().st_size > _BYTES_MAX:
        raise CommandError(f"{path} is larger than 64 MiB.", next="Import it in parts.", code=ExitCode.USAGE)
    content = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CommandError(f"{path} is no text.", next="Save it as CSV in UTF-8.", code=ExitCode.USAGE)


def _dialect(text: str) -> type[csv.Dialect]:
    """Return how fields are parted: by whatever of comma, semicolon and tab the first line has most of."""
    first_line = text.partition("\n")[0]

    class Found(csv.excel):
        delimiter = max(",;\t", key=first_line.count)

    return Found
