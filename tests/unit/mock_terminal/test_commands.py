"""Commands come at least once, and are done once."""

from pathlib import Path

import pytest

from mock_terminal.commands import DONE_COMMANDS_MAX, DoneCommands
from mock_terminal.errors import StateError


def test_what_was_done_is_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "commands.json"
    DoneCommands(path).add("C-1")

    again = DoneCommands(path)

    assert "C-1" in again
    assert "C-2" not in again


def test_memory_is_bounded_and_forgets_the_oldest(tmp_path: Path) -> None:
    path = tmp_path / "commands.json"
    path.write_text(str([f"C-{number}" for number in range(DONE_COMMANDS_MAX)]).replace("'", '"'), encoding="utf-8")
    done = DoneCommands(path)

    done.add("newest")

    assert "newest" in done
    assert "C-0" not in done
    assert "C-1" in DoneCommands(path)


@pytest.mark.parametrize("content", [b"[", b"{}", b"\xff"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "commands.json"
    path.write_bytes(content)

    with pytest.raises(StateError, match=r"commands\.json is damaged"):
        DoneCommands(path)
