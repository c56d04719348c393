"""What does the caller read when something goes wrong? The one reader of the error table."""

import asyncio
import traceback
from collections.abc import Callable
from pathlib import Path

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, LocalizedMessage, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from server.answers import DOMAIN, Reply
from server.answers.cashier import spoken
from server.caller import current_request_id
from server.interceptors.chain import Behaviour, Context, Method

log = structlog.get_logger()

STATUS_HEADER = "grpc-status-details-bin"
LANGUAGE_HEADER = "accept-language"
TERMINALS = "shualian.terminal."
"""Package of the services that terminals call: what is refused there is shown to people at a counter."""

Refused = Callable[[str, str, str], None]
"""Told service, method and reason of each call that was not answered with OK."""


class ErrorLayer:
    """Turns what was raised into a status with details; what has no row in the table says nothing."""

    def __init__(self, refused: Refused) -> None:
        self._refused = refused

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with the table around it."""

        async def answered(request: object, context: Context) -> object:
            try:
                return await inner(request, context)
            except grpc.aio.AbortError:  # health and reflection, which are not ours, abort by themselves
                raise
            except Exception as error:  # noqa: BLE001  # whatever it is, the caller gets a status and we get a line
                await self._abort(method, context, error)
                return None

        return answered

    async def _abort(self, method: Method, context: Context, error: Exception) -> None:
        # The table knows every domain, models and money too; a small command that goes well needs none of it.
        from server.errors import reply_to  # noqa: PLC0415

        reply = reply_to(error)
        self._refused(method.service, method.name, reply.reason)
        if reply.expected:
            log.info("call_refused", reason=reply.reason, code=reply.code.name, error=str(error))
        else:
            log.error("call_failed", reason=reply.reason, **where_from(error))
        sent = context.trailing_metadata() or ()
        accepted = _accepted_language(context) if method.full_name.startswith(TERMINALS) else None
        details = status_of(reply, accepted_language=accepted).SerializeToString()
        try:
            await context.abort(reply.code, reply.public, (*sent, (STATUS_HEADER, details)))
        except asyncio.InvalidStateError:  # the other end had hung up already
            log.debug("caller_gone")


def where_from(error: BaseException) -> dict[str, object]:
    """Return what may be logged of an error nobody expected: its kind and where it came from.

    Not its text: that may quote a name, a number or a whole message (I7).
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "kind": type(error).__qualname__,
        "trace": [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames],
        "cause": type(error.__cause__).__qualname__ if error.__cause__ else None,
    }


def _accepted_language(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == LANGUAGE_HEADER and isinstance(value, str):
            return value
    return ""


def status_of(reply: Reply, *, accepted_language: str | None = None) -> Status:
    """Return the status with its details, as `google.rpc` spells them.

    Args:
        reply: what the caller reads.
        accepted_language: in which language somebody at a counter is told what to do; None where nobody stands there.
    """
    details: list[Message] = [ErrorInfo(reason=reply.reason, domain=DOMAIN, metadata=reply.metadata)]
    if reply.violations:
        details.append(
            BadRequest(
                field_violations=[
                    BadRequest.FieldViolation(field=violation.field, description=violation.rule)
                    for violation in reply.violations
                ]
            )
        )
    if reply.retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(reply.retry_after)
        details.append(RetryInfo(retry_delay=delay))
    if accepted_language is not None:
        locale, sentence = spoken(reply, accepted=accepted_language)
        details.append(LocalizedMessage(locale=locale, message=sentence))
    details.append(RequestInfo(request_id=current_request_id()))
    return Status(code=reply.code.value[0], message=reply.public, details=[_packed(detail) for detail in details])


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
