"""What the door itself refuses, before or beside the domain: malformed, too much, out of order, not known."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One field of a request that breaks a rule of the contract; never holds the field's value."""

    field: str
    rule: str


class RefusalError(Exception):
    """Root of everything the transport raises on purpose."""

    reason: ClassVar[str] = "REFUSED"


class InvalidRequestError(RefusalError):
    """A message breaks the rules written in the proto."""

    reason: ClassVar[str] = "INVALID_REQUEST"

    def __init__(self, *, violations: tuple[FieldViolation, ...]) -> None:
        self.violations = violations
        super().__init__(", ".join(violation.field for violation in violations))


class MethodUnknownError(RefusalError):
    """There is no such method here."""

    reason: ClassVar[str] = "METHOD_UNKNOWN"


class CertificateMissingError(RefusalError):
    """The connection carries no client certificate."""

    reason: ClassVar[str] = "CERTIFICATE_MISSING"


class TerminalCertificateError(RefusalError):
    """The admin port was called with a terminal's certificate."""

    reason: ClassVar[str] = "CERTIFICATE_OF_A_TERMINAL"


class RoleMissingError(RefusalError):
    """The operator's role does not cover the call."""

    reason: ClassVar[str] = "ROLE_MISSING"

    def __init__(self, *, needed: str) -> None:
        self.needed = needed
        super().__init__(f"needs {needed}")


class LocalOnlyError(RefusalError):
    """Only who sits at the platform's own machine may do this."""

    reason: ClassVar[str] = "LOCAL_ONLY"


class TerminalClassError(RefusalError):
    """The terminal is not certified for what it asks."""

    reason: ClassVar[str] = "TERMINAL_CLASS"

    def __init__(self, *, needed: str) -> None:
        self.needed = needed
        super().__init__(f"needs class {needed}")


class StandingStaleError(RefusalError):
    """The registry could not be followed for too long, so nobody can be vouched for (I10)."""

    reason: ClassVar[str] = "STANDING_STALE"


class OverBoundError(RefusalError):
    """Something is at its bound (I11); `retry_after` says when to try again."""

    reason: ClassVar[str] = "OVER_BOUND"

    def __init__(self, *, retry_after: timedelta) -> None:
        self.retry_after = retry_after
        super().__init__()


class RateLimitedError(OverBoundError):
    """More calls a second than one terminal may start."""

    reason: ClassVar[str] = "RATE_LIMITED"


class MessageRateError(OverBoundError):
    """More messages a second than one terminal may send on a stream."""

    reason: ClassVar[str] = "MESSAGE_RATE_EXCEEDED"


class CallsOpenError(OverBoundError):
    """More calls open than one terminal may have."""

    reason: ClassVar[str] = "TOO_MANY_CALLS_OPEN"


class FaceSessionsOpenError(OverBoundError):
    """The terminal has as many face sessions open as it may."""

    reason: ClassVar[str] = "TOO_MANY_FACE_SESSIONS"


class FaceSessionsFullError(OverBoundError):
    """The platform runs as many face sessions as it can."""

    reason: ClassVar[str] = "FACE_SESSIONS_FULL"


class WatchesOpenError(OverBoundError):
    """As many watches are open as the platform serves."""

    reason: ClassVar[str] = "TOO_MANY_WATCHES"


class FramesExceededError(OverBoundError):
    """More frames than one session takes."""

    reason: ClassVar[str] = "TOO_MANY_FRAMES"


class StreamError(RefusalError):
    """A stream went another way than the contract says."""

    reason: ClassVar[str] = "STREAM_ERROR"


class StreamOrderError(StreamError):
    """A message came where another one belongs."""

    reason: ClassVar[str] = "STREAM_OUT_OF_ORDER"

    def __init__(self, *, expected: str) -> None:
        self.expected = expected
        super().__init__(f"expected {expected}")


class StreamStalledError(StreamError):
    """Nothing came from the other end for too long."""

    reason: ClassVar[str] = "STREAM_STALLED"


class StreamSupersededError(StreamError):
    """The terminal opened another control stream."""

    reason: ClassVar[str] = "STREAM_SUPERSEDED"


class TerminalOverdueError(StreamError):
    """No heartbeat came for too long."""

    reason: ClassVar[str] = "TERMINAL_OVERDUE"
