"""What is a command? What a terminal can be told, for how long that is worth doing, and how it went."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType


class CommandAction(StrEnum):
    """What a terminal can be told to do."""

    RENEW_CERTIFICATE = "RENEW_CERTIFICATE"
    SET_CONFIGURATION = "SET_CONFIGURATION"
    COLLECT_DIAGNOSTICS = "COLLECT_DIAGNOSTICS"
    OFFER_FIRMWARE = "OFFER_FIRMWARE"
    RESTART = "RESTART"
    LOCK = "LOCK"
    """Show "out of service", take no patients, keep the control stream."""
    UNLOCK = "UNLOCK"


class CommandOutcome(StrEnum):
    """How a command ended: the first three are the terminal's word, the others are the platform's decision."""

    DONE = "DONE"
    FAILED = "FAILED"
    UNSUPPORTED = "UNSUPPORTED"
    SUPERSEDED = "SUPERSEDED"
    """It no longer applied; the detail is one of `Because`."""
    EXPIRED = "EXPIRED"
    """Nobody answered in time."""
    CANCELLED = "CANCELLED"
    """An operator took it back."""


TERMINALS_WORD = frozenset({CommandOutcome.DONE, CommandOutcome.FAILED, CommandOutcome.UNSUPPORTED})


class CommandState(StrEnum):
    """How far a command has come; derived from its outcome and times."""

    WAITING = "WAITING"
    SENT = "SENT"
    ANSWERED = "ANSWERED"
    SUPERSEDED = "SUPERSEDED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class Because(StrEnum):
    """Why the platform closed a command by itself."""

    CERTIFICATE_RENEWED = "CERTIFICATE_RENEWED"
    """The terminal got a certificate after it was told to."""
    RUNS_ALREADY = "RUNS_ALREADY"
    """The terminal reports the offered firmware as its own."""
    TIME_IS_OVER = "TIME_IS_OVER"
    NEWER_COMMAND = "NEWER_COMMAND"
    """A later one of its kind says how things should be."""
    CONNECTED_SINCE = "CONNECTED_SINCE"
    """The terminal was away and came back after it was told to restart."""
    FIRMWARE_UNFIT = "FIRMWARE_UNFIT"
    """The firmware was flagged or withdrawn since it was offered."""


GOAL_REACHED = frozenset({Because.CERTIFICATE_RENEWED, Because.RUNS_ALREADY})
"""What was wanted is so, without the terminal having answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """For how long a command is worth doing."""

    default: timedelta
    longest: timedelta


SHORTEST_LIFETIME = timedelta(minutes=1)
_DAY = timedelta(days=1)
LIFETIMES: Mapping[CommandAction, Lifetime] = MappingProxyType(
    {
        CommandAction.RENEW_CERTIFICATE: Lifetime(default=7 * _DAY, longest=30 * _DAY),
        CommandAction.SET_CONFIGURATION: Lifetime(default=90 * _DAY, longest=365 * _DAY),
        CommandAction.COLLECT_DIAGNOSTICS: Lifetime(default=timedelta(hours=1), longest=7 * _DAY),
        CommandAction.OFFER_FIRMWARE: Lifetime(default=30 * _DAY, longest=180 * _DAY),
        # A restart that comes as a surprise in the middle of tomorrow's rush is worse than none.
        CommandAction.RESTART: Lifetime(default=timedelta(minutes=15), longest=_DAY),
        CommandAction.LOCK: Lifetime(default=7 * _DAY, longest=365 * _DAY),
        CommandAction.UNLOCK: Lifetime(default=7 * _DAY, longest=365 * _DAY),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something a terminal has to do."""

    command_id: str
    terminal_id: str
    action: CommandAction
    parameters: Mapping[str, str | int]
    queued_by: str
    queued_at: datetime
    expires_at: datetime
    sent_at: datetime | None
    """When it was last sent."""
    times_sent: int
    answered_at: datetime | None
    """When the terminal answered, in time or not."""
    outcome: CommandOutcome | None
    detail: str
    idempotency_key: str | None
    closed_at: datetime | None
    """When the platform closed it, None while it is open or when the terminal answered in time."""
    late_outcome: CommandOutcome | None
    """What the terminal said after the command was closed: information, it changes nothing."""

    def state(self, now: datetime) -> CommandState:
        """Return how far the command has come."""
        if self.outcome in TERMINALS_WORD:
            return CommandState.ANSWERED
        if self.outcome is not None:
            return CommandState(self.outcome.value)
        if now >= self.expires_at:
            return CommandState.EXPIRED
        return CommandState.SENT if self.times_sent else CommandState.WAITING
