"""The ports: opened, announced, watched until SIGTERM, and closed in good order."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_channelz.v1 import channelz, channelz_pb2
from grpc_health.v1 import health as grpc_health
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from monitoring.exporter import watch_process
from monitoring.metrics import Metrics
from server.administration.services import add_all, service_names
from server.config import Config, Limits
from server.http import HttpServer, application
from server.interceptors import Chain
from server.platform import Platform, build
from server.settings import ConfigError
from server.wiring import build_domain
from shualian.terminal.v1 import (
    credential_pb2,
    credential_pb2_grpc,
    device_pb2,
    device_pb2_grpc,
    enrollment_pb2,
    enrollment_pb2_grpc,
    face_pb2,
    face_pb2_grpc,
    settlement_pb2,
    settlement_pb2_grpc,
)

log = structlog.get_logger()

SOCKET_PATH_BYTES_MAX = 100  # sockaddr_un holds 108
_ENROLLMENT = enrollment_pb2.DESCRIPTOR.services_by_name["EnrollmentService"].full_name
_TERMINAL = tuple(
    service.full_name
    for file in (device_pb2, face_pb2, credential_pb2, settlement_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
)
# gRPC reads a unary request before any layer of ours runs, so a stranger's connection gets little, not for long (I11).
_STRANGERS: Mapping[str, int] = {
    "grpc.max_receive_message_length": 65_536,  # the contract allows about 42 KiB: a factory chain and a request
    "grpc.max_connection_idle_ms": 30_000,
    "grpc.max_connection_age_ms": 60_000,
    "grpc.max_connection_age_grace_ms": 10_000,
}
# A terminal holds its control stream, so its connection is never idle; one without a call is of somebody we refused.
_TERMINALS: Mapping[str, int] = {"grpc.max_connection_idle_ms": 600_000}
# An operator's command is one connection with a call or two; a watch keeps its own open.
_OPERATORS: Mapping[str, int] = {"grpc.max_connection_idle_ms": 300_000}
_HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Where the platform listens; empty for what is switched off."""

    pid: int
    enrollment: str = ""
    terminal: str = ""
    admin: str = ""
    http: str = ""
    diagnostics: str = ""


def serve(
    config: Config, *, ready_file: Path | None = None, on_ready: Callable[[Ready], None] = lambda _: None
) -> None:
    """Run the platform until SIGTERM or SIGINT; return after a graceful stop.

    Args:
        config: what to run.
        ready_file: written once every port is open, for whoever waits for it.
        on_ready: told at the same moment.

    Raises:
        ModelError: the models are not installed; `shualian models install` does it.
        KeyFileError, AuthorityError: there is no authority yet; `shualian ca init` makes it.
        ConfigError: a path or port cannot be used.
    """
    asyncio.run(_serve(config, ready_file, on_ready))


async def _serve(config: Config, ready_file: Path | None, on_ready: Callable[[Ready], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    metrics = Metrics()
    watch_process(metrics.registry)
    async with running(build(build_domain(config), metrics)) as ready:
        log.info("serving", **asdict(ready))
        on_ready(ready)
        if ready_file is not None:
            _write_ready_file(ready_file, ready)
        await stopped.wait()
        log.info("stopping")


@asynccontextmanager
async def running(platform: Platform) -> AsyncIterator[Ready]:
    """Open the ports of a platform while the block runs, and stop it gracefully after."""
    listeners = _Listeners(platform)
    try:
        await platform.start()
        yield await listeners.start()
    finally:
        await listeners.stop()
        await platform.stop()


class _Listeners:
    """All ports of one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._health = grpc_health.aio.HealthServicer()  # type: ignore[attr-defined]  # made at import, unseen by mypy
        self._servers: list[grpc.aio.Server] = []
        self._http: HttpServer | None = None
        self._socket: Path | None = None

    async def start(self) -> Ready:
        """Open what is switched on; return where."""
        config = self._platform.config
        await self._show_health(is_ready=True)
        self._platform.health.follow(self._show_health)
        ready = Ready(
            pid=os.getpid(),
            enrollment=await self._open_enrollment() if config.enrollment.enabled else "",
            terminal=await self._open_terminal() if config.terminal.enabled else "",
            admin=await self._open_admin() if config.admin.enabled else "",
            diagnostics=await self._open_diagnostics() if config.diagnostics.enabled else "",
        )
        if not config.http.enabled:
            return ready
        app = application(self._platform.metrics, self._platform.health, self._platform.revocation_lists)
        self._http = HttpServer(app, address=config.http.address, port=config.http.port)
        self._http.start()
        return Ready(**{**asdict(ready), "http": _host_and_port(config.http.address, self._http.port)})

    async def stop(self) -> None:
        """Readiness off, ports closed, terminals told to come back, running calls finished within the grace.

        The ports close before the goodbyes: with thousands to tell, the first would be back before the last has heard.
        """
        limits = self._platform.config.limits
        self._platform.health.is_stopping = True
        await self._health.enter_graceful_shutdown()
        grace = limits.stop_grace.total_seconds()
        stopping = [asyncio.create_task(server.stop(grace)) for server in self._servers]
        await asyncio.sleep(0)  # each takes its first step: no new connection, no new call
        await self._platform.control.say_goodbye(limits.reconnect_spread)
        await asyncio.gather(*stopping)
        if self._http is not None:
            await self._http.stop()
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    async def _show_health(self, *, is_ready: bool) -> None:
        """Let gRPC's own health service say what /readyz says."""
        states = health_pb2.HealthCheckResponse
        for name in (_ENROLLMENT, *_TERMINAL, ""):
            await self._health.set(name, states.SERVING if is_ready else states.NOT_SERVING)

    async def _open_enrollment(self) -> str:
        listener = self._platform.config.enrollment
        server = self._server(self._platform.enrollment_chain, _STRANGERS)
        enrollment_pb2_grpc.add_EnrollmentServiceServicer_to_server(self._platform.enrollment, server)
        return await self._open(server, listener.address, listener.port, require_client=False)

    async def _open_terminal(self) -> str:
        listener = self._platform.config.terminal
        server = self._server(self._platform.terminal_chain, _TERMINALS)
        device_pb2_grpc.add_DeviceServiceServicer_to_server(self._platform.device, server)
        face_pb2_grpc.add_FaceServiceServicer_to_server(self._platform.face, server)
        credential_pb2_grpc.add_CredentialServiceServicer_to_server(self._platform.credential, server)
        settlement_pb2_grpc.add_SettlementServiceServicer_to_server(self._platform.settlement, server)
        _add_health(self._health, server)
        reflection.enable_server_reflection((*_TERMINAL, _HEALTH, reflection.SERVICE_NAME), server)
        return await self._open(server, listener.address, listener.port, require_client=True)

    async def _open_admin(self) -> str:
        listener = self._platform.config.admin
        server = self._server(self._platform.admin.chain, _OPERATORS)
        add_all(self._platform.admin.parts, server)
        reflection.enable_server_reflection((*service_names(), reflection.SERVICE_NAME), server)
        return await self._open(server, listener.address, listener.port, require_client=True)

    async def _open_diagnostics(self) -> str:
        """Open the unix socket; the folder's mode is what keeps others out."""
        path = self._platform.config.diagnostics_socket
        if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
            raise ConfigError(
                mistakes=(f"diagnostics.socket: longer than {SOCKET_PATH_BYTES_MAX} bytes; name another",)
            )
        _make_private(path.parent)
        path.unlink(missing_ok=True)
        server = grpc.aio.server()
        _add_health(self._health, server)
        channelz.add_channelz_servicer(server)  # type: ignore[arg-type]  # takes both kinds of server
        names = (
            _ENROLLMENT,
            *_TERMINAL,
            *service_names(),
            _HEALTH,
            channelz_pb2.DESCRIPTOR.services_by_name["Channelz"].full_name,
        )
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
        server.add_insecure_port(f"unix:{path}")
        await server.start()
        self._socket = path
        self._servers.append(server)
        return str(path)

    def _server(self, chain: Chain, bounds: Mapping[str, int]) -> grpc.aio.Server:
        options = {**_options(self._platform.config.limits), **bounds}
        return grpc.aio.server(interceptors=(chain,), options=list(options.items()))

    async def _open(self, server: grpc.aio.Server, address: str, port: int, *, require_client: bool) -> str:
        credentials = self._platform.tls.credentials(require_client=require_client)
        try:
            bound = server.add_secure_port(_host_and_port(address, port), credentials)
        except RuntimeError as error:
            raise ConfigError(mistakes=(f"cannot listen on {_host_and_port(address, port)}; is it taken?",)) from error
        await server.start()
        self._servers.append(server)
        return _host_and_port(address, bound)


def _make_private(folder: Path) -> None:
    """Make a folder that its owner alone can enter; one that is there already must be so, and is not changed.

    Raises:
        ConfigError: others can enter it.
    """
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
    elif stat.S_IMODE(folder.stat().st_mode) & 0o077:
        mistake = (
            f"diagnostics.socket: others can enter {folder}; name a folder of the platform's own, or chmod 0700 it"
        )
        raise ConfigError(mistakes=(mistake,))


def _add_health(servicer: Any, server: grpc.aio.Server) -> None:  # noqa: ANN401  # both are generated, without types
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]  # as above


def _options(limits: Limits) -> dict[str, int]:
    """Return gRPC's settings; DESIGN 12 has what each of them was tried for."""
    return {
        "grpc.so_reuseport": 0,  # else a second server silently shares the port
        "grpc.max_receive_message_length": limits.message_bytes_max,
        "grpc.max_concurrent_streams": limits.streams_per_connection_max,
        "grpc.server_handshake_timeout_ms": _milliseconds(limits.handshake_timeout),
        "grpc.keepalive_time_ms": _milliseconds(limits.keepalive_time),
        "grpc.keepalive_timeout_ms": _milliseconds(limits.keepalive_timeout),
        "grpc.http2.ping_timeout_ms": _milliseconds(limits.keepalive_timeout),  # without it a dead peer lasts 60 s
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.min_ping_interval_without_data_ms": _milliseconds(limits.keepalive_permitted),
        "grpc.http2.min_recv_ping_interval_without_data_ms": _milliseconds(limits.keepalive_permitted),
        "grpc.enable_channelz": 1,
    }


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)


def _host_and_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _write_ready_file(path: Path, ready: Ready) -> None:
    """Write where we listen, all at once, so that nobody reads half of it."""
    draft = path.with_name(f"{path.name}.{ready.pid}")
    draft.write_text(json.dumps(asdict(ready)) + "\n", encoding="utf-8")
    draft.replace(path)
