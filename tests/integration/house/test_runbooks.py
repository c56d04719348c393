"""Pages for bad days do not rot: each is played by a test, an alert leads to it, and its commands exist."""

import re
import shlex
from collections.abc import Iterator
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from server.cli import app

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = ROOT / "monitoring" / "rules" / "shualian.yml"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem != "README")
WITH_COMMANDS = [*sorted(RUNBOOKS.glob("*.md")), *sorted((ROOT / "docs" / "operations").glob("*.md")), RULES]
SECTIONS = [
    "## What one sees",
    "## What it means for patients",
    "## What to do",
    "## How to see that it is over",
    "## How to prevent it",
]

_COMMAND = re.compile(r"`(shualian [^`]*)`|(?:^|\$ )(shualian .*?)(?: *#.*)?$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_runbook_has_its_shape_is_in_the_index_and_is_played(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    played = ROOT / "tests" / "system" / f"test_runbook_{page.stem.replace('-', '_')}.py"

    assert [line for line in text.splitlines() if line in SECTIONS] == SECTIONS
    assert f"]({page.name})" in (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    assert f'the_runbook("{page.stem}"' in " ".join(played.read_text(encoding="utf-8").split()).replace("( ", "(")


def test_alerts_lead_to_runbooks_that_are_there_and_to_each_of_them() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    linked = {rule["annotations"]["runbook"] for rule in rules if "runbook" in rule["annotations"]}
    known = {rule["alert"] for rule in rules}
    named = set(re.findall(r"`(Shualian[A-Z]\w+)`", "".join(page.read_text(encoding="utf-8") for page in PAGES)))

    assert [path for path in linked if not (ROOT / path).is_file()] == []
    assert {f"docs/runbooks/{page.name}" for page in PAGES} <= linked
    assert named <= known


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=lambda path: path.stem)
def test_every_command_that_a_page_or_an_alert_names_exists_with_its_options(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [" ".join(found).strip() for found in _COMMAND.findall(text)]

    assert [wrong for command in commands for wrong in unknown_in(command)] == []


@pytest.mark.parametrize(
    "command", ["shualian command forecast", "shualian ca revoke X --gently", "shualian --sever H ca list"]
)
def test_a_command_that_does_not_exist_is_noticed(command: str) -> None:
    assert list(unknown_in(command))


def unknown_in(command: str) -> Iterator[str]:
    """Yield what a command line names that is not there: a verb, or an option."""
    _, *words = words_of(command)
    here: Any = typer.main.get_command(app)
    values = iter(words)
    for word in values:
        if word in {"...", "…"}:
            return
        if word.startswith("--"):
            option = next((it for it in here.params if word.partition("=")[0] in it.opts), None)
            if option is None:
                yield f"{command}: no option {word}"
            elif not option.is_flag and "=" not in word:
                next(values, None)
        elif hasattr(here, "list_commands"):
            found = [here.get_command(None, name) for name in word.split("|")]
            if None in found:
                yield f"{command}: no verb {word}"
                return
            here = found[0]


def words_of(command: str) -> list[str]:
    """Return the words of a command line up to a pipe; a page may leave a quotation open with an ellipsis."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    return list(takewhile(lambda word: word not in {"|", ">", "&&"}, chain(words)))
