"""`shualian core-sim` as a process of its own, for tests that drop its answers and kill it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.institution import Institution

STOP_SECONDS_MAX = 30


@dataclass(frozen=True, kw_only=True)
class CoreProcess:
    """The running process."""

    process: subprocess.Popen[str]
    address: str
    http: httpx.Client

    def institution(self, code: str = "H99010000001") -> Institution:
        """Return an institution that speaks to it, signed in."""
        hospital = Institution(lambda body: self.http.post("/fsi/api/call", content=body).content, code=code)
        hospital.sign_in()
        return hospital

    def follow(self, *rules: Mapping[str, Any], seed: int = 1) -> None:
        """Put a script in force."""
        self.http.post("/sim/script", json={"seed": seed, "rule": list(rules)}).raise_for_status()

    def books(self, **picked: str) -> list[dict[str, Any]]:
        """Return its settlements."""
        found: list[dict[str, Any]] = (
            self.http.get("/sim/books", params=picked).raise_for_status().json()["settlements"]
        )
        return found

    def totals(self) -> dict[str, Any]:
        """Return its counts and sums."""
        found: dict[str, Any] = self.http.get("/sim/books/totals").raise_for_status().json()
        return found


@contextmanager
def core_process(books: Path, *options: str) -> Iterator[CoreProcess]:
    """Start it on a file of books, wait until it listens, and stop it in the end."""
    ready_file = books.with_name("ready.json")
    ready_file.unlink(missing_ok=True)
    command = [str(Path(sys.executable).parent / "shualian"), "core-sim", "--books", str(books)]
    with subprocess.Popen(
        [*command, "--ready-file", str(ready_file), *options], stdout=subprocess.PIPE, text=True
    ) as one:
        try:
            line = one.stdout.readline() if one.stdout is not None else ""
            address = json.loads(line)["address"]
            assert json.loads(ready_file.read_text("utf-8")) == {"address": address, "pid": one.pid}
            with httpx.Client(base_url=address, timeout=30) as http:
                yield CoreProcess(process=one, address=address, http=http)
        finally:
            one.terminate()
            one.wait(STOP_SECONDS_MAX)
