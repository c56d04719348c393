"""Which terminal listens on which control stream: the newest one counts, commands go down it, silence ends it."""

import asyncio
import secrets
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from time import monotonic

import structlog

from device_registry import Command, Commands
from monitoring.metrics import Metrics
from server import convert
from server.interceptors.chain import Context
from server.live.streams import LiveStream
from server.refusals import StreamSupersededError, TerminalOverdueError
from server.store import StoreError, UnitOfWork
from shualian.terminal.v1 import device_pb2

log = structlog.get_logger()

AGAIN_AFTER = timedelta(seconds=1)
"""How long after a delivery that failed the next attempt begins, and at most as long again: not all at once."""
GOODBYE_WITHIN = timedelta(seconds=2)
"""How long a terminal that does not read may hold up its own goodbye."""


def count_ended(metrics: Metrics, commands: Iterable[Command]) -> None:
    """Count commands that have just ended; an answer that came after the end is not counted again."""
    for command in commands:
        if command.outcome is not None and command.late_outcome is None:
            metrics.commands.labels(command.action.value, command.outcome.value).inc()


class ControlStream:
    """One terminal's control stream, and the one place that writes to it."""

    def __init__(self, *, terminal_id: str, live: LiveStream, context: Context) -> None:
        self.terminal_id = terminal_id
        self.live = live
        self.heard_at = monotonic()
        self.sent: set[str] = set()
        self.delivering = asyncio.Lock()
        self.tries_again = False
        self._context = context
        self._writing = asyncio.Lock()  # gRPC takes one message at a time

    async def send(self, message: device_pb2.ConnectResponse) -> None:
        """Write one message."""
        async with self._writing:
            await self._context.write(message)


class ControlStreams:
    """Every open control stream, by terminal."""

    def __init__(
        self, *, unit_of_work: UnitOfWork, commands: Commands, metrics: Metrics, overdue_after: timedelta
    ) -> None:
        self._unit_of_work = unit_of_work
        self._commands = commands
        self._metrics = metrics
        self._overdue_after = overdue_after
        self._streams: dict[str, ControlStream] = {}
        self._deliveries: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._streams)

    def put(self, stream: ControlStream) -> None:
        """Take a new stream; an older one of the same terminal is ended."""
        older = self._streams.get(stream.terminal_id)
        self._streams[stream.terminal_id] = stream
        self._metrics.control_streams.set(len(self._streams))
        if older is not None:
            older.live.end(StreamSupersededError())

    def remove(self, stream: ControlStream) -> bool:
        """Forget a stream that has ended; return whether it was its terminal's newest."""
        if self._streams.get(stream.terminal_id) is not stream:
            return False
        del self._streams[stream.terminal_id]
        self._metrics.control_streams.set(len(self._streams))
        return True

    def deliver(self, terminal_id: str) -> None:
        """Send what waits for a terminal down its stream, if it is connected here."""
        stream = self._streams.get(terminal_id)
        if stream is not None:
            self._start(stream)

    async def end_silent(self) -> None:
        """End the streams on which nothing was heard for too long."""
        heard_before = monotonic() - self._overdue_after.total_seconds()
        for stream in list(self._streams.values()):
            if stream.heard_at < heard_before:
                stream.live.end(TerminalOverdueError())

    async def say_goodbye(self, spread: timedelta) -> None:
        """Tell every terminal to come back, each at its own moment within `spread`, and end the streams."""
        await asyncio.gather(*(self._say_goodbye(stream, spread) for stream in list(self._streams.values())))

    async def _say_goodbye(self, stream: ControlStream, spread: timedelta) -> None:
        milliseconds = secrets.randbelow(int(spread / timedelta(milliseconds=1)) + 1)
        reconnect_after = convert.duration(timedelta(milliseconds=milliseconds))
        try:
            async with asyncio.timeout(GOODBYE_WITHIN.total_seconds()):
                await stream.send(
                    device_pb2.ConnectResponse(goodbye=device_pb2.Goodbye(reconnect_after=reconnect_after))
                )
        except Exception as error:  # noqa: BLE001  # the stream may end in any way meanwhile; the others must be told
            log.debug("goodbye_lost", kind=type(error).__name__)
        stream.live.finish()

    async def _deliver(self, stream: ControlStream) -> None:
        """Send each command that applies and that this stream has not seen; what is not answered is sent again."""
        terminal_id = stream.terminal_id
        async with stream.delivering:
            stock = await self._unit_of_work.read(partial(self._commands.stock, terminal_id=terminal_id))
            if stock.overtaken:
                closed = await self._unit_of_work.write(
                    partial(self._commands.close_overtaken, terminal_id=terminal_id)
                )
                count_ended(self._metrics, closed)
            for delivery in stock.deliveries:
                command = delivery.command
                if command.command_id in stream.sent or stream.live.is_ending:
                    continue
                if not await self._unit_of_work.write(partial(self._commands.sent, command_id=command.command_id)):
                    continue  # taken back in this very moment
                stream.sent.add(command.command_id)
                await stream.send(device_pb2.ConnectResponse(command=convert.command(delivery)))
                self._metrics.commands.labels(command.action.value, "SENT").inc()

    def _start(self, stream: ControlStream) -> None:
        task = asyncio.create_task(self._deliver(stream))
        self._deliveries.add(task)
        task.add_done_callback(partial(self._delivered, stream))

    def _delivered(self, stream: ControlStream, task: asyncio.Task[None]) -> None:
        """Let go of a delivery. One that the store refused is tried again; any other, when the terminal reconnects."""
        self._deliveries.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        reason = error.reason if isinstance(error, StoreError) else type(error).__name__
        log.warning("delivery_failed", reason=reason)
        if isinstance(error, StoreError) and not stream.tries_again:
            stream.tries_again = True
            wait = AGAIN_AFTER * (1 + secrets.randbelow(1000) / 1000)
            asyncio.get_running_loop().call_later(wait.total_seconds(), self._again, stream)

    def _again(self, stream: ControlStream) -> None:
        stream.tries_again = False
        if self._streams.get(stream.terminal_id) is stream and not stream.live.is_ending:
            self._start(stream)
