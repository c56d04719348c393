"""What can go wrong at a terminal, in its own words; the exit code of each stands in cli.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path


class TerminalError(Exception):
    """Something that a verb of the terminal reports and ends with."""

    reason = "TERMINAL_FAULT"


class PortraitError(TerminalError):
    """The camera was given something that is no portrait."""

    reason = "PORTRAIT_UNUSABLE"

    def __init__(self, *, path: Path | None, problem: str) -> None:
        super().__init__(f"{path or 'camera'}: {problem}")


class StateError(TerminalError):
    """The state folder does not hold what the verb needs."""

    reason = "STATE_UNUSABLE"


class InputError(TerminalError):
    """A file or value given on the command line cannot be used; its content, maybe personal, is not repeated."""

    reason = "INPUT_UNUSABLE"


class UntrustedPlatformError(TerminalError):
    """The platform's certificates do not lead to the root that the installer was given."""

    reason = "PLATFORM_UNTRUSTED"


class UnreachableError(TerminalError):
    """No answer after all attempts; whether the platform saw the request is not known."""

    reason = "PLATFORM_UNREACHABLE"


class OutcomeUnknownError(TerminalError):
    """Neither a receipt nor a reversal could be had; the journal keeps the transaction open and `resume` asks again."""

    reason = "OUTCOME_UNKNOWN"

    def __init__(self, transaction_id: str) -> None:
        super().__init__(f"transaction {transaction_id} stays open in the journal")
        self.transaction_id = transaction_id


@dataclass(slots=True, kw_only=True)
class PlatformRefusedError(TerminalError):
    """The platform answered with an error; its google.rpc details, typed."""

    code: str
    """Name of the gRPC status code."""
    reason: str
    """Stable upper-case reason from ErrorInfo, or the code's name when there is none."""
    public: str
    """Sentence for people."""
    retry_after: timedelta | None = None
    """From RetryInfo."""
    violations: Mapping[str, str] = field(default_factory=dict)
    """Field to description, from BadRequest."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """From ErrorInfo."""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.reason} ({self.code}): {self.public}"
