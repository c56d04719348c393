"""How does a verb end? With an exit code that a script can act on, and one event for what went wrong."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from enum import IntEnum
from typing import Any, Final

import typer

from mock_terminal.errors import (
    CERTIFICATE_OVER,
    AttackImpossibleError,
    InputError,
    NoAssertionError,
    OutcomeUnknownError,
    PlatformRefusedError,
    PortraitError,
    StateError,
    TerminalError,
    UnreachableError,
)
from mock_terminal.payment import DIED
from mock_terminal.report import Reporter
from mock_terminal.words import outcome_name
from shualian.terminal.v1 import face_pb2


class Exit(IntEnum):
    """How a verb ended."""

    OK = 0
    """What was wanted happened; for `attack`: the platform refused."""
    ACCEPTED = 1
    """`attack`: the platform let it pass. Anything else: a fault of this program."""
    USAGE = 2
    """The command line, a file it names, or the state folder cannot be used."""
    REFUSED = 3
    """The platform said no; the reason is in the last event."""
    NOT_MATCHED = 4
    """Alive, but not the claimed person; or nobody who is known."""
    SPOOF_SUSPECTED = 5
    """The platform saw signs of a picture, a screen, or pictures that are not this terminal's own."""
    REVOKED = 6
    """This terminal's certificate is of no use any more: enroll it again."""
    UNREACHABLE = 7
    """No answer from the platform."""
    OUTCOME_UNKNOWN = 8
    """It may have been paid or not; `resume` finds out."""
    INSUFFICIENT = 9
    """Time ran out before the platform had seen enough."""
    CONSENT_REFUSED = 10
    """The person did not agree; other ways to pay are in the last event."""
    DIFFERS = 11
    """`reconcile`: this terminal and the platform have different books of that day; the events say where."""
    INTERRUPTED = 130
    """Stopped at the keyboard; a payment under way stays open in the journal, and `resume` finds out."""
    DIED = DIED
    """`pay --die-at`: dropped dead as told."""


_OUTCOMES: Final[Mapping[str, Exit]] = {
    "MATCHED": Exit.OK,
    "NOT_MATCHED": Exit.NOT_MATCHED,
    "SPOOF_SUSPECTED": Exit.SPOOF_SUSPECTED,
    "INSUFFICIENT": Exit.INSUFFICIENT,
    "CONSENT_REFUSED": Exit.CONSENT_REFUSED,
}


def leave(work: Callable[[], Coroutine[Any, Any, Exit]], report: Reporter) -> None:
    """Run a verb and leave with its exit code; what goes wrong is told in one event."""
    try:
        code = asyncio.run(work())
    except NoAssertionError as error:  # the decision was told already, and is an answer like any other
        code = exit_of_decision(error.decision)
    except TerminalError as error:
        code = exit_of(error)
        fields = error.as_fields() if isinstance(error, PlatformRefusedError) else {"reason": error.reason}
        report.event("failed", **fields, message=str(error))
    except OSError as error:
        code = Exit.USAGE
        message = f"{error.filename or ''} {error.strerror or ''}".strip()
        report.event("failed", reason="INPUT_UNUSABLE", message=message)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
        report.event("stopped")
    raise typer.Exit(code)


def exit_of(error: TerminalError) -> Exit:
    """Return the exit code that an error ends with."""
    match error:
        case PlatformRefusedError():
            return Exit.REVOKED if error.next_action in CERTIFICATE_OVER else Exit.REFUSED
        case OutcomeUnknownError():
            return Exit.OUTCOME_UNKNOWN
        case UnreachableError():
            return Exit.UNREACHABLE
        case StateError() | InputError() | PortraitError() | AttackImpossibleError():
            return Exit.USAGE
        case _:
            return Exit.REFUSED


def exit_of_decision(decision: face_pb2.Decision) -> Exit:
    """Return the exit code that the end of a face session stands for."""
    return _OUTCOMES.get(outcome_name(decision), Exit.REFUSED)
