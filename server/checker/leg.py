"""A stretch of network that breaks on demand: a TCP proxy before a process, with traps at places of the conversation.

What goes to the core can be read, so a trap there can wait for one kind of call. What a terminal says is encrypted:
there a trap takes any piece that is long enough to be a call, or the answer to one.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from server.checker.plan import Place

CHUNK_BYTES: Final = 65_536
CALL_BYTES_MIN: Final = 120
"""Shorter pieces of an encrypted connection are pings, acknowledgements and window updates."""
HANDSHAKE_BYTES: Final = 3_000
"""What each side of a connection says before its first call: the TLS handshake, with certificates."""
_CALL: Final = re.compile(rb'"infno"\s*:\s*"(\d{4})"')
_LENGTH: Final = re.compile(rb"(?i)content-length:\s*(\d+)")
_CONNECT_SECONDS_MAX: Final = 5.0
_SECOND_SECONDS_MAX: Final = 20.0


@dataclass(slots=True, kw_only=True)
class Trap:
    """Waits for a place, and strikes there once."""

    place: Place
    call: str
    """infno, empty for any."""
    strike: Callable[[], None]
    struck: asyncio.Event = field(default_factory=asyncio.Event)

    def spring(self) -> None:
        """Strike; the bytes that set it off are still in hand, or have just left."""
        self.strike()
        self.struck.set()


@dataclass(slots=True, kw_only=True, eq=False)
class _Link:
    """One connection and its other half."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    call: str = ""
    """infno of the request under way, where it can be read."""
    request: bytes = b""
    """What was sent since the last answer, where it can be read."""
    said: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})
    """Bytes so far, by whether they are answers."""

    def close(self) -> None:
        """Break both halves."""
        for writer in (self.near, self.far):
            writer.transport.abort()


class Leg:
    """Forwards connections to an address that may change."""

    def __init__(self, name: str, *, is_readable: bool) -> None:
        self.name: Final = name
        self.target = ""
        self.address = ""
        self.late_seconds = 0.0
        self.is_black_hole = False
        self._is_readable: Final = is_readable
        self._links: Final = set[_Link]()
        self._traps: Final[list[Trap]] = []
        self._twice = ""
        self._work: Final = set[asyncio.Task[None]]()

    async def open(self) -> None:
        """Listen on a free port of this machine."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        """Listen no more and break what is open."""
        self._server.close()
        self.cut()
        for task in list(self._work):
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    def heal(self) -> None:
        """Forward everything at once from now on; connections of before begin anew."""
        self.late_seconds, self.is_black_hole, self._twice = 0.0, False, ""
        self._traps.clear()
        self.cut()

    def cut(self) -> None:
        """Break every connection that is open now; new ones work."""
        for link in list(self._links):
            link.close()

    def set(self, trap: Trap) -> None:
        """Wait for a place."""
        self._traps.append(trap)

    def take_away(self, trap: Trap) -> None:
        """Wait for it no longer."""
        with suppress(ValueError):
            self._traps.remove(trap)

    def send_twice(self, call: str) -> None:
        """Send the next request of this kind twice."""
        self._twice = call

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = self.target.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_SECONDS_MAX):
                far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except (OSError, ValueError, TimeoutError):
            writer.transport.abort()
            return
        link = _Link(near=writer, far=far_writer)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, far_writer, is_answer=False),
                self._pump(link, far_reader, writer, is_answer=True),
            )
        finally:
            self._links.discard(link)
            link.close()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool
    ) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK_BYTES):
                link.said[is_answer] += len(chunk)
                if self._is_readable and not is_answer:
                    self._read(link, chunk)
                if self.late_seconds:
                    await asyncio.sleep(self.late_seconds)
                if self._strikes(link, chunk, Place.ANSWER_HELD if is_answer else Place.REQUEST_HELD):
                    break
                if is_answer and self.is_black_hole:
                    continue
                writer.write(chunk)
                await writer.drain()
                self._strikes(link, chunk, Place.ANSWER_PASSED if is_answer else Place.REQUEST_PASSED)
                if is_answer:
                    link.request = b""
        # One side has ended: so has the other.
        link.close()

    def _read(self, link: _Link, chunk: bytes) -> None:
        """Note which call is under way, and send it a second time where that is wanted."""
        link.request += chunk
        found = _CALL.search(link.request)
        link.call = found[1].decode() if found else ""
        if self._twice and self._twice == link.call and _is_whole(link.request):
            self._twice = ""
            self._spawn(link.request)

    def _strikes(self, link: _Link, chunk: bytes, place: Place) -> bool:
        """Spring the trap that waits for this, if there is one; return whether there was."""
        if self._is_readable:
            if not link.call:
                return False
        elif len(chunk) < CALL_BYTES_MIN or link.said[place in _ANSWERS] < HANDSHAKE_BYTES:
            return False
        for trap in self._traps:
            if trap.place is place and trap.call in {"", link.call}:
                self._traps.remove(trap)
                trap.spring()
                return True
        return False

    def _spawn(self, request: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._once_more(request))
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _once_more(self, request: bytes) -> None:
        host, _, port = self.target.rpartition(":")
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_SECOND_SECONDS_MAX):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(request)
                await reader.read(CHUNK_BYTES)
                writer.close()


def _is_whole(request: bytes) -> bool:
    """Return whether an HTTP request has arrived up to its last byte."""
    head, end, body = request.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(end) and length is not None and len(body) >= int(length[1])


_ANSWERS: Final = frozenset({Place.ANSWER_HELD, Place.ANSWER_PASSED})
