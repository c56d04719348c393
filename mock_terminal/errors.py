"""What can go wrong at a terminal, in its own words; the exit code of each stands in cli.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from shualian.terminal.v1 import face_pb2

DEFINITE: Final = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
    }
)
"""Codes that say no. Any other (INTERNAL, UNKNOWN, CANCELLED ...) says that something broke, maybe half way."""


RETRY, WAIT, STOP = "RETRY", "WAIT", "STOP"
RENEW, ENROLL, FIX_CLOCK = "RENEW", "ENROLL", "FIX_CLOCK"
CHANGE_REQUEST, CONTACT_OPERATOR = "CHANGE_REQUEST", "CONTACT_OPERATOR"
NEXT_ACTIONS: Final = frozenset({RETRY, WAIT, STOP, RENEW, ENROLL, FIX_CLOCK, CHANGE_REQUEST, CONTACT_OPERATOR})
"""What a platform may tell a terminal to do after a refusal; docs/errors.md has it for each reason."""
CERTIFICATE_OVER: Final = frozenset({STOP, RENEW, ENROLL})
"""With these words the platform will not take the certificate again that it was shown."""


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


class SealError(TerminalError):
    """No seal can be made as the platform asks for it: one of the two has lost count of the frames."""

    reason = "SEAL_IMPOSSIBLE"


class AttackImpossibleError(TerminalError):
    """An attack cannot be tried here: what it needs is missing. It says nothing of the platform."""

    reason = "ATTACK_IMPOSSIBLE"


class HungUpError(TerminalError):
    """The terminal ended the session itself, before any frame: it will not do what is asked."""

    reason = "HUNG_UP"


class NoAssertionError(TerminalError):
    """A face session ended without an assertion: there is nothing to pay with."""

    reason = "FACE_NOT_ACCEPTED"

    def __init__(self, decision: face_pb2.Decision) -> None:
        super().__init__("the face session ended without an assertion")
        self.decision = decision


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


@dataclass(slots=True, kw_only=True, eq=False)
class PlatformRefusedError(TerminalError):
    """The platform answered with an error; its google.rpc details, typed."""

    code: str
    """Name of the gRPC status code."""
    reason: str
    """Stable upper-case reason from ErrorInfo, or the code's name when there is none."""
    public: str
    """Sentence for people."""
    is_platforms_word: bool = False
    """Whether ErrorInfo came with it; without, it may be the network, or a gateway, that speaks."""
    retry_after: timedelta | None = None
    """From RetryInfo."""
    request_id: str = ""
    """From RequestInfo: what to quote when asking the platform's operators."""
    violations: Mapping[str, str] = field(default_factory=dict)
    """Field to description, from BadRequest."""
    cashier: str = ""
    """Sentence for whoever stands at the counter, from LocalizedMessage."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """From ErrorInfo."""
    attempts: int = 1
    """How often it had been asked by then; an attempt before the last may have had an effect."""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.reason} ({self.code}): {self.public}"

    @property
    def next_action(self) -> str:
        """Return what the platform says to do now; one of a closed set, and WAIT where it says nothing we know."""
        told = self.metadata.get("next_action", "") if self.is_platforms_word else ""
        return told if told in NEXT_ACTIONS else WAIT

    @property
    def is_definite(self) -> bool:
        """Return whether what was asked has certainly not been done."""
        return self.is_platforms_word and self.attempts == 1 and self.code in DEFINITE

    def as_fields(self) -> dict[str, object]:
        """Return it as fields of an event: the platform's own details beside the standard ones, which win."""
        fields: dict[str, object] = {**self.metadata, "code": self.code, "reason": self.reason, "public": self.public}
        if self.violations:
            fields["violations"] = dict(self.violations)
        if self.retry_after is not None:
            fields["retry_after_seconds"] = self.retry_after.total_seconds()
        if self.request_id:
            fields["request_id"] = self.request_id
        if self.cashier:
            fields["cashier"] = self.cashier
        return fields
