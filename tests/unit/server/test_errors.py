"""The one table of errors is whole."""

from collections.abc import Iterator

import grpc
import pytest

from device_registry.errors import CertificateRefusedError, EnrollmentRefusedError, TerminalRefusedError
from server import errors
from server.answers import NextAction
from server.answers.next_actions import BY_ERROR
from server.interceptors.errors import status_of, where_from
from server.settlement.errors import AmountOverLimitError, AuthorizationMissingError


def subclasses(root: type[Exception]) -> Iterator[type[Exception]]:
    for kind in root.__subclasses__():
        yield kind
        yield from subclasses(kind)


EVERY_ERROR = sorted(
    {kind for root in errors.ROOTS for kind in subclasses(root) if not kind.__subclasses__()},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", EVERY_ERROR, ids=lambda kind: kind.__name__)
def test_every_error_has_a_row_of_its_own(kind: type[Exception]) -> None:
    assert kind in errors.ANSWERS


@pytest.mark.parametrize("kind", errors.ANSWERS, ids=lambda kind: kind.__name__)
def test_every_row_is_a_sentence_with_a_stable_reason(kind: type[Exception]) -> None:
    answer = errors.ANSWERS[kind]
    reason = getattr(kind, "reason", "")

    assert reason == reason.upper()
    assert reason
    assert answer.public.endswith(".")
    if answer.code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}:
        says_when = answer.retry_after is not None or "retry_after" in getattr(kind.__init__, "__annotations__", {})
        assert says_when or kind.__name__ == "TooManyCommandsError"  # for operators: only answers make room


def test_no_reason_stands_for_two_codes() -> None:
    codes: dict[str, set[grpc.StatusCode]] = {}
    for kind, answer in errors.ANSWERS.items():
        codes.setdefault(getattr(kind, "reason", ""), set()).add(answer.code)

    assert {reason: found for reason, found in codes.items() if len(found) > 1} == {}


def test_an_error_without_a_row_says_nothing() -> None:
    reply = errors.reply_to(KeyError("id number 990000195101010011"))

    assert reply.code is grpc.StatusCode.INTERNAL
    assert reply.reason == "INTERNAL"
    assert not reply.expected
    assert b"9900" not in status_of(reply).SerializeToString()


def test_the_log_of_an_unexpected_error_has_no_text_of_it() -> None:
    try:
        raise ValueError("林夏")  # noqa: TRY301  # the error is the example
    except ValueError as error:
        logged = where_from(error)

    assert logged["kind"] == "ValueError"
    assert "林夏" not in str(logged)


def test_fields_of_an_error_reach_the_caller_as_metadata() -> None:
    assert errors.reply_to(AmountOverLimitError(limit_fen=2)).metadata == {
        "limit_fen": "2",
        "next_action": "CHANGE_REQUEST",
    }
    assert errors.reply_to(AuthorizationMissingError(ways=("face", "counter"))).metadata == {
        "ways": "face,counter",
        "next_action": "CHANGE_REQUEST",
    }


@pytest.mark.parametrize("kind", errors.ANSWERS, ids=lambda kind: kind.__name__)
def test_every_refusal_says_what_to_do_next(kind: type[Exception]) -> None:
    action = errors.ANSWERS[kind].next_action

    assert isinstance(action, NextAction)
    if issubclass(kind, TerminalRefusedError | CertificateRefusedError | EnrollmentRefusedError):
        assert kind in BY_ERROR, "what a terminal does about its identity is decided by name"


def test_an_error_nobody_foresaw_says_to_wait() -> None:
    assert errors.reply_to(KeyError()).metadata == {"next_action": "WAIT"}


def test_the_printed_table_names_every_reason_once() -> None:
    printed = errors.as_markdown()

    for kind in errors.ANSWERS:
        reason = getattr(kind, "reason", "")
        assert printed.count(f"| `{reason}` |") == 1
