"""Patience and errors, against a real gRPC server that says what it is told."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest

from mock_terminal.client import ATTEMPTS_MAX, LONGEST_TOLD, call
from mock_terminal.errors import PlatformRefusedError, UnreachableError
from tests.integration.mock_terminal.conftest import Says, a_server

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
SOON = Says(code=UNAVAILABLE, reason="STORE_BUSY")


class Asked:
    """A method that answers with each of these errors in turn, then well."""

    def __init__(self, *answers: Says) -> None:
        self.answers = list(answers)
        self.times_asked = 0
        self.pauses: list[float] = []

    async def handle(self, request: bytes, context: Any) -> bytes:  # noqa: ANN401  # grpc's own, untyped
        """Answer one call."""
        self.times_asked += 1
        if self.answers:
            await self.answers.pop(0).abort(context)
        return request

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Asked"]:
        """Run it on a server."""
        async with a_server("test.Echo", {"Say": self.handle}) as channel:
            plain: Any = channel  # the stubs want serializers; grpc takes bytes without
            self._method: Any = plain.unary_unary("/test.Echo/Say")
            yield self

    def ask(self) -> Awaitable[bytes]:
        """Ask it."""
        answer: Awaitable[bytes] = self._method(b"hello", timeout=30)
        return answer

    async def pause(self, seconds: float) -> None:
        """Note how long it would have been waited for."""
        self.pauses.append(seconds)


async def refused(asked: Asked) -> PlatformRefusedError:
    async with asked.served():
        with pytest.raises(PlatformRefusedError) as caught:
            await call(asked.ask, pause=asked.pause)
    return caught.value


async def test_google_rpc_details_arrive_in_typed_fields() -> None:
    error = await refused(
        Asked(
            Says(
                code=grpc.StatusCode.INVALID_ARGUMENT,
                reason="INVALID_REQUEST",
                fields=["bill.total_fen"],
                metadata={"limit_fen": "5"},
                retry_after=1.5,
                cashier="请核对账单",
            )
        )
    )

    assert (error.code, error.reason, error.public) == ("INVALID_ARGUMENT", "INVALID_REQUEST", "a public sentence")
    assert error.violations == {"bill.total_fen": "wrong"}
    assert error.metadata == {"limit_fen": "5"}
    assert error.retry_after == timedelta(seconds=1.5)
    assert error.request_id == "R-1"
    assert error.as_fields()["cashier"] == "请核对账单"
    assert error.is_definite


async def test_without_details_the_code_is_the_reason_and_nothing_is_definite() -> None:
    error = await refused(Asked(Says(code=grpc.StatusCode.PERMISSION_DENIED)))

    assert error.reason == "PERMISSION_DENIED"
    assert not error.is_definite


async def test_details_of_a_stranger_are_not_the_platforms_word() -> None:
    error = await refused(Asked(Says(code=grpc.StatusCode.NOT_FOUND, reason="NO_ROUTE", domain="gateway")))

    assert not error.is_definite


async def test_a_definite_no_is_not_asked_again() -> None:
    asked = Asked(Says(code=grpc.StatusCode.FAILED_PRECONDITION, reason="QUOTE_EXPIRED"))

    await refused(asked)

    assert asked.times_asked == 1


async def test_later_is_asked_again_and_the_answer_counts() -> None:
    async with Asked(SOON, Says(code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="RATE_LIMITED")).served() as asked:
        answer = await call(asked.ask)

    assert answer == b"hello"
    assert asked.times_asked == 3


async def test_it_never_comes_back_before_the_time_it_was_told() -> None:
    async with Asked(Says(code=UNAVAILABLE, reason="STORE_BUSY", retry_after=0.8)).served() as asked:
        await call(asked.ask, pause=asked.pause)

    (pause,) = asked.pauses
    assert pause >= 0.8


async def test_pauses_grow_and_the_number_of_attempts_is_bounded() -> None:
    asked = Asked(*[SOON] * (ATTEMPTS_MAX + 5))

    error = await refused(asked)

    assert asked.times_asked == error.attempts == ATTEMPTS_MAX
    assert error.reason == "STORE_BUSY"
    assert len(asked.pauses) == ATTEMPTS_MAX - 1
    assert asked.pauses[-1] > asked.pauses[0] > 0


async def test_a_no_after_a_doubt_is_not_definite() -> None:
    error = await refused(
        Asked(Says(code=UNAVAILABLE), Says(code=grpc.StatusCode.PERMISSION_DENIED, reason="TERMINAL_REVOKED"))
    )

    assert (error.reason, error.attempts) == ("TERMINAL_REVOKED", 2)
    assert not error.is_definite


async def test_much_patience_is_asked_of_people_and_not_waited_here() -> None:
    seconds = LONGEST_TOLD.total_seconds() + 1
    asked = Asked(Says(code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="TOO_MANY", retry_after=seconds))

    error = await refused(asked)

    assert asked.pauses == []
    assert error.as_fields()["retry_after_seconds"] == seconds


async def test_silence_is_told_apart_from_a_no() -> None:
    async with Asked(Says(code=UNAVAILABLE), Says(code=UNAVAILABLE)).served() as asked:
        with pytest.raises(UnreachableError):
            await call(asked.ask, attempts_max=2)
