"""How the layers around every call are put together: once for each method, for unary and streaming calls alike.

gRPC would run each interceptor anew for every call. Here one interceptor composes all layers around a method the
first time it is called and keeps the result, and a handler that streams is always a coroutine that writes to its
context, so that a layer is one plain function whatever the kind of call.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import grpc

from server.refusals import MethodUnknownError

Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic for type checkers alone
Behaviour = Callable[[Any, Context], Awaitable[Any]]
"""Takes the request or the iterator of requests, and the context; gives the response, or writes responses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """Which method a layer is wrapped around; both names come from the contract, never from the caller."""

    service: str
    name: str
    streams_up: bool
    streams_down: bool
    full_name: str
    """`package.Service/Method`."""
    parse: Callable[[bytes], Any] | None = None
    """Makes the one request of a call that does not stream up; a layer's work: refused callers are not parsed."""

    @property
    def streams(self) -> bool:
        """Whether the call lasts."""
        return self.streams_up or self.streams_down


class Layer(Protocol):
    """One thing that happens around every call."""

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with this layer around it; called once for each method."""
        ...


class Chain(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic for type checkers alone
    """The layers, outermost first."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = tuple(layers)
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}
        self._unknown = self._around(_UNKNOWN, grpc.stream_stream_rpc_method_handler(_unknown))

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the method's handler with all layers around it."""
        handler = await continuation(handler_call_details)
        if handler is None:  # answered inside the layers: a stranger learns no more than from a method that exists
            return self._unknown
        path = handler_call_details.method
        known = self._wrapped.get(path)
        if known is not None and known[0] is handler:
            return known[1]
        wrapped = self._around(_method_from_path(path, handler), handler)
        self._wrapped[path] = (handler, wrapped)
        return wrapped

    def _around(self, method: Method, handler: Handler) -> Handler:
        behaviour = _behaviour(handler)
        for layer in reversed(self._layers):
            behaviour = layer.wrap(method, behaviour)
        make = _MAKERS[method.streams_up, method.streams_down]
        return make(behaviour, None if method.parse else handler.request_deserializer, handler.response_serializer)


async def _unknown(_requests: object, _context: Context) -> None:
    raise MethodUnknownError


_UNKNOWN = Method(service="unknown", name="unknown", full_name="unknown/unknown", streams_up=True, streams_down=True)
_MAKERS: dict[tuple[bool, bool], Callable[..., Handler]] = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _method_from_path(path: str, handler: Handler) -> Method:
    _, service, name = path.split("/")
    return Method(
        service=service.rpartition(".")[2],
        name=name,
        full_name=f"{service}/{name}",
        streams_up=bool(handler.request_streaming),
        streams_down=bool(handler.response_streaming),
        parse=None if handler.request_streaming else handler.request_deserializer,
    )


def _behaviour(handler: Handler) -> Behaviour:
    """Return what the handler does, as a coroutine whatever its kind."""
    found = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    if inspect.isasyncgenfunction(found):
        return _written(cast("Callable[[Any, Context], AsyncIterator[Any]]", found))
    return cast("Behaviour", found)


def _written(generate: Callable[[Any, Context], AsyncIterator[Any]]) -> Behaviour:
    async def write_all(request: object, context: Context) -> None:
        async for response in generate(request, context):
            await context.write(response)

    return write_all
