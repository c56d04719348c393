"""How many terminals enroll a second, over gRPC, beside the work that nobody can leave out?

Each enrollment is a new connection to the enrollment port, GetChallenge, a signing request with the nonce, and Enroll
with a one-time token, against the real server as a process. The yardstick does in this process, one after another,
what any authority must for one: verify the request's signature, sign a certificate, and commit twice to SQLite with
synchronous=FULL (the nonce must be durable before it is given out, the certificate before it is handed over). It has
no network, no audit chain, no token and no bookkeeping of terminals.
"""

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from bench.deployment import Deployment, Settings, a_deployment
from bench.terminals import Invited, invited, signing_request
from shualian.terminal.v1 import enrollment_pb2, enrollment_pb2_grpc

ENROLLMENTS, ENROLLMENTS_QUICK = 500, 100
IN_FLIGHT = 16
# All terminals of the bench call from one address, which is bounded on the enrollment port (I11).
SETTINGS: Settings = {
    "limits.calls_per_second": 100_000,
    "limits.calls_burst": 100_000,
    "limits.calls_open_per_terminal_max": 1_000,
    "registry.nonces_open_max": 1_000_000,
    "registry.nonces_open_per_address_max": 1_000_000,
}
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


def measure(quick: bool) -> dict[str, object]:  # noqa: FBT001  # every bench is called alike
    """Return both rates, their ratio, and the server's processor time for each enrollment."""
    count = ENROLLMENTS_QUICK if quick else ENROLLMENTS
    with a_deployment(SETTINGS) as deployment:
        terminals = invited(deployment, count + IN_FLIGHT, prefix="ENROLL")
        deployment.start()
        asyncio.run(_enroll_all(deployment, terminals[:IN_FLIGHT]))  # warms up
        bare = _bare_rate(deployment.folder / "bare.sqlite", count)
        cpu_before, began = deployment.cpu_seconds(), time.monotonic()
        asyncio.run(_enroll_all(deployment, terminals[IN_FLIGHT:]))
        took, cpu = time.monotonic() - began, deployment.cpu_seconds() - cpu_before
    return {
        "enrollment_ratio": round(count / took / bare, 3),
        "enrollments_per_second": round(count / took, 1),
        "enrollments_bare_per_second": round(bare, 1),
        "enrollment_server_ms": round(1000 * cpu / count, 2),
        "enrollment_settings": dict(SETTINGS),
    }


async def _enroll_all(deployment: Deployment, terminals: list[Invited]) -> None:
    waiting: Iterator[Invited] = iter(terminals)

    async def one_after_another() -> None:
        for terminal in waiting:
            await _enroll(deployment.ready.enrollment, deployment.root_pem, terminal)

    await asyncio.gather(*(one_after_another() for _ in range(IN_FLIGHT)))


async def _enroll(target: str, root_pem: bytes, terminal: Invited) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(root_pem), options=_OPTIONS) as channel:
        stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
        asked = enrollment_pb2.GetChallengeRequest(serial_number=terminal.serial_number)
        challenge = await stub.GetChallenge(asked)
        await stub.Enroll(
            enrollment_pb2.EnrollRequest(
                serial_number=terminal.serial_number,
                token=terminal.token,
                signing_request_der=signing_request(key, challenge.nonce),
            )
        )


def _bare_rate(path: Path, count: int) -> float:
    issuer, requests = ec.generate_private_key(ec.SECP256R1()), [_request() for _ in range(count)]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE kept (what BLOB)")
        began = time.monotonic()
        for request in requests:
            connection.execute("INSERT INTO kept VALUES (?)", (b"nonce",))
            issued = _issued(x509.load_der_x509_csr(request), issuer)
            connection.execute("INSERT INTO kept VALUES (?)", (issued,))
        return count / (time.monotonic() - began)


def _request() -> bytes:
    return signing_request(ec.generate_private_key(ec.SECP256R1()), bytes(32))


def _issued(request: x509.CertificateSigningRequest, issuer: ec.EllipticCurvePrivateKey) -> bytes:
    if not request.is_signature_valid:
        raise ValueError("the request was made here and is signed")
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(x509.Name([]))
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
    )
    return builder.sign(issuer, SHA256()).public_bytes(Encoding.DER)
