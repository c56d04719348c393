"""How is one error answered? The shape of a row of the table in errors.py, and of what a caller reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import grpc

from server.refusals import FieldViolation


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
        metadata={name: _shown(getattr(error, name)) for name in answer.details},
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
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
