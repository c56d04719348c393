"""What can go wrong with findings and with the policy of the fleet checks."""

from collections.abc import Sequence
from typing import ClassVar

from device_registry.errors.base import RegistryError


class FindingUnknownError(RegistryError):
    """No finding has this id."""

    reason: ClassVar[str] = "FINDING_UNKNOWN"

    def __init__(self, *, finding_id: str) -> None:
        self.finding_id = finding_id
        super().__init__(finding_id)


class FindingStateError(RegistryError):
    """The finding is too far on for this: closed, or taken on by somebody before."""

    reason: ClassVar[str] = "FINDING_STATE"

    def __init__(self, *, finding_id: str, state: str, wanted: str) -> None:
        self.finding_id = finding_id
        self.state = state
        self.wanted = wanted
        super().__init__(f"{finding_id}: {state} to {wanted}")


class RiskPolicyError(RegistryError):
    """The policy of the fleet checks asks for something that does not exist or is not allowed."""

    reason: ClassVar[str] = "RISK_POLICY_INVALID"

    def __init__(self, *, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(self.mistakes))
