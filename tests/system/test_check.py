"""The checker runs real processes for a few seconds, kills one of each kind, and finds three books that agree."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from server.programs import program
from tests.support.models import installed_models_dir

SEED = 5


@pytest.mark.timeout(600)
def test_i05_i06_a_short_run_kills_each_kind_of_process_and_the_three_books_agree(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    kept = tmp_path / "kept"
    done = subprocess.run(
        [
            program("shualian"), "check", "--seed", str(SEED), "--minutes", "0.15", "--insurer", "fsi",
            "--terminals", "2", "--report", str(report), "--keep", str(kept),
        ],
        env={**os.environ, "SHUALIAN_MODELS_DIR": str(installed_models_dir())},
        capture_output=True, text=True, timeout=570, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text(encoding="utf-8"))
    assert told["ok"]
    assert told["violations"] == []
    assert set(told["kills_by_process"]) == {"server", "core", "terminal"}
    assert told["settlements"] > 0
    assert told["acknowledged"] > 0
    assert "All three books tell one story." in done.stdout
    assert not [pid for pid in _pids(kept) if _is_alive(pid)]


def _pids(kept: Path) -> list[int]:
    """Return the newest process ids that server and core wrote down."""
    return [int(json.loads((kept / name).read_text())["pid"]) for name in ("ready.json", "core-ready.json")]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
