"""How does an answer of the admin API look in a table or in JSON? Names as people know them, times as moments."""

from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from server.services.admin.convert import moment

# National names of the classes, where the contract writes what they can do.
CLASSES = {"SCAN": "I", "CARD": "II", "FACE": "III"}


def shown(message: Message) -> dict[str, Any]:
    """Return a message as a record for `output.py`: enum values without their prefix, unset fields as None."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields if not _is_bytes(field)}


def word_in(enum: EnumDescriptor, number: int) -> str | None:
    """Return a value of an enum without the enum's name before it, None for UNSPECIFIED."""
    name = enum.values_by_number[number].name if number in enum.values_by_number else str(number)
    word = name.removeprefix(_prefix(enum.name))
    if word == "UNSPECIFIED":
        return None
    return CLASSES[word] if enum.name == "TerminalClass" else word


def _field(message: Message, field: Any) -> Any:  # noqa: ANN401  # protobuf has two classes of descriptors
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return dict(value)
        return [_value(item, field) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(value, field)


def _value(value: Any, field: Any) -> Any:  # noqa: ANN401  # as above
    match value:
        case Timestamp():
            return moment(value)
        case Duration():
            return value.ToTimedelta()
        case Message():
            return shown(value)
        case _:
            return word_in(field.enum_type, value) if field.enum_type is not None else value


def _is_bytes(field: Any) -> bool:  # noqa: ANN401  # as above
    return bool(field.type == FieldDescriptor.TYPE_BYTES)


def _prefix(name: str) -> str:
    """Return what the values of an enum begin with: `TERMINAL_STATE_` for `TerminalState`."""
    return (
        "".join(f"_{letter}" if letter.isupper() and place else letter for place, letter in enumerate(name)).upper()
        + "_"
    )
