"""A terminal does what the platform says after a refusal: stop, wait or enroll again, whatever the reason is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from mock_terminal.connection import Connection
from mock_terminal.errors import PlatformRefusedError
from tests.integration.mock_terminal.conftest import Box, Heard
from tests.support.platform import ACTOR


@asynccontextmanager
async def connected(box: Box, heard: Heard) -> AsyncIterator[asyncio.Task[PlatformRefusedError]]:
    connection = Connection(box.folder, address=box.address, report=heard, now=lambda: datetime.now(UTC))
    running = asyncio.create_task(connection.run())
    try:
        await times(heard, "connected", 1)
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def times(heard: Heard, name: str, count: int) -> None:
    async with asyncio.timeout(30):
        while heard.names.count(name) < count:  # noqa: ASYNC110  # it happens in gRPC and in other tasks
            await asyncio.sleep(0.02)


async def decided(box: Box, decision: str) -> None:
    act = getattr(box.running.domain.registry, decision)
    await box.running.write(
        lambda connection: act(connection, terminal_id=box.terminal_id, reason="a test", actor=ACTOR)
    )


@pytest.mark.parametrize(("decision", "reason"), [("revoke", "TERMINAL_REVOKED"), ("ban", "TERMINAL_BANNED")])
async def test_on_stop_it_stops_for_good(box: Box, heard: Heard, decision: str, reason: str) -> None:
    async with connected(box, heard) as running:
        await decided(box, decision)
        ended = await asyncio.wait_for(running, 30)

    assert (ended.reason, ended.next_action) == (reason, "STOP")
    assert heard.names.count("stream_ended") == 1


@pytest.mark.parametrize("decision", ["suspend", "quarantine"])
async def test_on_wait_it_comes_back_until_somebody_resumes_it(box: Box, heard: Heard, decision: str) -> None:
    async with connected(box, heard) as running:
        await decided(box, decision)
        await times(heard, "stream_ended", 2)
        assert not running.done()
        await decided(box, "resume")
        await times(heard, "connected", 2)


async def test_on_enroll_it_stops_when_it_has_nothing_to_enroll_with(box: Box, heard: Heard) -> None:
    async with connected(box, heard) as running:
        await decided(box, "evict")
        ended = await asyncio.wait_for(running, 30)

    assert (ended.reason, ended.next_action) == ("CERTIFICATE_REVOKED", "ENROLL")
    assert "no_new_certificate" in heard.names


@pytest.mark.parametrize(
    ("word", "is_platforms_word", "expected"),
    [("STOP", True, "STOP"), ("STOP", False, "WAIT"), ("DANCE", True, "WAIT"), ("", True, "WAIT")],
)
def test_what_it_does_not_know_means_to_wait(word: str, expected: str, *, is_platforms_word: bool) -> None:
    metadata = {"next_action": word} if word else {}
    refused = PlatformRefusedError(
        code="UNAVAILABLE", reason="ANY", public="", is_platforms_word=is_platforms_word, metadata=metadata
    )

    assert refused.next_action == expected
