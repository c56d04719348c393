"""The alert rules do what they say: Prometheus' own tool plays them, where it is installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

RULES = Path(__file__).parents[3] / "monitoring" / "rules"
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None,
    reason="promtool is not here; `make promtool` brings it, and these rules are not played",
)


def played(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([str(PROMTOOL), *map(str, arguments)], capture_output=True, text=True, check=False)


@needs_promtool
@pytest.mark.parametrize("rules", sorted(RULES.glob("*.yml")), ids=lambda path: path.stem)
def test_prometheus_reads_the_rules(rules: Path) -> None:
    found = played("check", "rules", rules)

    assert found.returncode == 0, found.stdout + found.stderr


@needs_promtool
@pytest.mark.parametrize("tests", sorted((RULES / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_the_alerts_fire_when_they_should_and_not_before(tests: Path) -> None:
    found = played("test", "rules", tests)

    assert found.returncode == 0, found.stdout + found.stderr
