"""A leg breaks where it is told: before a request arrives, after it, before the answer; and sends twice on demand."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from server.checker.leg import Leg, Trap
from server.checker.plan import Place

SECONDS_MAX = 30.0
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass(kw_only=True)
class FarEnd:
    """A core that counts what reaches it, and answers."""

    reached: list[str] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    twice: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer each request."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.reached.append(json.loads(await reader.readexactly(length))["infno"])
                self.arrived.set()
                if len(self.reached) > 1:
                    self.twice.set()
                writer.write(ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def a_leg() -> AsyncIterator[tuple[Leg, FarEnd]]:
    far, leg = FarEnd(), Leg("core", is_readable=True)
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0)
    leg.target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await leg.open()
    try:
        async with asyncio.timeout(SECONDS_MAX):
            yield leg, far
    finally:
        await leg.close()
        server.close()


async def ask(leg: Leg, call: str) -> bytes:
    """Send one request, head and body apart as clients do; return the answer, empty when the connection broke."""
    host, _, port = leg.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps({"infno": call}).encode()
    try:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
        await writer.drain()
        writer.write(body)
        return await reader.readexactly(len(ANSWER))
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("place", "reaches", "answered"),
    [
        (Place.REQUEST_HELD, False, False),
        (Place.REQUEST_PASSED, True, True),
        (Place.ANSWER_HELD, True, False),
        (Place.ANSWER_PASSED, True, True),
    ],
)
async def test_a_trap_strikes_at_its_place_and_what_is_held_never_arrives(
    place: Place, *, reaches: bool, answered: bool
) -> None:
    struck: list[list[str]] = []
    async with a_leg() as (leg, far):
        leg.set(Trap(place=place, call="2207", strike=lambda: struck.append(list(far.reached))))
        other = await ask(leg, "2206")
        answer = await ask(leg, "2207")
        if reaches:
            await far.arrived.wait()
        after = await ask(leg, "2207")

    assert (other, after) == (ANSWER, ANSWER)
    assert answer == (ANSWER if answered else b"")
    assert far.reached == ["2206", *(["2207"] if reaches else []), "2207"]
    assert len(struck) == 1
    assert ("2207" in struck[0]) or place in {Place.REQUEST_HELD, Place.REQUEST_PASSED}


async def test_a_request_is_sent_twice_once() -> None:
    async with a_leg() as (leg, far):
        leg.send_twice("2207")
        assert await ask(leg, "2207") == ANSWER
        await far.twice.wait()
        assert await ask(leg, "2207") == ANSWER

    assert far.reached == ["2207"] * 3


async def test_a_black_hole_takes_the_request_and_gives_no_answer_until_it_is_cut() -> None:
    async with a_leg() as (leg, far):
        leg.is_black_hole = True
        asking = asyncio.create_task(ask(leg, "2207"))
        await far.arrived.wait()
        leg.heal()
        assert await asking == b""
        assert await ask(leg, "2207") == ANSWER


async def test_nobody_behind_the_leg_is_a_broken_connection() -> None:
    async with a_leg() as (leg, _):
        leg.target = "127.0.0.1:1"
        assert await ask(leg, "2207") == b""
