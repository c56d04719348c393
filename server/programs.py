"""How are our own programs run from a program? As processes, their answers read as JSON, stopped by their pid."""

import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

Answer = dict[str, Any]

COMMAND_SECONDS_MAX: Final = 60.0
STOP_SECONDS_MAX: Final = 15.0
TAIL_LINES: Final = 5
TAIL_CHARACTERS: Final = 400


class StepFailedError(Exception):
    """A step that runs our programs did not go as it must; the text says what came instead."""


def program(name: str) -> str:
    """Return the path of one of our console scripts: beside this Python, so that it is the same installation."""
    beside = Path(sys.executable).parent / name
    if not beside.is_file():
        raise StepFailedError(f"{name} is not installed beside {sys.executable}")
    return str(beside)


def ask(command: Sequence[str], *, env: Mapping[str, str], typed: str = "") -> Answer:
    """Run a command with `--json` to its end and return its one JSON document.

    Args:
        command: program and arguments; nothing secret, because every user of a machine can read them.
        env: the whole environment.
        typed: what is written to its standard input: secrets go here.

    Raises:
        StepFailedError: it failed, took too long, or answered something else.
    """
    try:
        done = subprocess.run(  # noqa: S603 - our own programs
            [*command, "--json"], env=dict(env), input=typed, capture_output=True, text=True,
            timeout=COMMAND_SECONDS_MAX, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise StepFailedError(f"{_shown(command)} took longer than {COMMAND_SECONDS_MAX:.0f} s") from error
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise StepFailedError(f"{_shown(command)}: {_tail(done.stderr or done.stdout)}") from error
    if done.returncode or not isinstance(answer, dict):
        told = answer.get("error", {}).get("message") if isinstance(answer, dict) else None
        raise StepFailedError(f"{_shown(command)} left with {done.returncode}: {told or _tail(done.stderr)}")
    return answer


class Program:
    """A program that keeps running; its events, one JSON object a line, are read while it does."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], log: Path, typed: str = "") -> None:
        self._command = list(command)
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                self._command, env=dict(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self._events: queue.Queue[tuple[float, Answer] | None] = queue.Queue()
        if self._process.stdin is not None:
            with self._process.stdin as stdin:
                stdin.write(typed)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait_for(
        self, *names: str, within: float, passing: list[tuple[float, Answer]] | None = None
    ) -> tuple[float, Answer]:
        """Return the next event with one of these names, and the time it arrived (seconds since 1970); others pass by.

        Raises:
            StepFailedError: it did not come in time, or the program ended before.
        """
        until = time.monotonic() + within
        while (left := until - time.monotonic()) > 0:
            try:
                arrived = self._events.get(timeout=left)
            except queue.Empty:
                break
            if arrived is None:
                ended = self._process.wait(STOP_SECONDS_MAX)
                raise StepFailedError(f"{_shown(self._command)} ended with {ended}: {self.last_words()}")
            if arrived[1].get("event") in names:
                return arrived
            if arrived[1].get("event") == "failed":
                told = f"{arrived[1].get('reason')}: {arrived[1].get('message')}"
                raise StepFailedError(f"{_shown(self._command)} failed with {told}")
            if passing is not None:
                passing.append(arrived)
        raise StepFailedError(f"no {' or '.join(names)} within {within:.0f} s from {_shown(self._command)}")

    def wait(self, *, within: float) -> int:
        """Return its exit code once it has ended by itself."""
        try:
            return self._process.wait(within)
        except subprocess.TimeoutExpired as error:
            raise StepFailedError(f"{_shown(self._command)} still runs after {within:.0f} s") from error

    def stop(self, *, within: float = STOP_SECONDS_MAX) -> int:
        """End it, politely first; return its exit code."""
        if self.is_running:
            self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(STOP_SECONDS_MAX)
        return code

    def _read(self, stdout: IO[str] | None) -> None:
        with stdout or io.StringIO() as lines:
            for line in lines:
                try:
                    event = json.loads(line)
                except json.JSONDecodeError:
                    continue  # A line for people: where the server listens.
                if isinstance(event, dict):
                    self._events.put((time.time(), event))
        self._events.put(None)

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error."""
        return _tail(self._log.read_text(encoding="utf-8", errors="replace"))


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return our environment with these settings and no other SHUALIAN_ variable: a run is the same everywhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SHUALIAN_")}
    return {**kept, **settings}


def _shown(command: Sequence[str]) -> str:
    return " ".join([Path(command[0]).name, *command[1:3]])


def _tail(text: str) -> str:
    """Return the last lines for people; log lines are told only when there is nothing else."""
    lines = text.strip().splitlines()
    spoken = [line for line in lines if not line.startswith("{")] or lines
    return " / ".join(spoken[-TAIL_LINES:])[-TAIL_CHARACTERS:] or "no words"
