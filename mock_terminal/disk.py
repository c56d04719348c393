"""How does a terminal write to its disk? Complete or not at all, for its owner alone, one process at a time."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from mock_terminal.errors import StateError

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
ASK_AGAIN_SECONDS: Final = 0.02


def make_private(folder: Path) -> None:
    """Make a folder that its owner alone can enter, durable; one that is there stays as it is."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    sync_folder(folder.parent)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, complete or not at all, and durable."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make durable which names a folder holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def alone(folder: Path, work: str, *, patience: timedelta = timedelta()) -> Iterator[None]:
    """Keep the terminal's other processes from the same work while the block runs; a crash lets go, too.

    Args:
        folder: the terminal's state.
        work: what is done alone.
        patience: for how long to wait for another one.

    Raises:
        StateError: another one is at it.
    """
    make_private(folder)
    descriptor = os.open(folder / f"{work}.lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        until = time.monotonic() + patience.total_seconds()
        while not _is_ours(descriptor):
            if time.monotonic() >= until:
                raise StateError(f"another process is busy with {work} in {folder}")
            time.sleep(ASK_AGAIN_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _is_ours(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
