"""How much do the layers cost? Calls and heartbeats through the whole door, beside bare grpc.aio mTLS echoes.

Both servers listen in this process with the same certificates; a client process gives them slices of time in turn, so
that a busy machine is busy for both. A ratio of 1 would mean that identity, limits, validation, metrics and error
handling are free.
"""

import asyncio
import multiprocessing
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from time import process_time
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AttributeOID
from sqlalchemy import Connection

from bench.rpc_client import Kind, Load, Way, drive
from device_registry import Authority, CertificateLifetimes, SiteKind, TerminalClass
from monitoring.metrics import Metrics
from server.config import Config, load_config
from server.keyring import make_keys
from server.listeners import running
from server.platform import build
from server.wiring import Domain, build_domain
from shualian.terminal.v1 import device_pb2, settlement_pb2

ACTOR = "operator:bench"
ECHO = "bench.Echo"
CONNECT = "/shualian.terminal.v1.DeviceService/Connect"
UNBOUNDED: dict[str, Any] = {
    "calls_per_second": 100_000.0,
    "calls_burst": 100_000,
    "messages_per_second": 100_000.0,
    "messages_burst": 100_000,
    "calls_open_per_terminal_max": 10_000,
}
_RATIOS = {Kind.UNARY: "rpc", Kind.STREAM: "heartbeat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What happened in one slice of time."""

    way: str
    kind: Kind
    calls: int
    seconds: float
    server_seconds: float
    """Processor time of this process, the server."""


def measure(quick: bool) -> dict[str, object]:  # noqa: FBT001  # every bench is called alike
    """Return `rpc_ratio` and `heartbeat_ratio`, with the rates and the processor time they come from."""
    with tempfile.TemporaryDirectory(prefix="shualian-bench-") as folder:
        return asyncio.run(_measure(Path(folder), seconds=0.5 if quick else 2.0, rounds=5 if quick else 8))


async def _measure(folder: Path, *, seconds: float, rounds: int) -> dict[str, object]:
    domain = _domain(folder)
    platform = build(domain, Metrics())
    key = ec.generate_private_key(ec.SECP256R1())
    async with running(platform) as ready:
        chain = await platform.unit_of_work.write(lambda connection: _enrolled(connection, domain, key))
        # Credentials of their own for each: gRPC takes the first configuration out of them.
        bare, bare_target = await _echo_server(platform.tls.credentials(require_client=True), ())
        full, full_target = await _echo_server(
            platform.tls.credentials(require_client=True), (platform.terminal_chain,)
        )
        load = Load(
            key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            chain_pem=_pem(chain),
            root_pem=_pem(domain.authority.root_certificates_der),
            ways=(
                Way(name="bare", kind=Kind.UNARY, target=bare_target, method=f"/{ECHO}/Call"),
                Way(name="full", kind=Kind.UNARY, target=full_target, method=f"/{ECHO}/Call"),
                Way(name="bare", kind=Kind.STREAM, target=bare_target, method=f"/{ECHO}/Stream"),
                Way(name="full", kind=Kind.STREAM, target=ready.terminal, method=CONNECT),
            ),
            seconds=seconds,
            rounds=rounds,
        )
        slices = await _driven(load)
        await asyncio.gather(bare.stop(0), full.stop(0))
    return _figures(slices)


def _figures(slices: Sequence[Slice]) -> dict[str, object]:
    figures: dict[str, object] = {}
    for kind, ratio in _RATIOS.items():
        bare = [item for item in slices if item.kind is kind and item.way == "bare"]
        full = [item for item in slices if item.kind is kind and item.way == "full"]
        bare_rate, full_rate = (
            statistics.median(item.calls / item.seconds for item in items) for items in (bare, full)
        )
        bare_cost, full_cost = (
            statistics.median(item.server_seconds / item.calls for item in items) for items in (bare, full)
        )
        figures |= {
            f"{ratio}_ratio": round(full_rate / bare_rate, 3),
            f"{ratio}_per_second": round(full_rate),
            f"{ratio}_bare_per_second": round(bare_rate),
            # The server's own processor time per call: tells the truth when the client is the slower end.
            f"{ratio}_server_us": round(full_cost * 1e6, 1),
            f"{ratio}_bare_server_us": round(bare_cost * 1e6, 1),
        }
    return figures


async def _driven(load: Load) -> list[Slice]:
    """Let a client process drive both servers, and note what it says."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    client = context.Process(target=drive, args=(load, theirs))
    client.start()
    theirs.close()
    try:
        return [item async for item in _slices(ours)]
    finally:
        client.join(timeout=5)
        client.kill()


async def _slices(pipe: Pipe) -> AsyncIterator[Slice]:
    while True:
        way: Way | None = await asyncio.to_thread(pipe.recv)
        if way is None:
            return
        began = process_time()
        calls, seconds = await asyncio.to_thread(pipe.recv)
        server_seconds = process_time() - began
        yield Slice(way=way.name, kind=way.kind, calls=calls, seconds=seconds, server_seconds=server_seconds)


async def _echo_server(credentials: grpc.ServerCredentials, interceptors: Sequence[Any]) -> tuple[grpc.aio.Server, str]:
    """Start a server with one call and one stream that answer at once."""

    async def call(_request: settlement_pb2.GetSettlementRequest, _context: object) -> object:
        return settlement_pb2.GetSettlementResponse(state=settlement_pb2.SETTLEMENT_STATE_SETTLED)

    async def stream(requests: AsyncIterator[device_pb2.ConnectRequest], context: Any) -> None:  # noqa: ANN401  # gRPC's
        async for request in requests:
            ack = device_pb2.HeartbeatAck(sequence=request.heartbeat.sequence)
            await context.write(device_pb2.ConnectResponse(heartbeat_ack=ack))

    server = grpc.aio.server(interceptors=interceptors, options=[("grpc.so_reuseport", 0)])
    handlers = {
        "Call": grpc.unary_unary_rpc_method_handler(
            call,
            request_deserializer=settlement_pb2.GetSettlementRequest.FromString,
            response_serializer=settlement_pb2.GetSettlementResponse.SerializeToString,
        ),
        "Stream": grpc.stream_stream_rpc_method_handler(
            stream,
            request_deserializer=device_pb2.ConnectRequest.FromString,
            response_serializer=device_pb2.ConnectResponse.SerializeToString,
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(ECHO, handlers),))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    return server, f"127.0.0.1:{port}"


def _domain(folder: Path) -> Domain:
    config = _config(folder)
    make_keys(config)
    Authority.create(
        config.authority_dir,
        passphrase=config.ca_passphrase.read_bytes(),
        now=lambda: datetime.now(UTC),
        lifetimes=CertificateLifetimes(),
    )
    return build_domain(config)


def _config(folder: Path) -> Config:
    config = load_config(None, {})
    return replace(
        config,
        data_dir=folder,
        enrollment=replace(config.enrollment, enabled=False),
        http=replace(config.http, enabled=False),
        diagnostics=replace(config.diagnostics, enabled=False),
        terminal=replace(config.terminal, port=0),
        limits=replace(config.limits, **UNBOUNDED),
    )


def _enrolled(connection: Connection, domain: Domain, key: ec.EllipticCurvePrivateKey) -> tuple[bytes, ...]:
    """Register and enroll one terminal; return its certificates."""
    registry = domain.registry
    site = registry.add_site(connection, name="Bench", region="330100", kind=SiteKind.HOSPITAL, actor=ACTOR)
    terminal = registry.register(
        connection,
        serial_number="BENCH-1",
        manufacturer="Maker",
        model="M1",
        terminal_class=TerminalClass.FACE,
        site_id=site.site_id,
        certification_number="C-1",
        record_number="R-1",
        actor=ACTOR,
    )
    token = registry.issue_token(connection, terminal_id=terminal.terminal_id, actor=ACTOR)
    challenge = registry.challenge(connection, serial_number=terminal.serial_number)
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, challenge.nonce.hex().encode())
        .sign(key, SHA256())
    )
    return registry.enroll(
        connection,
        serial_number=terminal.serial_number,
        token=token.token,
        signing_request_der=request.public_bytes(Encoding.DER),
        request_id="bench",
    ).certificate_chain_der


def _pem(certificates_der: Sequence[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates_der)


if __name__ == "__main__":
    for name, value in measure(quick=True).items():
        print(f"{name:32}{value}")
