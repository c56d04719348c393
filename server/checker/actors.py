"""The processes of a run: real programs that are killed, frozen, starved of disk, and started again."""

import asyncio
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Protocol

from server.programs import StepFailedError

READY_SECONDS_MAX: Final = 90.0
STOP_SECONDS_MAX: Final = 20.0
POLL_SECONDS: Final = 0.02
LINE_BYTES_MAX: Final = 1 << 20
TAIL_CHARACTERS: Final = 600
_NO_LIMIT: Final = resource.RLIM_INFINITY


class Process(Protocol):
    """What can be killed, and started again."""

    lives: int
    """How often it was started."""

    @property
    def name(self) -> str:
        """As the plan calls it."""
        ...

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether it lives and has been ready in this life."""
        ...

    async def start(self) -> None:
        """Begin a new life and wait until it is ready.

        Raises:
            StepFailedError: it ended, or was not ready in time.
        """
        ...

    def kill(self) -> None:
        """End it at once, as a power cut does; nothing is waited for."""
        ...

    async def ended(self) -> object:
        """Return once it has ended."""
        ...

    def last_words(self) -> str:
        """Return the end of what it wrote to its log."""
        ...


class Actor:
    """One program; each of its lives is a process of its own."""

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        *,
        env: Mapping[str, str],
        log: Path,
        ready_file: Path | None = None,
        on_line: Callable[[dict[str, Any]], None] = lambda _: None,
        on_ready: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        """Describe it.

        Args:
            name: as the plan calls it.
            command: program and arguments of the next life; nothing secret.
            env: its whole environment.
            log: gets what it writes to standard error, over all its lives.
            ready_file: what it writes once it is ready; without one it tells `open` in a line.
            on_line: told of each JSON line of its standard output.
            on_ready: told what it said when it was ready.
        """
        self.name: Final = name
        self.lives = 0
        self._command: Final = command
        self._env: Final = env
        self._log: Final = log
        self._ready_file: Final = ready_file
        self._on_line: Final = on_line
        self._on_ready: Final = on_ready
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._is_up = False

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        return self._process.pid if self.is_running and self._process else None

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def is_up(self) -> bool:
        """Whether it lives and has been ready in this life."""
        return self.is_running and self._is_up

    async def start(self) -> None:
        """Begin a new life and wait until it is ready.

        Raises:
            StepFailedError: it ended, or was not ready in time.
        """
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        self._opened.clear()
        self._is_up = False
        with self._log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *self._command(), env=dict(self._env), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=errors, limit=LINE_BYTES_MAX,
            )  # fmt: skip
        self.lives += 1
        self._reader = asyncio.create_task(self._read(self._process))
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while not self._is_ready():
                    if not self.is_running:
                        raise StepFailedError(f"{self.name} did not come up: {self.last_words()}")
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise StepFailedError(f"{self.name} was not ready in time: {self.last_words()}") from error
        self._is_up = True

    def kill(self) -> None:
        """End it at once, as a power cut does; nothing is waited for."""
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it lives."""
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    async def ended(self, *, within: float = STOP_SECONDS_MAX) -> int:
        """Return its exit code once it has ended and its last line was read.

        Raises:
            TimeoutError: it still runs.
        """
        if self._process is None:
            return 0
        async with asyncio.timeout(within):
            code = await self._process.wait()
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=within)
        return code

    async def stop(self) -> None:
        """End it, politely first."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            await self.ended()
        except TimeoutError:
            self.kill()
            await self.ended()

    async def write(self, line: str) -> bool:
        """Write a line to its standard input; return whether it could be."""
        stdin = self._process.stdin if self._process is not None and self.is_running else None
        if stdin is None or stdin.is_closing():
            return False
        try:
            stdin.write(f"{line}\n".encode())
            await stdin.drain()
        except ConnectionError:
            return False
        return True

    def close_input(self) -> None:
        """Say that no line follows."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    @contextmanager
    def disk_full(self, size: int) -> Iterator[None]:
        """Refuse this life to make any file larger than `size` bytes."""
        self._limit_files(size)
        try:
            yield
        finally:
            self._limit_files(_NO_LIMIT)

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error."""
        if not self._log.exists():
            return ""
        return self._log.read_text(encoding="utf-8", errors="replace")[-TAIL_CHARACTERS:]

    def _limit_files(self, size: int) -> None:
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError, PermissionError):
                _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))

    def _is_ready(self) -> bool:
        if self._ready_file is None:
            return self._opened.is_set()
        try:
            said = json.loads(self._ready_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        self._on_ready(said)
        return True

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        async for line in process.stdout:
            try:
                said = json.loads(line)
            except json.JSONDecodeError:
                continue  # A line for people.
            if isinstance(said, dict):
                if said.get("event") == "open":
                    self._opened.set()
                self._on_line(said)
