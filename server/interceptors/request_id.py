"""Which call was that? Every call has an id that we make, in the answer, on each log line and in the audit trail."""

import re

import structlog
import uuid_utils

from server.caller import set_request_id
from server.interceptors.chain import Behaviour, Context, Method

HEADER = "x-request-id"

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIdLayer:
    """Makes a UUIDv7 and sends it back.

    An `x-request-id` that the caller brings stands beside it on our log lines as `client_request_id`, and nowhere else:
    who could choose the id could have the audit trail point at another call.

    It travels in the initial metadata of a stream, and in the trailing metadata of a unary call, where it costs no
    extra write.
    """

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with an id around it."""
        bind = structlog.contextvars.bind_contextvars
        path = f"{method.service}/{method.name}"
        streams = method.streams

        async def with_request_id(request: object, context: Context) -> object:
            request_id = str(uuid_utils.uuid7())
            set_request_id(request_id)
            bind(request_id=request_id, method=path)
            if (theirs := _from_metadata(context)) is not None:
                bind(client_request_id=theirs)
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
