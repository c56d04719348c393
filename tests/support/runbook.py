"""A runbook as a test plays it: the commands of its page, in their order, and what they print beside what it shows."""

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from server.programs import program
from tests.support.deployment import SECONDS_MAX, Deployment

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
DATA_DIR = "/var/lib/shualian"
PORTS = {"enrollment": "127.0.0.1:7443", "terminal": "127.0.0.1:7444", "http": "127.0.0.1:7480"}
"""What the pages write for the platform's folder and ports; a test has its own."""

_BLOCK = re.compile(r"^```(console|text)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TOKEN = re.compile(r"[\w=./-]{32,}")
"""Tokens and hashes, with or without a digit in them."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command with what it printed, or (without a command) lines that somebody saw in a log."""

    command: str
    lines: tuple[str, ...]


def steps_in(page: str) -> Iterator[Step]:
    """Yield the steps of a page."""
    for kind, text in _BLOCK.findall(page):
        if kind == "text":
            yield Step("", tuple(text.splitlines()))
            continue
        first, *parts = re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)
        assert not first.strip(), f"a console block opens with its command, not with {first!r}"
        for part in parts:
            command, *lines = part.splitlines()
            yield Step(" ".join(command.split()), tuple(lines))


class Runbook:
    """One page on one deployment."""

    def __init__(self, name: str, deployment: Deployment) -> None:
        self._steps = deque(steps_in((FOLDER / f"{name}.md").read_text(encoding="utf-8")))
        self._deployment = deployment
        self.here = {DATA_DIR: str(deployment.data_dir)}
        """What the page's paths and names are in this test."""

    def play(self, begins: str, *, code: int = 0, **words: str) -> str:
        """Run the page's next command and return what it printed, which must be what the page shows.

        Args:
            begins: how the command begins; a test reads better with it, and a page that changed is noticed.
            code: the exit code that it must have.
            words: what stands for the words in capitals.
        """
        step = self._next(begins)
        if step.command.startswith("systemctl "):
            self._service(step.command.split()[1])
            return ""
        done = subprocess.run(
            ["/bin/bash", "-c", self._local(step.command, words)],
            env=self._env, capture_output=True, text=True, timeout=2 * SECONDS_MAX, check=False,
        )  # fmt: skip
        printed = done.stdout + done.stderr
        sys.stdout.write(f"$ {step.command}\n{printed}")  # pytest shows it when the test fails
        assert done.returncode == code, printed
        self._compare(step, printed)
        return printed

    def seen(self, text: str) -> None:
        """Compare the page's next lines of a log with a log."""
        self._compare(self._next(""), text)

    def close(self) -> None:
        """Refuse a page whose end was not played."""
        assert [step.command or step.lines for step in self._steps] == []

    def _next(self, begins: str) -> Step:
        assert self._steps, f"the page has no further command; {begins!r} was to come"
        step = self._steps.popleft()
        assert (step.command != "") is (begins != ""), (begins, step)
        assert step.command.startswith(begins), step
        return step

    def _service(self, verb: str) -> None:
        match verb:
            case "stop":
                assert self._deployment.server.stop() == 0
            case "start":
                self._deployment.start()
            case _:
                raise AssertionError(verb)

    def _local(self, command: str, words: dict[str, str]) -> str:
        for here, there in {**self.here, **self._ports}.items():
            command = command.replace(here, there)
        for word, value in words.items():
            assert re.search(rf"\b{word}\b", command), f"no {word} in {command}"
            command = re.sub(rf"\b{word}\b", value, command)
        return command

    def _compare(self, step: Step, printed: str) -> None:
        """The page may leave lines out, and the end of a line (…); what it shows must come, in this order."""
        for here, there in self.here.items():
            printed = printed.replace(there, here)
        came = iter([_masked(line) for line in printed.splitlines()])
        for line in step.lines:
            shown, is_whole = _masked(line.rstrip("… ")), not line.endswith("…")
            if shown:
                is_there = any(it == shown if is_whole else it.startswith(shown) for it in came)
                assert is_there, f"{step.command}: the page shows {line!r}; it was\n{printed}"

    @property
    def _ports(self) -> dict[str, str]:
        known = self._deployment.stage.known.get("ready")
        return {shown: known[port] for port, shown in PORTS.items()} if known else {}

    @property
    def _env(self) -> dict[str, str]:
        binaries = Path(program("shualian")).parent
        return {**self._deployment.stage.env, "PATH": f"{binaries}:{os.environ['PATH']}"}


def at_the_same_ports(deployment: Deployment) -> None:
    """Let its next start be at the ports of this one, as in real life: terminals come back to where they were."""
    ports = {f"SHUALIAN_{port.upper()}_PORT": getattr(deployment.ready, port).rpartition(":")[2] for port in PORTS}
    deployment.stage.settings = {**deployment.stage.settings, **ports}


@contextmanager
def the_runbook(name: str, deployment: Deployment) -> Iterator[Runbook]:
    """Play a page to its end."""
    book = Runbook(name, deployment)
    yield book
    book.close()


def _masked(line: str) -> str:
    """Return a line without what differs each time: words with a digit in them, tokens, and the width of columns."""
    return " ".join("#" if re.search(r"\d", word) or _TOKEN.fullmatch(word) else word for word in line.split())


def told(printed: str, name: str) -> str:
    """Return what a command says under a name, such as `issuer id`."""
    found = re.search(rf"^{name}:?\s+(\S+)\s*$", printed, re.MULTILINE)
    assert found, f"no {name} in {printed}"
    return found[1]
