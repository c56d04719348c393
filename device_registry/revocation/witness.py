"""A file of JSON lines that only grows, kept outside the database: what the database once said and cannot take back.

Several processes append to one file. Whoever appends holds a lock (`<file>.lock`, so that the file itself may be
replaced), looks at the last line, and writes what follows it. A line counts once its newline is on the disk.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from device_registry.errors import WitnessBrokenError, WitnessMissingError, WitnessUnwritableError

Line = Mapping[str, Any]
LINE_BYTES_MAX = 8192
_OWNER_ONLY = 0o600
_FOLDER_MODE = 0o700
_canonical_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class WitnessFile:
    """Reads and extends one such file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Return whether the file is there; an empty one is."""
        return self.path.exists()

    def create(self) -> None:
        """Make the empty file, unless there is one."""
        with self._writable(), self._locked():
            os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, _OWNER_ONLY))
            self._sync_folder()

    def last(self) -> Line | None:
        """Return the last whole line; None of an empty file.

        Raises:
            WitnessMissingError: there is no file.
            WitnessBrokenError: the line is no JSON object.
        """
        with self._open() as file:
            end = file.seek(0, os.SEEK_END)
            start = max(0, end - 2 * LINE_BYTES_MAX)
            file.seek(start)
            whole, newline, _torn = file.read().rpartition(b"\n")
        if not newline:
            return None
        return self._parsed(whole.rpartition(b"\n")[2], "the last line")

    def lines(self) -> Iterator[Line]:
        """Yield every whole line; a torn one at the end was never acknowledged and does not count.

        Raises:
            WitnessMissingError, WitnessBrokenError: as above.
        """
        with self._open() as file:
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n"):
                    return  # what somebody appends meanwhile is the rest of this one, no line of its own
                yield self._parsed(raw, f"line {number}")

    def append(self, following: Callable[[Line | None], Sequence[Line]]) -> int:
        """Write what follows the last line and return how many lines that were; they are on the disk then.

        Args:
            following: given the last line, returns those that come after it; called while nobody else writes.

        Raises:
            WitnessMissingError, WitnessBrokenError: as above.
            WitnessUnwritableError: the disk refuses.
        """
        with self._locked():
            lines = following(self.last())
            if not lines:
                return 0
            with self._writable(), self.path.open("r+b") as file:
                _cut_torn_line(file)
                file.write(b"".join(_canonical_json(dict(line)).encode() + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            return len(lines)

    def replace(self, lines: Sequence[Line], *, aside: str) -> Path | None:
        """Write the file anew; the former one is kept beside it under another name, which is returned."""
        with self._writable(), self._locked():
            former = self.path.with_name(f"{self.path.name}.{aside}") if self.path.exists() else None
            draft = self.path.with_name(f"{self.path.name}.new")
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY), "wb") as file:
                file.write(b"".join(_canonical_json(dict(line)).encode() + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
            if former is not None and not former.exists():
                _keep_aside(self.path, former)
            draft.replace(self.path)  # the one moment in which the file changes: whoever is killed leaves it, or this
            self._sync_folder()
            return former

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._writable():
            self.path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, _OWNER_ONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WitnessUnwritableError(path=self.path, detail=error.strerror or "cannot be written") from error

    @contextmanager
    def _open(self) -> Iterator[Any]:
        try:
            file = self.path.open("rb")
        except FileNotFoundError as error:
            raise WitnessMissingError(path=self.path, detail="missing") from error
        except OSError as error:
            raise WitnessBrokenError(path=self.path, detail=error.strerror or "unreadable") from error
        try:
            with file:
                yield file
        except OSError as error:
            raise WitnessBrokenError(path=self.path, detail=error.strerror or "unreadable") from error

    def _parsed(self, raw: bytes, where: str) -> Line:
        try:
            line = json.loads(raw)
        except ValueError as error:
            raise WitnessBrokenError(path=self.path, detail=f"{where} is no JSON") from error
        if not isinstance(line, dict):
            raise WitnessBrokenError(path=self.path, detail=f"{where} is no JSON object")
        return line

    def _sync_folder(self) -> None:
        """Put the names themselves on the disk."""
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _keep_aside(path: Path, other: Path) -> None:
    """Give the file a second name, or a copy where the file system knows no second names."""
    try:
        os.link(path, other)
    except OSError:
        shutil.copyfile(path, other)


def _cut_torn_line(file: Any) -> None:  # noqa: ANN401 - a binary file, as `open` returns it
    """Cut off what follows the last whole line: a crash left it, and whoever wrote it was not answered."""
    end = file.seek(0, os.SEEK_END)
    start = max(0, end - 2 * LINE_BYTES_MAX)
    file.seek(start)
    _whole, newline, torn = file.read().rpartition(b"\n")
    file.truncate(end - len(torn) if newline or start == 0 else end)
    file.seek(0, os.SEEK_END)
