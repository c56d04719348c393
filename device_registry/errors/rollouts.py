"""What can go wrong with rollouts."""

from typing import ClassVar

from device_registry.errors.base import RegistryError


class RolloutUnknownError(RegistryError):
    """No rollout has this id."""

    reason: ClassVar[str] = "ROLLOUT_UNKNOWN"

    def __init__(self, *, rollout_id: str) -> None:
        self.rollout_id = rollout_id
        super().__init__(rollout_id)


class RolloutStateError(RegistryError):
    """The rollout is not in a state that allows this."""

    reason: ClassVar[str] = "ROLLOUT_STATE"

    def __init__(self, *, rollout_id: str, state: str, wanted: str) -> None:
        self.rollout_id = rollout_id
        self.state = state
        self.wanted = wanted
        super().__init__(f"{rollout_id}: {state} to {wanted}")


class RolloutEmptyError(RegistryError):
    """No terminal in service fits the selection."""

    reason: ClassVar[str] = "ROLLOUT_EMPTY"

    def __init__(self) -> None:
        super().__init__("no terminal fits")


class RolloutTooLargeError(RegistryError):
    """More terminals fit the selection than one rollout takes."""

    reason: ClassVar[str] = "ROLLOUT_TOO_LARGE"

    def __init__(self, *, members_max: int) -> None:
        self.members_max = members_max
        super().__init__(f"above {members_max}")


class TooManyRolloutsError(RegistryError):
    """As many rollouts are open as there may be."""

    reason: ClassVar[str] = "TOO_MANY_ROLLOUTS"

    def __init__(self, *, rollouts_open_max: int) -> None:
        self.rollouts_open_max = rollouts_open_max
        super().__init__(str(rollouts_open_max))
