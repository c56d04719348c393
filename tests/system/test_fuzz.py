"""A short run of each fuzzer; `make fuzz` runs them for longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import write

SECONDS = 5
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(310)
@pytest.mark.parametrize("target", ["decoding", "conversation"])
def test_nothing_a_terminal_sends_breaks_the_way_to_the_decision(target: str, tmp_path: Path) -> None:
    write(tmp_path)
    command = [sys.executable, "-m", f"tests.fuzz.{target}", str(tmp_path / target)]
    bounds = [f"-max_total_time={SECONDS}", "-rss_limit_mb=3000", f"-artifact_prefix={tmp_path}/"]

    ran = subprocess.run(
        [*command, *bounds], cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=False, timeout=300
    )

    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "Done " in ran.stderr
