"""Where can a rollout stand, and each of its members?"""

from enum import StrEnum


class RolloutState(StrEnum):
    """Where a rollout stands."""

    PREPARING = "PREPARING"
    """Its members are being written down, a portion at a time."""
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    """By an operator."""
    STOPPED = "STOPPED"
    """By its error stop: the reason says why."""
    DONE = "DONE"
    CANCELLED = "CANCELLED"


class MemberState(StrEnum):
    """How far a rollout is with one terminal."""

    PENDING = "PENDING"
    """Its turn has not come."""
    QUEUED = "QUEUED"
    """It has its command and has not answered."""
    DONE = "DONE"
    FAILED = "FAILED"
    """It tried in vain, or does not know the command."""
    SKIPPED = "SKIPPED"
    """It was left out; the detail says why."""
    EXPIRED = "EXPIRED"
    """It did not answer in time."""
