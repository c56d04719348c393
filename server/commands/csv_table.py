"""What does a CSV file say, line by line? Any encoding and separator that spreadsheets write here."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from server.commands.mistakes import CommandError, ExitCode

_BYTES_MAX: Final = 64 * 1024 * 1024


class _Reader(Protocol):
    """What csv.reader makes; its own type has no public name."""

    @property
    def line_num(self) -> int: ...

    def __next__(self) -> list[str]: ...


class _Place(Protocol):
    """A site, as a record of ours or as a message."""

    @property
    def site_id(self) -> str: ...

    @property
    def name(self) -> str: ...


def read_table(
    path: Path, *, needed: Sequence[str], also: Sequence[str] = ()
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield each record, by column, with the number of the line it begins on; empty ones are passed over.

    Args:
        path: the file; its first line names the columns, in any order, and further ones are left alone.
        needed: columns it must have.
        also: columns it may have; where they are missing, the values are empty.

    Raises:
        CommandError: it is no table with the columns that are needed.
    """
    text = _text(path)
    reader = csv.reader(io.StringIO(text, newline=""), dialect=_dialect(text), strict=True)
    header = [name.strip().lower() for name in next(reader, [])]
    missing = [column for column in needed if column not in header]
    if missing:
        raise CommandError(
            f"{path}: no column {', '.join(missing)}; the first line has {', '.join(header) or 'nothing'}.",
            next=f"The first line names the columns: {','.join(needed)}.",
            code=ExitCode.USAGE,
        )
    places = {column: header.index(column) for column in (*needed, *also) if column in header}
    for line, values in _numbered(path, reader):
        fields = dict.fromkeys(also, "")
        yield line, fields | {column: values[at].strip() if at < len(values) else "" for column, at in places.items()}


def site_ids_by_name_and_id(sites: Sequence[_Place]) -> dict[str, list[str]]:
    """Return the ids of the sites that a file may mean by an id or a name."""
    named: dict[str, list[str]] = {}
    for site in sites:
        named.setdefault(site.site_id, []).append(site.site_id)
        named.setdefault(site.name.strip(), []).append(site.site_id)
    return named


def _numbered(path: Path, reader: _Reader) -> Iterator[tuple[int, list[str]]]:
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
