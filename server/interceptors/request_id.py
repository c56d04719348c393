"""Which call was that? Every call has an id, from the caller or from us, in the answer and on each log line."""

import re

import structlog
import uuid_utils

from server.caller import set_request_id
from server.interceptors.chain import Behaviour, Context, Method

HEADER = "x-request-id"

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIdLayer:
    """Takes the caller's `x-request-id` or makes a UUIDv7, and sends it back.

    It travels in the initial metadata of a stream, and in the trailing metadata of a unary call, where it costs no
    extra write.
    """

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with an id around it."""
        bind = structlog.contextvars.bind_contextvars
        path = f"{method.service}/{method.name}"
        streams = method.streams

        async def with_request_id(request: object, context: Context) -> object:
            request_id = _from_metadata(context) or str(uuid_utils.uuid7())
            set_request_id(request_id)
            bind(request_id=request_id, method=path)
            if streams:
                await context.send_initial_metadata(((HEADER, request_id),))
            context.set_trailing_metadata(((HEADER, request_id),))
            return await inner(request, context)

        return with_request_id


def _from_metadata(context: Context) -> str | None:
    for key, value in context.invocation_metadata() or ():
        if key == HEADER and isinstance(value, str) and _ACCEPTABLE.fullmatch(value):
            return value
    return None
