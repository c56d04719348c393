"""The admin API without a port: the same services on a unix socket that only this process can reach, for one command.

Whoever runs it can read the database and the keys, and so holds everything anyway: the caller is `local:<account>`
with role SECURITY. The layers, the audit trail and the answers are those of the admin port.
"""

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import grpc

from monitoring.metrics import Metrics
from server.administration.building import admin_chain
from server.administration.layers import local_operator
from server.administration.services import Parts, ServicesOnDemand
from server.live.streams import LiveStreams
from server.live.witness import WitnessKeeper, WitnessLayer
from server.store import UnitOfWork
from server.wiring import Domain

SOCKET_PATH_BYTES_MAX = 100  # sockaddr_un holds 108
STOP_GRACE_SECONDS = 1.0


@contextmanager
def serving(domain: Domain, *, account: str) -> Iterator[str]:
    """Serve the admin API while the block runs; yields where, as a gRPC target."""
    with tempfile.TemporaryDirectory(prefix="shualian-", dir=_short_folder()) as folder:  # mode 0700
        address = f"unix:{Path(folder) / 'admin.sock'}"
        server = _Server(domain, account=account, address=address)
        server.start()
        try:
            yield address
        finally:
            server.stop()


class _Server:
    """An event loop in a thread of its own, and the server in it."""

    def __init__(self, domain: Domain, *, account: str, address: str) -> None:
        self._domain = domain
        self._account = account
        self._address = address
        self._ready: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="admin-api", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Return when calls are answered."""
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Let running calls end, and close."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        config, metrics = self._domain.config, Metrics()
        unit_of_work = UnitOfWork(
            self._domain.engine, queue_length_max=config.store.queue_length_max, batch_max=1, readers=1
        )
        keeper = WitnessKeeper(unit_of_work=unit_of_work, revocations=self._domain.revocations, streams=LiveStreams())
        chain = admin_chain(
            metrics=metrics,
            limits=None,
            identify=local_operator(self._account),
            innermost=(WitnessLayer(keeper),),
        )
        server = grpc.aio.server(
            interceptors=(chain,),
            options=[
                ("grpc.max_receive_message_length", config.limits.message_bytes_max),
                ("grpc.enable_http_proxy", 0),
            ],
        )
        parts = Parts(domain=self._domain, unit_of_work=unit_of_work, metrics=metrics)
        server.add_generic_rpc_handlers((ServicesOnDemand(parts),))
        server.add_insecure_port(self._address)
        unit_of_work.start()
        try:
            await server.start()
            self._ready.set_result(None)
            await self._stopped.wait()
        finally:
            await server.stop(STOP_GRACE_SECONDS)
            keeper.close()
            await asyncio.to_thread(unit_of_work.close)


def _short_folder() -> str | None:
    """Return where the socket's folder is made: the usual place, unless that is too long for a socket's path."""
    usual = tempfile.gettempdir()
    return None if len(os.fsencode(usual)) < SOCKET_PATH_BYTES_MAX - len("/shualian-12345678/admin.sock") else "/tmp"  # noqa: S108 - mkdtemp makes it 0700
