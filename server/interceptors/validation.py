"""Is it a message at all, and does it keep the rules of the contract? For requests and each message of a stream."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import protovalidate
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from server.interceptors.chain import Behaviour, Context, Method
from server.refusals import FieldViolation, InvalidRequestError

_NO_NUL = "must not hold the character U+0000"
_WITH_TEXT = frozenset({FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE})
_UNREADABLE = FieldViolation(field="", rule="is no message of this type")


class ValidationLayer:
    """Refuses what breaks a rule. Fields we do not know pass: an older platform must not refuse a newer terminal."""

    def __init__(self) -> None:
        self._validator = protovalidate.Validator()

    def warm_up(self, *messages: Message) -> None:
        """Compile the rules of these messages now; the first use costs milliseconds."""
        for message in messages:
            self._validator.collect_violations(message)

    def wrap(self, method: Method, inner: Behaviour) -> Behaviour:
        """Return `inner` with the rules before it."""
        check = self._check
        parse = method.parse or _as_it_is

        async def checked(request: bytes, context: Context) -> object:
            try:
                message = parse(request)
            except DecodeError:
                raise InvalidRequestError(violations=(_UNREADABLE,)) from None
            check(message)
            return await inner(message, context)

        async def checked_stream(requests: AsyncIterator[Message], context: Context) -> object:
            return await inner(CheckedRequests(requests, self), context)

        return checked_stream if method.streams_up else checked

    def check(self, message: Message) -> None:
        """Raise when the message breaks a rule.

        Raises:
            InvalidRequestError: with every field that does.
        """
        self._check(message)

    def _check(self, message: Message) -> None:
        try:
            self._validator.validate(message)
        except protovalidate.ValidationError as error:
            raise InvalidRequestError(violations=tuple(map(_violation, error.violations))) from None
        with_nul = tuple(FieldViolation(field=path, rule=_NO_NUL) for path in _with_nul(message))
        if with_nul:
            raise InvalidRequestError(violations=with_nul)


class CheckedRequests:
    """The messages of a stream, each checked when it is taken."""

    __slots__ = ("_check", "_requests")

    def __init__(self, requests: AsyncIterator[Message], layer: ValidationLayer) -> None:
        self._requests = requests
        self._check = layer.check

    def __aiter__(self) -> "CheckedRequests":
        return self

    async def __anext__(self) -> Message:
        message = await anext(self._requests)
        self._check(message)
        return message


def _with_nul(message: Message, path: str = "") -> Iterator[str]:
    """Yield where a text holds U+0000: not every database keeps it, so none may (and no text of people does)."""
    for field, value in message.ListFields():
        if field.type not in _WITH_TEXT:
            continue
        here = f"{path}.{field.name}" if path else field.name
        if isinstance(value, str | Message):
            values: Iterable[object] = (value,)
        else:
            values = (*value, *value.values()) if isinstance(value, Mapping) else value
        for item in values:
            if isinstance(item, Message):
                yield from _with_nul(item, here)
            elif isinstance(item, str) and "\0" in item:
                yield here


def _as_it_is(message: Any) -> Any:  # noqa: ANN401  # gRPC made it already, of whatever type
    return message


def _violation(found: protovalidate.Violation) -> FieldViolation:
    """Return where and what, never the value: it may be a name or a PIN."""
    path = ".".join(element.field_name for element in found.proto.field.elements) if found.proto.field else ""
    return FieldViolation(field=path, rule=found.proto.message or found.proto.rule_id)
