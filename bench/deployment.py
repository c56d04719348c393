"""A platform to measure: the real server as a process on a folder of its own, and its books opened beside it."""

import json
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from server.config import Config, load_config
from server.listeners import Ready
from server.programs import Program, ask, environment, program
from server.wiring import Domain, build_domain

T = TypeVar("T")

READY_SECONDS_MAX: Final = 120.0
STOP_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.02
FILES_BESIDE_CONNECTIONS: Final = 512
"""Open files of a process beside its terminals' connections: database, logs, listeners, threads' pollers."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")

Settings = Mapping[str, object]
"""By key as docs/configuration.md has it, such as `limits.calls_burst`; what a measurement must widen, and no more."""


class BenchError(Exception):
    """Nothing can be measured here; the text says what is in the way and what to do."""


class Deployment:
    """One platform on one data folder; its process may be ended and started again, on the same ports."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Make keys and authority; nothing serves before `start`."""
        self.folder = folder
        self.settings: dict[str, object] = {
            "data_dir": str(folder / "platform"),
            "models_dir": str(load_config(None, os.environ).models_dir),
            "enrollment.port": 0,
            "terminal.port": 0,
            "admin.port": 0,
            "http.port": 0,
            "diagnostics.enabled": False,
            **settings,
        }
        self._server: Program | None = None
        self._write_settings()
        ask([*self._shualian, "ca", "init"], env=environment({}))

    @property
    def config(self) -> Config:
        """What the server reads."""
        return load_config(self._settings_file, {})

    @cached_property
    def domain(self) -> Domain:
        """The books, opened by this process beside the server: the place of an operator."""
        return build_domain(self.config)

    @cached_property
    def root_pem(self) -> bytes:
        """The root certificate a terminal trusts."""
        return (self.config.authority_dir / "root.pem").read_bytes()

    @property
    def server(self) -> Program:
        """The process that serves."""
        if self._server is None:
            raise BenchError("the server was not started")
        return self._server

    @cached_property
    def ready(self) -> Ready:
        """Where the server listens; the same after a restart."""
        return Ready(**json.loads(self._ready_file.read_text(encoding="utf-8")))

    def start(self) -> None:
        """Start the server and wait until every port is open."""
        self._ready_file.unlink(missing_ok=True)
        command = [*self._shualian, "serve", "--ready-file", str(self._ready_file)]
        self._server = Program(command, env=environment({}), log=self.folder / "server.log")
        until = time.monotonic() + READY_SECONDS_MAX
        while not self._ready_file.is_file():
            if not self._server.is_running or time.monotonic() > until:
                raise BenchError(f"the platform did not come up: {self._server.last_words()}")
            time.sleep(POLL_SECONDS)
        for listener in ("enrollment", "terminal", "http"):  # terminals come back to the port they know
            if where := getattr(self.ready, listener):
                self.settings[f"{listener}.port"] = int(where.rpartition(":")[2])
        self._write_settings()

    def write(self, work: Callable[[Connection], T]) -> tuple[T, float]:
        """Change something from this process, which is not the server's; return when the commit was sent off, too."""
        with self.domain.engine.connect() as connection, connection.begin() as transaction:
            done = work(connection)
            at = time.monotonic()
            transaction.commit()
        return done, at

    def rss_kib(self) -> int:
        """Return the memory that the server holds."""
        status = Path(f"/proc/{self.server.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def cpu_seconds(self) -> float:
        """Return the processor time that the server has used."""
        return cpu_seconds(self.server.pid)

    def close(self) -> None:
        """Stop what runs."""
        if self._server is not None:
            self._server.stop(within=STOP_SECONDS_MAX)
        if "domain" in vars(self):
            self.domain.engine.dispose()

    @property
    def _settings_file(self) -> Path:
        return self.folder / "bench.toml"

    @property
    def _ready_file(self) -> Path:
        return self.folder / "ready.json"

    @property
    def _shualian(self) -> list[str]:
        return [program("shualian"), "--config", str(self._settings_file)]

    def _write_settings(self) -> None:
        """Write the configuration file; JSON's texts, numbers and booleans are TOML's too."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.settings.items()]
        self._settings_file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def a_deployment(settings: Settings) -> Iterator[Deployment]:
    """Give a platform that does not serve yet; it is stopped and its folder removed in any case."""
    # Beside the work, not in the system's temporary folder: that one may be memory, where a commit costs nothing.
    here = Path.cwd() if os.access(Path.cwd(), os.W_OK) else None
    with TemporaryDirectory(prefix=".bench-", dir=here) as folder:
        deployment = Deployment(Path(folder), settings)
        try:
            yield deployment
        finally:
            deployment.close()


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def allow_open_files(connections: int) -> None:
    """Raise this process's bound of open files, which the server inherits, as far as so many connections need.

    Raises:
        BenchError: the machine does not allow it.
    """
    needed = connections + FILES_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchError(
            f"{connections} connections need {needed} open files in one process, and this machine allows {hard}; "
            "raise the hard limit (`ulimit -Hn`, LimitNOFILE= of a systemd unit) or measure fewer terminals"
        )
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def percentile(values: list[float], part: float) -> float:
    """Return the value that `part` of all lie at or below (nearest rank)."""
    ordered: list[Any] = sorted(values)
    return float(ordered[max(0, -(-int(part * 1000) * len(ordered) // 1000) - 1)])
