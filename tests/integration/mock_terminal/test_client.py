"""Patience and errors, against a real gRPC server that says what it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
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
        self.asked_at: list[float] = []

    async def handle(self, request: bytes, context: Any) -> bytes:  # noqa: ANN401  # grpc's own, untyped
        """Answer one call."""
        self.asked_at.append(monotonic())
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
        answer: Awaitable[bytes] = self._method(b"hello", timeout=5)
        return answer


async def refused(asked: Asked) -> PlatformRefusedError:
    async with asked.served():
        with pytest.raises(PlatformRefusedError) as caught:
            await call(asked.ask)
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

    assert len(asked.asked_at) == 1


async def test_later_is_asked_again_and_the_answer_counts() -> None:
    async with Asked(SOON, Says(code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="RATE_LIMITED")).served() as asked:
        answer = await call(asked.ask)

    assert answer == b"hello"
    assert len(asked.asked_at) == 3


async def test_it_never_comes_back_before_the_time_it_was_told() -> None:
    async with Asked(Says(code=UNAVAILABLE, reason="STORE_BUSY", retry_after=0.8)).served() as asked:
        await call(asked.ask)

    first, second = asked.asked_at
    assert second - first >= 0.8


async def test_pauses_grow_and_the_number_of_attempts_is_bounded() -> None:
    asked = Asked(*[SOON] * (ATTEMPTS_MAX + 5))

    error = await refused(asked)

    assert len(asked.asked_at) == error.attempts == ATTEMPTS_MAX
    assert error.reason == "STORE_BUSY"
    assert asked.asked_at[-1] - asked.asked_at[-2] > asked.asked_at[1] - asked.asked_at[0]


async def test_a_no_after_a_doubt_is_not_definite() -> None:
    error = await refused(
        Asked(Says(code=UNAVAILABLE), Says(code=grpc.StatusCode.PERMISSION_DENIED, reason="TERMINAL_REVOKED"))
    )

    assert (error.reason, error.attempts) == ("TERMINAL_REVOKED", 2)
    assert not error.is_definite


async def test_much_patience_is_asked_of_people_and_not_waited_here() -> None:
    seconds = LONGEST_TOLD.total_seconds() + 1
    asked = Asked(Says(code=grpc.StatusCode.RESOURCE_EXHAUSTED, reason="TOO_MANY", retry_after=seconds))

    async with asyncio.timeout(3):
        error = await refused(asked)

    assert error.as_fields()["retry_after_seconds"] == seconds


async def test_silence_is_told_apart_from_a_no() -> None:
    async with Asked(Says(code=UNAVAILABLE), Says(code=UNAVAILABLE)).served() as asked:
        with pytest.raises(UnreachableError):
            await call(asked.ask, attempts_max=2)
