"""What can go wrong with commands to terminals."""

from typing import ClassVar

from device_registry.errors.base import RegistryError


class CommandInvalidError(RegistryError):
    """The action does not take these parameters."""

    reason: ClassVar[str] = "COMMAND_INVALID"

    def __init__(self, *, action: str, detail: str) -> None:
        self.action = action
        self.detail = detail
        super().__init__(f"{action}: {detail}")


class CommandUnknownError(RegistryError):
    """This terminal was never given a command with this id."""

    reason: ClassVar[str] = "COMMAND_UNKNOWN"

    def __init__(self, *, command_id: str) -> None:
        self.command_id = command_id
        super().__init__(command_id)


class TooManyCommandsError(RegistryError):
    """The terminal has as many unanswered commands as one may have."""

    reason: ClassVar[str] = "TOO_MANY_COMMANDS"

    def __init__(self, *, terminal_id: str, commands_open_max: int) -> None:
        self.terminal_id = terminal_id
        self.commands_open_max = commands_open_max
        super().__init__(f"{terminal_id}: {commands_open_max}")
