"""How many mutual TLS handshakes a second, beside a bare grpc.aio server with the same certificates?

A handshake here is a new TCP connection, a full TLS 1.3 handshake with certificates on both sides and no resumption,
up to the server's first HTTP/2 frame: in TLS 1.3 only that tells a client that its certificate was accepted. The bare
server is a process of its own with the very same kind of credentials, and no layer, service or background work; both
get slices of time in turn from the same client threads. The servers' own processor time for each tells the truth where
the clients on the same machine are the slower end.
"""

import asyncio
import multiprocessing
import socket
import ssl
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection as Pipe

import grpc

from bench.deployment import Deployment, a_deployment, cpu_seconds
from bench.held import context_of
from bench.terminals import Identity, enrolled
from monitoring.metrics import Metrics
from server.config import Config
from server.platform import build
from server.wiring import build_domain

CLIENTS = 4
"""Threads; OpenSSL lets go of Python's lock while it computes."""
SECONDS_MAX = 10.0
FIRST_FRAME_BYTES = 9


def measure(quick: bool) -> dict[str, object]:  # noqa: FBT001  # every bench is called alike
    """Return both rates, their ratio, and the servers' processor time for each handshake."""
    seconds, rounds = (0.5, 3) if quick else (2.0, 6)
    with a_deployment({}) as deployment:
        identities = enrolled(deployment, CLIENTS)
        deployment.start()
        slices = _slices(deployment, identities, seconds, rounds)
    full, bare = (
        (statistics.median(rate for rate, _ in slices[way]), statistics.median(cost for _, cost in slices[way]))
        for way in ("full", "bare")
    )
    return {
        "handshake_ratio": round(full[0] / bare[0], 3),
        "handshakes_per_second": round(full[0], 1),
        "handshakes_bare_per_second": round(bare[0], 1),
        "handshake_server_ms": round(1000 * full[1], 2),
        "handshake_bare_server_ms": round(1000 * bare[1], 2),
    }


def _slices(
    deployment: Deployment, identities: list[Identity], seconds: float, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Return for each way the rate and the server's seconds for each handshake, slice by slice."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    bare = context.Process(target=_serve_bare, args=(deployment.config, theirs), daemon=True)
    bare.start()
    theirs.close()
    clients = [context_of(deployment.root_pem, identity) for identity in identities]
    try:
        ways = {"bare": (ours.recv(), bare.pid or 0), "full": (deployment.ready.terminal, deployment.server.pid)}
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        with ThreadPoolExecutor(CLIENTS) as pool:
            for turn in range(rounds + 1):  # the first warms up
                for way, (target, pid) in ways.items():
                    before, began = cpu_seconds(pid), time.monotonic()
                    until = began + seconds
                    done = sum(pool.map(lambda client: _until(until, target, client), clients))  # noqa: B023  # run at once
                    took = time.monotonic() - began
                    if turn:
                        found[way].append((done / took, (cpu_seconds(pid) - before) / max(done, 1)))
        return found
    finally:
        ours.close()
        bare.join(timeout=SECONDS_MAX)
        bare.kill()


def _until(moment: float, target: str, context: ssl.SSLContext) -> int:
    host, _, port = target.rpartition(":")
    done = 0
    while time.monotonic() < moment:
        with (
            socket.create_connection((host, int(port)), timeout=SECONDS_MAX) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            done += bool(secured.recv(FIRST_FRAME_BYTES))
    return done


def _serve_bare(config: Config, pipe: Pipe) -> None:
    """Serve nothing but handshakes until the other end hangs up."""

    async def serve() -> None:
        # Credentials of their own: gRPC takes the first configuration out of them.
        credentials = build(build_domain(config), Metrics()).tls.credentials(require_client=True)
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        pipe.send(f"127.0.0.1:{port}")
        await asyncio.to_thread(pipe.poll, None)
        await server.stop(0)

    asyncio.run(serve())
