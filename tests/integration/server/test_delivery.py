"""A command that could not be delivered at once is delivered soon, while its terminal's stream stays open."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from typing import cast

from device_registry import CommandAction
from device_registry.model import CertificateStatus, Standing, TerminalClass, TerminalState
from monitoring.metrics import Metrics
from server.interceptors.chain import Context
from server.live.control import ControlStream, ControlStreams
from server.live.streams import LiveStream
from server.store import UnitOfWork
from shualian.terminal.v1 import device_pb2
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_terminal
from tests.support.database import Database, a_unit_of_work

MINUTE = timedelta(minutes=1)


class Listening:
    """A terminal's end of its control stream."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[device_pb2.ConnectResponse] = asyncio.Queue()

    async def write(self, message: device_pb2.ConnectResponse) -> None:
        """Take a message."""
        await self.heard.put(message)


def a_stream(bench: RegistryBench, terminal_id: str, listening: Listening) -> ControlStream:
    standing = Standing(
        terminal_id=terminal_id,
        site_id="S-1",
        region="330100",
        serial_number="SN-1",
        terminal_class=TerminalClass.FACE,
        state=TerminalState.ACTIVE,
        certificate_status=CertificateStatus.CURRENT,
        fingerprint="ab",
        not_after=bench.clock.now(),
        renew_after=bench.clock.now(),
        first_use_pending=False,
    )
    task = cast("asyncio.Task[object]", asyncio.current_task())
    live = LiveStream(standing=standing, method="Connect", task=task)
    return ControlStream(terminal_id=terminal_id, live=live, context=cast("Context", listening))


async def while_readers_are_busy(unit_of_work: UnitOfWork, streams: ControlStreams, terminal_id: str) -> None:
    """Have a delivery fail, because all readers are taken."""
    done = threading.Event()
    reading = asyncio.create_task(unit_of_work.read(lambda _connection: done.wait(60)))
    await asyncio.sleep(0)
    streams.deliver(terminal_id)
    await asyncio.sleep(0.05)
    done.set()
    assert await reading


async def test_a_delivery_that_the_store_refused_is_tried_again(database: Database, tmp_path: Path) -> None:
    bench, listening = a_registry(tmp_path), Listening()
    async with a_unit_of_work(database.engine, queue_length_max=1, readers=1) as unit_of_work:
        streams = ControlStreams(
            unit_of_work=unit_of_work, commands=bench.commands, metrics=Metrics(), overdue_after=MINUTE
        )
        terminal = await unit_of_work.write(lambda connection: a_terminal(connection, bench.registry))
        command = await unit_of_work.write(
            lambda connection: bench.commands.queue(
                connection, terminal_id=terminal.terminal_id, action=CommandAction.LOCK, actor=OPERATOR
            )
        )
        streams.put(a_stream(bench, terminal.terminal_id, listening))

        await while_readers_are_busy(unit_of_work, streams, terminal.terminal_id)

        assert listening.heard.empty()
        delivered = await asyncio.wait_for(listening.heard.get(), 30)
    assert delivered.command.command_id == command.command_id


async def test_a_stream_that_is_gone_is_not_tried_again(database: Database, tmp_path: Path) -> None:
    bench, gone, newer = a_registry(tmp_path), Listening(), Listening()
    async with a_unit_of_work(database.engine, queue_length_max=1, readers=1) as unit_of_work:
        streams = ControlStreams(
            unit_of_work=unit_of_work, commands=bench.commands, metrics=Metrics(), overdue_after=MINUTE
        )
        terminal = await unit_of_work.write(lambda connection: a_terminal(connection, bench.registry))
        await unit_of_work.write(
            lambda connection: bench.commands.queue(
                connection, terminal_id=terminal.terminal_id, action=CommandAction.LOCK, actor=OPERATOR
            )
        )
        older = a_stream(bench, terminal.terminal_id, gone)
        streams.put(older)
        await while_readers_are_busy(unit_of_work, streams, terminal.terminal_id)

        streams.remove(older)
        streams.put(a_stream(bench, terminal.terminal_id, newer))
        await asyncio.sleep(2.5)

    assert gone.heard.empty()
    assert newer.heard.empty()
