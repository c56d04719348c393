"""One control stream: heartbeats up, commands down, and out in good order when there is a new identity.

Three tasks share it. One reads and obeys; one is the only writer, because gRPC takes one message at a time; one watches
the date of the next renewal. Whoever wants to leave lets the writer send what waits and close its side: the platform
then ends the stream, and has read everything by then.

The first use of a new certificate retires the one before. So nobody pays from before a renewal until this stream, the
last user of the old one, has ended.
"""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final

from grpc import aio

from mock_terminal.client import jittered, refused_from
from mock_terminal.commands import DoneCommands
from mock_terminal.duties import DONE, FAILED, RESTARTS, Duties, Outcome
from mock_terminal.errors import PlatformRefusedError, StateError, UnreachableError
from mock_terminal.folder import Folder
from mock_terminal.keystore import Identity
from mock_terminal.report import Reporter
from mock_terminal.terminal import renew
from shualian.terminal.v1 import device_pb2, device_pb2_grpc

RESTART_TAKES: Final = timedelta(seconds=1)
SHORTEST_INTERVAL: Final = timedelta(milliseconds=100)
LEAVE_WITHIN: Final = 5.0
"""Seconds that the platform has to end a stream that the terminal has closed."""
LOOK_AGAIN: Final = timedelta(minutes=1)
"""How often it is looked whether a renewal is due, and tried again: clocks are set, machines sleep."""
PAYMENT_TAKES: Final = timedelta(minutes=2)
"""A renewal waits so long for a payment under way."""
ASK_AGAIN_SECONDS: Final = 0.05
WAITING_MAX: Final = 100
"""Answers that wait to be sent; a platform that does not read them gets no further commands obeyed."""


class ControlStream:
    """One control stream, from hello to its end."""

    def __init__(
        self,
        folder: Folder,
        channel: aio.Channel,
        *,
        identity: Identity,
        done: DoneCommands,
        duties: Duties,
        report: Reporter,
        now: Callable[[], datetime],
        position: device_pb2.Position | None = None,
    ) -> None:
        self._folder: Final = folder
        self._channel: Final = channel
        self._identity: Final = identity
        self._done: Final = done
        self._duties: Final = duties
        self._position: Final = position
        self._renew_after = identity.renew_after
        self._report: Final = report
        self._now: Final = now
        self._stream: Final = device_pb2_grpc.DeviceServiceStub(channel).Connect(None)
        self._waiting: Final = asyncio.Queue[device_pb2.ConnectRequest | None](maxsize=WAITING_MAX)
        self._welcomed: Final = asyncio.Event()
        self._renewing: Final = asyncio.Lock()
        self._nobody_pays: Final = ExitStack()
        self._interval = timedelta(seconds=30)
        self._sequence = 0
        self._beaten_at = float("-inf")
        self._is_leaving = False
        self.come_back_after: timedelta | None = None
        """When to connect again, as the platform told, or at once after a renewal; None when nobody said."""

    async def hold(self) -> PlatformRefusedError | None:
        """Stay until the stream ends; return the error that ended it, None when it ended in good order."""
        reading, writing = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        tasks = pending = {reading, writing, asyncio.create_task(self._renew_when_due())}
        try:
            while reading in pending:
                bound = None if writing in pending else LEAVE_WITHIN
                ended, pending = await asyncio.wait(pending, timeout=bound, return_when=asyncio.FIRST_COMPLETED)
                if not ended:  # the platform does not end what we have closed: then we do
                    return None
                for task in ended:
                    task.result()
            return reading.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._stream.cancel()
            self._nobody_pays.close()

    async def _read(self) -> PlatformRefusedError | None:
        try:
            async for message in self._stream:
                if not self._is_leaving:  # what comes now is not answered, and so comes again
                    await self._take(message)
        except aio.AioRpcError as error:
            return refused_from(error)
        return None

    async def _take(self, message: device_pb2.ConnectResponse) -> None:
        match message.WhichOneof("message"):
            case "welcome":
                self._welcome(message.welcome)
            case "heartbeat_ack":
                self._report.event("heartbeat", sequence=message.heartbeat_ack.sequence)
            case "command":
                await self._obey(message.command)
            case "goodbye":
                self.come_back_after = message.goodbye.reconnect_after.ToTimedelta()
                await self._leave()

    def _welcome(self, welcome: device_pb2.Welcome) -> None:
        self._renew_after = welcome.renew_after.ToDatetime(
            UTC
        )  # the platform's newest word, not that of the day of issue
        self._interval = welcome.heartbeat_interval.ToTimedelta()
        self._report.event(
            "connected",
            terminal_id=welcome.terminal_id,
            heartbeat_interval_seconds=self._interval.total_seconds(),
            renew_after=welcome.renew_after.ToDatetime().isoformat() + "Z",
            locked=self._duties.lock.is_locked,
        )
        self._welcomed.set()

    async def _leave(self) -> None:
        """Have the stream closed once everything that waits is sent."""
        if self._is_leaving:
            return
        self._is_leaving = True
        await self._waiting.put(None)

    async def _write(self) -> None:
        """Send hello, then what waits and a heartbeat whenever one is due, until it is time to leave."""
        hello = device_pb2.Hello(firmware_version=self._duties.firmware.version, position=self._position)
        hello.terminal_time.FromDatetime(self._now())
        # When the stream has ended, writing fails; how it ended is for the reader to learn.
        with suppress(aio.AioRpcError, asyncio.InvalidStateError):
            await self._stream.write(device_pb2.ConnectRequest(hello=hello))
            await self._welcomed.wait()
            while (report := await self._next_report()) is not None:
                await self._stream.write(report)
            await self._stream.done_writing()

    async def _next_report(self) -> device_pb2.ConnectRequest | None:
        """Wait for the next message to send; None when there will be no more."""
        interval = max(self._interval, SHORTEST_INTERVAL).total_seconds()
        try:
            async with asyncio.timeout(max(0.0, self._beaten_at + interval - monotonic())):
                return await self._waiting.get()
        except TimeoutError:
            self._beaten_at = monotonic()
            self._sequence += 1
            return self._heartbeat()

    def _heartbeat(self) -> device_pb2.ConnectRequest:
        heartbeat = device_pb2.Heartbeat(
            sequence=self._sequence,
            camera_state=device_pb2.CAMERA_STATE_READY,
            temperature_celsius=36.5,
            queue_length=self._waiting.qsize(),
        )
        heartbeat.terminal_time.FromDatetime(self._now())
        return device_pb2.ConnectRequest(heartbeat=heartbeat)

    async def _obey(self, command: device_pb2.Command) -> None:
        """Do a command once, and answer it each time it comes."""
        action = command.WhichOneof("action") or ""
        if command.command_id in self._done:
            outcome, detail = DONE, "done before"
        else:
            outcome, detail = await self._do(action, command)
        is_new = outcome == DONE and command.command_id not in self._done
        if is_new:
            self._done.add(command.command_id)
        result = device_pb2.CommandResult(command_id=command.command_id, outcome=outcome, detail=detail)
        await self._waiting.put(device_pb2.ConnectRequest(command_result=result))
        name = device_pb2.CommandOutcome.Name(outcome).removeprefix("COMMAND_OUTCOME_")
        self._report.event("command", command_id=command.command_id, action=action, outcome=name, detail=detail)
        if is_new and action in RESTARTS:
            self.come_back_after = RESTART_TAKES
        if self.come_back_after is not None:  # with the new identity or firmware, after this answer
            await self._leave()

    async def _do(self, action: str, command: device_pb2.Command) -> Outcome:
        if action in self._duties.fails:
            return FAILED, "told to fail"
        match action:
            case "renew_certificate":
                is_renewed, problem = await self._renew()
                return (DONE if is_renewed else FAILED), problem
            case "set_configuration":
                self._interval = command.set_configuration.heartbeat_interval.ToTimedelta()
                return DONE, ""
        return await self._duties.do(action, command, certificate_until=self._identity.not_after)

    async def _renew_when_due(self) -> None:
        """Renew once it is time, however quiet the stream is; then leave."""
        await self._welcomed.wait()
        is_renewed = False
        while not is_renewed:
            left = self._renew_after - self._now()
            if left > timedelta():
                await asyncio.sleep(min(left, LOOK_AGAIN).total_seconds())
                continue
            is_renewed, _ = await self._renew()
            if not is_renewed:
                await asyncio.sleep(jittered(LOOK_AGAIN))
        await self._leave()

    async def _renew(self) -> tuple[bool, str]:
        """Get a new identity, if there is none yet; return whether there is one, and what was in the way."""
        async with self._renewing:
            try:
                if self._folder.keys.identity() == self._identity:
                    await self._let_payments_end()
                    identity = await renew(self._folder, self._channel)
                    self._report.event("renewed", not_after=identity.not_after.isoformat())
            except (PlatformRefusedError, UnreachableError, StateError) as error:
                self._nobody_pays.close()
                self._report.event("renewal_failed", reason=error.reason, message=str(error))
                return False, error.reason
            self.come_back_after = timedelta()
            return True, ""

    async def _let_payments_end(self) -> None:
        """Wait until nobody pays, and let nobody begin before this stream has ended."""
        until = monotonic() + PAYMENT_TAKES.total_seconds()
        while True:
            try:
                self._nobody_pays.enter_context(self._folder.paying())
            except StateError:
                if monotonic() >= until:
                    raise
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            else:
                return
