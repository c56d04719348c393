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


class CommandOverError(RegistryError):
    """The command was answered or closed before; there is nothing left to take back."""

    reason: ClassVar[str] = "COMMAND_OVER"

    def __init__(self, *, command_id: str, outcome: str) -> None:
        self.command_id = command_id
        self.outcome = outcome
        super().__init__(f"{command_id}: {outcome}")


class IdempotencyKeyReusedError(RegistryError):
    """The key belongs to an earlier request that asked for something else."""

    reason: ClassVar[str] = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self, *, idempotency_key: str) -> None:
        self.idempotency_key = idempotency_key
        super().__init__(idempotency_key)


class FirmwareUnfitError(RegistryError):
    """This firmware is offered to nobody: it was flagged or withdrawn, or there is none with this id."""

    reason: ClassVar[str] = "FIRMWARE_UNFIT"

    def __init__(self, *, firmware_id: str, state: str) -> None:
        self.firmware_id = firmware_id
        self.state = state
        super().__init__(f"{firmware_id}: {state}")


class FirmwareOfAnotherModelError(RegistryError):
    """The firmware is for another model than the terminal."""

    reason: ClassVar[str] = "FIRMWARE_OF_ANOTHER_MODEL"

    def __init__(self, *, model: str, terminal_id: str) -> None:
        self.model = model
        self.terminal_id = terminal_id
        super().__init__(f"{terminal_id} is no {model}")
