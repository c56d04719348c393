"""Which commands did this terminal do? Remembered on disk, because each is delivered at least once."""

import json
from pathlib import Path
from typing import Any, Final

from mock_terminal.disk import write_private
from mock_terminal.errors import StateError

DONE_COMMANDS_MAX: Final = 1000


class DoneCommands:
    """The newest of the commands that were done, by id."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path
        self._ids: Final = _ids_from(path)

    def __contains__(self, command_id: str) -> bool:
        return command_id in self._ids

    def add(self, command_id: str) -> None:
        """Remember one; the oldest are forgotten."""
        self._ids.append(command_id)
        del self._ids[:-DONE_COMMANDS_MAX]
        write_private(self._path, json.dumps(self._ids).encode())


def _ids_from(path: Path) -> list[str]:
    if not path.exists():
        return []
    try:
        found: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise StateError(f"{path} is damaged: delete it") from error
    if not isinstance(found, list):
        raise StateError(f"{path} is damaged: delete it")
    return [str(command_id) for command_id in found]
