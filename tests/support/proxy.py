"""A network that breaks on demand: a TCP proxy before a real server."""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, Self

CHUNK_BYTES = 65_536
SECONDS_MAX = 30.0


class Proxy:
    """Forwards TCP to one address from a thread of its own, until told to cut, to swallow answers, or to stop."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port: Final = int(port)
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._links: Final = set[asyncio.StreamWriter]()
        self._swallow_answers = False
        self.address = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.address = self._run(self._listen()).result(SECONDS_MAX)
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close()).result(SECONDS_MAX)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS_MAX)
        self._loop.close()

    def cut(self) -> None:
        """Break every connection that is open now; new ones work."""
        self._run(self._break_links()).result(SECONDS_MAX)

    def swallow_answers(self, *, yes: bool = True) -> None:
        """Let requests through and keep what comes back, as a network does that dies at the worst moment."""
        self._swallow_answers = yes

    def _run(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _listen(self) -> str:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.close()
            return
        self._links.update({writer, far_writer})
        try:
            await asyncio.gather(
                self._pump(reader, far_writer, answers=False), self._pump(far_reader, writer, answers=True)
            )
        finally:
            self._links.difference_update({writer, far_writer})
            writer.close()
            far_writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(CHUNK_BYTES):
                if answers and self._swallow_answers:
                    continue
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def _break_links(self) -> None:
        for writer in list(self._links):
            writer.transport.abort()

    async def _close(self) -> None:
        self._server.close()
        await self._break_links()
