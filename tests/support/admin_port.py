"""The admin port alone, in a thread of its own: for the command line, which waits while it asks."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

import grpc

from monitoring.metrics import Metrics
from server.administration.building import admin_door
from server.administration.services import add_all
from server.config import Config
from server.store import UnitOfWork
from server.tls import ServerTls
from server.wiring import build_domain


@contextmanager
def an_admin_port(config: Config) -> Iterator[str]:
    """Serve the admin API with its real layers and TLS while the block runs; yields where."""
    ready: Future[str] = Future()
    stopped = asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(_serve(config, ready, stopped),))
    thread.start()
    try:
        yield ready.result(timeout=30)
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


async def _serve(config: Config, ready: "Future[str]", stopped: asyncio.Event) -> None:
    domain = build_domain(config)
    unit_of_work = UnitOfWork(domain.engine, queue_length_max=100, batch_max=8, readers=1)
    unit_of_work.start()
    door = admin_door(domain=domain, unit_of_work=unit_of_work, metrics=Metrics())
    tls = ServerTls(config=config, authority=domain.authority, now=domain.now, on_material=lambda _: None)
    server = grpc.aio.server(interceptors=(door.chain,))
    add_all(door.parts, server)
    port = server.add_secure_port("127.0.0.1:0", tls.credentials(require_client=True))
    await server.start()
    ready.set_result(f"127.0.0.1:{port}")
    await stopped.wait()
    await server.stop(1)
    await asyncio.to_thread(unit_of_work.close)
    domain.engine.dispose()
