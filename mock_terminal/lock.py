"""May this terminal take patients? Not while an operator has locked it, also after a restart."""

from dataclasses import dataclass
from pathlib import Path

from mock_terminal.disk import write_private
from mock_terminal.errors import TerminalError


class TerminalLockedError(TerminalError):
    """An operator has locked this terminal; it shows "out of service" until an unlock."""

    reason = "TERMINAL_LOCKED"

    def __init__(self) -> None:
        super().__init__("this terminal is out of service: an operator has locked it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The lock of one terminal, in its state folder."""

    state: Path

    @property
    def is_locked(self) -> bool:
        """Return whether it is locked."""
        return self._file.exists()

    def lock(self) -> None:
        """Take no patients from now on."""
        write_private(self._file, b"locked by the platform\n")

    def unlock(self) -> None:
        """Take patients again."""
        self._file.unlink(missing_ok=True)

    def refuse(self) -> None:
        """Return when patients may come.

        Raises:
            TerminalLockedError: they may not.
        """
        if self.is_locked:
            raise TerminalLockedError

    @property
    def _file(self) -> Path:
        return self.state / "locked"
