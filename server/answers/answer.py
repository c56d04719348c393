"""How is one error answered? The shape of a row of the table in errors.py, and of what a caller reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import grpc

from server.refusals import FieldViolation

DOMAIN = "shualian"
"""`ErrorInfo.domain` of everything that this platform answers."""


class NextAction(StrEnum):
    """What a caller does after a refusal; `ErrorInfo.metadata["next_action"]`. A closed set: unknown ones mean WAIT."""

    RETRY = "RETRY"
    """Begin the same again, after `RetryInfo` where there is one."""
    WAIT = "WAIT"
    """Stay away for as long as `RetryInfo` says, or with growing pauses; somebody else has to act first."""
    RENEW = "RENEW"
    """Renew the certificate with `RenewExpired`; where that is refused, ENROLL."""
    ENROLL = "ENROLL"
    """Use the newer certificate if there is one; else enroll: by factory identity, or with a new token."""
    FIX_CLOCK = "FIX_CLOCK"
    """Set the clock, then begin again."""
    CHANGE_REQUEST = "CHANGE_REQUEST"
    """The same request is never granted: change it, or offer the person another way."""
    CONTACT_OPERATOR = "CONTACT_OPERATOR"
    """People have to mend it: show the sentence, and try again only when somebody says so."""
    STOP = "STOP"
    """It is over for good: do not come back with this identity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One row: what the caller of a failed call learns."""

    code: grpc.StatusCode
    public: str
    """One or two sentences, for the people who write and run terminals. Nothing of the request is in it."""
    retry_after: timedelta | None = None
    """When the same request may work; an error's own `retry_after` wins over it."""
    field: str = ""
    """The field of the request that is to blame, if it is one; an error's own `field` wins over it."""
    details: tuple[str, ...] = ()
    """Attributes of the error that go into the metadata of `ErrorInfo`."""
    next_action: NextAction | None = None
    """What the caller does then; filled by `next_actions.py`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one caller reads about one error."""

    code: grpc.StatusCode
    reason: str
    public: str
    expected: bool
    """False when the fault is ours: somebody should look at it."""
    retry_after: timedelta | None = None
    violations: tuple[FieldViolation, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def reply_from(error: Exception, answer: Answer, reason: str) -> Reply:
    """Return what the caller reads, from the row and the fields the error carries."""
    return Reply(
        code=answer.code,
        reason=reason,
        public=answer.public,
        expected=answer.code is not grpc.StatusCode.INTERNAL,
        retry_after=_retry_after(error, answer),
        violations=_violations(error, answer),
        metadata={
            **{name: _shown(getattr(error, name)) for name in answer.details},
            **({"next_action": answer.next_action.value} if answer.next_action else {}),
        },
    )


def _retry_after(error: Exception, answer: Answer) -> timedelta | None:
    own = getattr(error, "retry_after", None)
    return own if isinstance(own, timedelta) else answer.retry_after


def _violations(error: Exception, answer: Answer) -> tuple[FieldViolation, ...]:
    found = getattr(error, "violations", None)
    if found:
        return tuple(found)
    own = getattr(error, "field", "")
    name = own if isinstance(own, str) and own else answer.field
    return (FieldViolation(field=name, rule=answer.public),) if name else ()


def _shown(value: object) -> str:
    match value:
        case tuple():
            return ",".join(map(str, value))
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
