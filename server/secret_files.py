"""How is a secret file written once and read again, by nobody but its owner?"""

import os
import stat
from pathlib import Path
from typing import ClassVar

_OWNER_ONLY = 0o600
_FOLDER_MODE = 0o700


class KeyFileError(Exception):
    """A secret key cannot be used."""

    reason: ClassVar[str] = "KEY_UNUSABLE"

    def __init__(self, *, path: Path, detail: str) -> None:
        self.path = path
        self.detail = detail
        super().__init__(f"{path}: {detail}")


class KeyFileMissingError(KeyFileError):
    """The file is not there; `shualian ca init` makes all of them."""

    reason: ClassVar[str] = "KEY_MISSING"


class KeyFileExposedError(KeyFileError):
    """Others than the owner may read the file."""

    reason: ClassVar[str] = "KEY_EXPOSED"


def read_secret(path: Path) -> bytes:
    """Return what a secret file holds, if nobody but its owner may read it.

    Raises:
        KeyFileMissingError: it is not there.
        KeyFileExposedError: others may read it.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        raise KeyFileMissingError(path=path, detail="missing; `shualian ca init` makes it") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyFileExposedError(path=path, detail=f"mode is {mode:o}, must be 600")
    return content


def written_new(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet, open to nobody else at any moment; return whether it was written."""
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return True
