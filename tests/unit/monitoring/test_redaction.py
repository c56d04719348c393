"""Nothing personal gets into a log line, whoever passes it and in whatever shape."""

import enum
import io
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np
import pytest
import structlog
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Value

from monitoring.logs import configure_logs
from monitoring.redaction import clean_text, forbidden
from shualian.admin.v1 import (
    audit_pb2,
    authority_pb2,
    command_pb2,
    fleet_pb2,
    maker_pb2,
    operator_pb2,
    registry_pb2,
    revocation_pb2,
    rollout_pb2,
    ticket_pb2,
)
from shualian.terminal.v1 import credential_pb2, device_pb2, enrollment_pb2, face_pb2, settlement_pb2, types_pb2

ID_NUMBER = "11010519491231002X"
NAME = "张伟丽"
PIN = "493817"
CARD = "SD7730214459"
TOKEN = "q7Jx2nVb8KpL4sTz9WcR3mYd6FgH1aEu"  # noqa: S105 - made up
TICKET = "Zk3vQm8RtY1wXc6BnH5jLp0sDf2gAe7u"
JWS = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJzZWNyZXQtcGVyc29uIn0.c2lnbmF0dXJlLW9mLXRoZS1hc3NlcnRpb24"
LAST_FOUR = "731X"
FRAME = b"\xff\xd8\xff\xe0FRAMEMARK\x00\x10JFIF\x9c\x81\xa0\xb7\xc1\x00\x01"
PERSONAL = {
    "name": NAME,
    "id_number": ID_NUMBER,
    "pin": PIN,
    "card_number": CARD,
    "token": TOKEN,
    "ticket": TICKET,
    "assertion": JWS,
    "staff_assertion": JWS,
    "face_assertion": JWS,
    "relative_face_assertion": JWS,
    "code": JWS,
    "value": LAST_FOUR,
}
TRACES = (
    NAME,
    ID_NUMBER,
    PIN,
    CARD,
    TOKEN,
    TICKET,
    JWS,
    JWS.split(".")[1],
    LAST_FOUR,
    "FRAMEMARK",
    "RlJBTUVNQVJL",
    "JFIF",
    "\\345\\274\\240",
)

MODULES = (
    *(credential_pb2, device_pb2, enrollment_pb2, face_pb2, settlement_pb2, types_pb2),
    *(audit_pb2, authority_pb2, command_pb2, fleet_pb2, maker_pb2),
    *(operator_pb2, registry_pb2, revocation_pb2, rollout_pb2, ticket_pb2),
)
MESSAGES = [message for module in MODULES for message in module.DESCRIPTOR.message_types_by_name.values()]


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Yield the buffer that every logger of the process writes to."""
    buffer = io.StringIO()
    configure_logs("debug", stream=buffer)
    yield buffer
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)


def filled(descriptor: Descriptor) -> list[Message]:
    """Return the message with every field set, once for each branch of its oneofs."""
    branches = max([1, *(len(oneof.fields) for oneof in descriptor.oneofs)])
    return [_filled(descriptor, branch) for branch in range(branches)]


def _filled(descriptor: Descriptor, branch: int) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if (
            field.containing_oneof
            and field.containing_oneof.fields[branch % len(field.containing_oneof.fields)] != field
        ):
            continue
        values = [_value(field, branch)]
        if field.message_type and field.message_type.GetOptions().map_entry:
            getattr(message, field.name)["zh"] = "plain"
        elif field.is_repeated:
            getattr(message, field.name).extend(values)
        elif field.message_type:
            getattr(message, field.name).CopyFrom(values[0])
        else:
            setattr(message, field.name, values[0])
    return message


def _value(field: FieldDescriptor, branch: int) -> object:
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return _filled(cast("Descriptor", field.message_type), branch)
        case FieldDescriptor.TYPE_STRING:
            return PERSONAL[field.name] if field.GetOptions().debug_redact else PERSONAL.get(field.name, "plain")
        case FieldDescriptor.TYPE_BYTES:
            return FRAME
        case FieldDescriptor.TYPE_ENUM:
            return 1
        case FieldDescriptor.TYPE_BOOL:
            return True
        case _:
            return 7


WAYS: dict[str, Callable[[Any, Message], None]] = {
    "as a field": lambda log, message: log.info("seen", message=message),
    "under an innocent field": lambda log, message: log.info("seen", detail=message, items=[message, {"x": message}]),
    "as the event": lambda log, message: log.info(str(message)),
    "printed into the event": lambda log, message: log.info(" ".join([str(message), repr(message)])),
    "as a dict": lambda log, message: log.info("seen", detail=MessageToDict(message)),
    "as a dict in our own names": lambda log, message: log.info(
        "seen", **{f"x_{key}": value for key, value in MessageToDict(message, preserving_proto_field_name=True).items()}
    ),
    "serialised": lambda log, message: log.info("seen", detail=message.SerializeToString()),
    "as text of bytes": lambda log, message: log.info("seen", detail=str(message.SerializeToString())),
    "in an exception": lambda log, message: log.info("seen", error=ValueError(str(message))),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda message: message.name)
def test_i07_no_message_of_the_protocol_leaves_a_trace_in_the_log(
    descriptor: Descriptor, way: str, lines: io.StringIO
) -> None:
    messages = filled(descriptor)

    for message in messages:
        WAYS[way](structlog.get_logger(), message)

    text = lines.getvalue()
    assert text.count("\n") == len(messages)
    assert [trace for trace in TRACES if trace in text] == []


def test_every_field_that_the_protos_call_secret_is_fed_to_the_log() -> None:
    fields = [field for message in MESSAGES for field in message.fields if field.GetOptions().debug_redact]

    assert {field.name for field in fields if field.type == field.TYPE_STRING} <= set(PERSONAL)
    assert len(fields) >= 9


@pytest.mark.parametrize(
    "passed",
    [
        {"pin": 493817},
        {"id_number": ID_NUMBER},
        {"idNumber": ID_NUMBER},
        {"detail": f"person {ID_NUMBER} not found"},
        {"detail": int(ID_NUMBER[:17] + "1")},
        {"full_name": "Zhang Weili"},
        {"detail": f"patient {NAME}"},
        {"reply": JWS},
        {"url": f"https://example.test/?t={TOKEN}"},
        {"detail": f"PIN {PIN} is wrong"},
        {"private_key": "MC4CAQAwBQYDK2Vw"},
        {"detail": "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----"},
        {"frame": FRAME},
        {"picture": np.frombuffer(FRAME, np.uint8)},
        {"detail": {"deep": {"deeper": {"deepest": {"beyond": FRAME.hex()}}}}},
        {"detail": repr(FRAME)},
    ],
    ids=lambda passed: next(iter(passed)),
)
def test_i07_what_someone_passes_by_mistake_is_dropped(passed: dict[str, Any], lines: io.StringIO) -> None:
    structlog.get_logger().warning("mistake", **passed)

    secrets = (*TRACES, "Zhang", "MC4CAQAw", FRAME.hex(), "110105194912310021", "1101051949123100")
    assert [secret for secret in secrets if secret in lines.getvalue()] == []


def test_i03_a_traceback_does_not_tell_the_pin_in_the_error_text(lines: io.StringIO) -> None:
    try:
        int(f"pin='{PIN}' token: \"{TOKEN}\"")
    except ValueError:
        structlog.get_logger().exception("failed")

    assert "Traceback" in lines.getvalue()
    assert PIN not in lines.getvalue()
    assert TOKEN not in lines.getvalue()


def test_i07_the_loggers_of_libraries_are_redacted_too(lines: io.StringIO) -> None:
    logging.getLogger("some.library").error("bad value %s for %s", ID_NUMBER, NAME)

    line = json.loads(lines.getvalue())
    assert line["event"] == "bad value [id-number] for [text]"
    assert line["level"] == "error"


def test_i07_a_record_of_ours_is_named_by_its_type_alone(lines: io.StringIO) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class InsuredPerson:
        name: str

    structlog.get_logger().info("seen", subject=InsuredPerson(name="Zhang"), value=Value(string_value="Zhang"))

    assert json.loads(lines.getvalue())["subject"] == "[InsuredPerson]"
    assert "Zhang" not in lines.getvalue()


def test_a_line_carries_the_ids_of_the_request_and_plain_fields_as_they_are(lines: io.StringIO) -> None:
    class State(enum.Enum):
        ACTIVE = 1

    structlog.contextvars.bind_contextvars(request_id="0198f3a2-7c11-7d2e-9b1a-5f0c3f1f9c01", session_id="s-1")
    structlog.get_logger().info(
        "terminal_enrolled",
        terminal_id="0198f3a2-7c11-7d2e-9b1a-5f0c3f1f9c02",
        fingerprint="ab" * 32,
        state=State.ACTIVE,
        frames_used=14,
        total_fen=12_345,
        lifetime=timedelta(seconds=90),
        at=datetime(2026, 1, 2, tzinfo=UTC),
        pin_required=True,
    )

    line = json.loads(lines.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "event": "terminal_enrolled",
        "request_id": "0198f3a2-7c11-7d2e-9b1a-5f0c3f1f9c01",
        "session_id": "s-1",
        "terminal_id": "0198f3a2-7c11-7d2e-9b1a-5f0c3f1f9c02",
        "fingerprint": "ab" * 32,
        "state": "ACTIVE",
        "frames_used": 14,
        "total_fen": 12_345,
        "lifetime": "0:01:30",
        "at": "2026-01-02 00:00:00+00:00",
        "pin_required": True,
    }


def test_events_below_the_level_are_not_written() -> None:
    buffer = io.StringIO()
    configure_logs("warning", stream=buffer)

    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)

    assert [json.loads(line)["event"] for line in buffer.getvalue().splitlines()] == ["loud"]


def test_ordinary_words_and_ids_survive() -> None:
    kept = "TERMINAL_REVOKED urn:shualian:terminal:0198f3a2-7c11-7d2e-9b1a-5f0c3f1f9c01 shualian.terminal.v1 [::1]:7443"

    assert clean_text(kept) == kept
    assert not forbidden("terminal_id")
    assert not forbidden("frames_used")
    assert not forbidden("serial_number")
