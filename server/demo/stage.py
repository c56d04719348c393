"""What does the demo carry from step to step? Folders, ids, and the processes that must be stopped in the end."""

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from server.programs import Answer, Program, ask, environment, program

T = TypeVar("T")

SESSIONS_AT_ONCE: Final = 3
"""One terminal plays several, so that nobody waits for it: a patient and, beside them, two who must not pass."""
BESIDE_MAX: Final = 4
"""What goes on beside the step that is told: more would only wait for a processor."""
MAKER: Final = "Demo Works"
MODEL: Final = "K1"
SERIAL_NUMBER: Final = "DEMO-0001"
REGION: Final = "110000"
PERSON_NAME: Final = "赵小满"  # made up
ID_NUMBER: Final = "110101195503076622"  # made up; only its checksum is real
CARD_NUMBER: Final = "DEMO00000001"
DOCTOR_NAME: Final = "钱若水"  # made up
DOCTOR_CODE: Final = "D110000000001"  # made up
PLACE: Final = "39.9042,116.4074"
"""Where the clinic and its terminal are, degrees north and east."""
FUND_FEN: Final = 100_000_000
ACCOUNT_FEN: Final = 60_000
BILL_FEN: Final = 32_680
NOT_COVERED_FEN: Final = 2_680


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a step has to tell: a line for people, notes below it, and details for programs."""

    line: str
    notes: Sequence[str] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Stage:
    """Where the demo plays."""

    folder: Path
    models_dir: Path
    models_manifest: Path | None = None
    known: dict[str, Any] = field(default_factory=dict)
    """What earlier steps found out, for later ones."""
    running: dict[str, Program] = field(default_factory=dict)
    _beside: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=BESIDE_MAX))

    @property
    def env(self) -> dict[str, str]:
        """The environment of every process: one data folder, any free ports, this machine only."""
        settings = {
            "SHUALIAN_DATA_DIR": str(self.folder / "platform"),
            "SHUALIAN_MODELS_DIR": str(self.models_dir),
            "SHUALIAN_ENROLLMENT_PORT": "0",
            "SHUALIAN_TERMINAL_PORT": "0",
            "SHUALIAN_ADMIN_PORT": "0",
            "SHUALIAN_HTTP_PORT": "0",
            "SHUALIAN_DIAGNOSTICS_ENABLED": "false",
            "SHUALIAN_LIMITS_FACE_SESSIONS_PER_TERMINAL_MAX": str(SESSIONS_AT_ONCE),
        }
        if self.models_manifest is not None:
            settings["SHUALIAN_MODELS_MANIFEST"] = str(self.models_manifest)
        if sys.dont_write_bytecode:  # The demo starts some twenty processes: let them compile once, in our own folder.
            settings |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.folder / "bytecode")}
        return environment(settings)

    def meanwhile(self, work: Callable[..., T], *arguments: Any, **options: Any) -> Future[T]:  # noqa: ANN401 - whatever the work takes
        """Begin something that a later step needs; what goes wrong with it is told where its result is asked for."""
        return self._beside.submit(work, *arguments, **options)

    def platform(self, *arguments: str, typed: str = "") -> Answer:
        """Ask the platform's command line."""
        return ask([program("shualian"), *arguments], env=self.env, typed=typed)

    def start(self, role: str, *command: str, typed: str = "", secret: Mapping[str, str] | None = None) -> Program:
        """Start a program that keeps running until `close`, or until it ends.

        Args:
            role: its name in `running`, and of its log.
            command: program and arguments; every user of the machine can read them.
            typed: what is written to its standard input.
            secret: more environment, for this program alone.
        """
        path = self.folder / f"{role}.log"
        env = {**self.env, **(secret or {})}
        started = Program([program(command[0]), *command[1:]], env=env, log=path, typed=typed)
        self.running[role] = started
        return started

    def terminal(
        self, verb: str, *arguments: str, role: str = "", typed: str = "", secret: Mapping[str, str] | None = None
    ) -> Program:
        """Start a verb of the mock terminal, under this role or the verb's name; its events come as JSON lines."""
        state = str(self.folder / "terminal")
        command = ("shualian-terminal", verb, *arguments, "--state", state, "--json")
        return self.start(role or verb, *command, typed=typed, secret=secret)

    def close(self) -> None:
        """Stop every process that is left, last started first, each by its own pid."""
        self._beside.shutdown(cancel_futures=True)
        for started in reversed(list(self.running.values())):
            started.stop()
        self.running.clear()
