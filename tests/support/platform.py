"""A whole platform in the test's own process: real keys, certificates, SQLite, models, and gRPC on free ports."""

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AttributeOID
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, LocalizedMessage, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from sqlalchemy import Connection, make_url

from device_registry import Authority, SiteKind, Terminal, TerminalClass
from face_pipeline import FacePipeline
from monitoring.metrics import Metrics
from server import wiring
from server.config import Config, load_config
from server.faces.loading import face_policy, load_faces
from server.issuing import certificate_lifetimes, issuing_keys
from server.keyring import make_keys
from server.listeners import Ready, running
from server.platform import Platform, build
from server.settlement.insurers import Insurer
from server.wiring import Domain, build_domain
from shualian.terminal.v1 import enrollment_pb2, enrollment_pb2_grpc
from tests.support.database import migrated_at

T = TypeVar("T")

ACTOR = "operator:test"
PATIENT: Mapping[str, Any] = {
    "session_lifetime": timedelta(seconds=30),
    "seal_within": timedelta(seconds=10),
    "frame_age_max": timedelta(seconds=5),
}
"""What a machine that is busy with other things may take longer for, where no test is about it."""
LAG_MAX = timedelta(seconds=10)
"""For the same reason: how far the registry may be behind before everybody is refused."""


@cache
def faces() -> FacePipeline:
    """Return the models, loaded once for the whole test run."""
    return load_faces(load_config(None, {}))


class Reachable(Protocol):
    """A platform that listens, in this process or in one of its own."""

    @property
    def ready(self) -> Ready:
        """Where it listens."""

    @property
    def root_pem(self) -> bytes:
        """The root certificate a terminal trusts."""

    @property
    def domain(self) -> Domain:
        """Its books."""

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Change something in its database."""


@dataclass(frozen=True, kw_only=True)
class RunningPlatform:
    """A platform that listens."""

    platform: Platform
    ready: Ready

    @property
    def domain(self) -> Domain:
        """Its books."""
        return self.platform.domain

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Change something in its database, as a command of the CLI would."""
        return await self.platform.unit_of_work.write(work)

    @property
    def root_pem(self) -> bytes:
        """The root certificate a terminal trusts."""
        der = self.platform.domain.authority.root_certificates_der[0]
        return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)

    def counted(self, name: str, **labels: str) -> float:
        """Return the value of a metric; 0 when it was never counted."""
        return self.platform.metrics.registry.get_sample_value(f"shualian_{name}", labels) or 0.0


@dataclass(frozen=True, kw_only=True)
class EnrolledTerminal:
    """A terminal with its certificate, and a way in."""

    running: Reachable
    terminal: Terminal
    key: ec.EllipticCurvePrivateKey
    chain_pem: bytes

    @property
    def terminal_id(self) -> str:
        """The registry's name for it."""
        return self.terminal.terminal_id

    def channel(self) -> grpc.aio.Channel:
        """Return a new connection to the terminal port; close it by using it as a context."""
        return channel_to(self.running, self.key, self.chain_pem)


@asynccontextmanager
async def a_platform(
    *,
    folder: Path | None = None,
    now: Callable[[], datetime] = wiring.utc_now,
    insurer: Insurer | None = None,
    **settings: Mapping[str, Any],
) -> AsyncIterator[RunningPlatform]:
    """Run a platform.

    Args:
        folder: where its data is, for one that is to be started again; else a folder of its own.
        now: its clock.
        insurer: one outside of the platform, in place of its own.
        settings: sections of the configuration, e.g. `limits={"calls_burst": 2}`.
    """
    with tempfile.TemporaryDirectory(prefix="shualian-") as own:  # short: a unix socket's path has 100 bytes
        config = a_config(folder or Path(own), **settings)
        if make_keys(config):
            Authority.create(
                config.authority_dir,
                passphrase=config.ca_passphrase.read_bytes(),
                now=now,
                lifetimes=certificate_lifetimes(config),
                keys=issuing_keys(config),
            )
            if not config.store.url:
                migrated_at(Path(make_url(config.database_url).database or ""))
        pipeline = replace(faces(), policy=face_policy(config))
        domain = build_domain(config, now=now)
        platform = build(replace(domain, insurer=insurer or domain.insurer), Metrics(), faces=pipeline)
        async with running(platform) as ready:
            yield RunningPlatform(platform=platform, ready=ready)


def a_config(folder: Path, **settings: Mapping[str, Any]) -> Config:
    """Return a configuration with every port free, and settings by section."""
    config = load_config(None, {})
    config = replace(
        config,
        data_dir=folder,
        enrollment=replace(config.enrollment, port=0),
        terminal=replace(config.terminal, port=0),
        admin=replace(config.admin, port=0),
        http=replace(config.http, port=0),
        limits=replace(config.limits, stop_grace=config.limits.stop_grace / 20),
        face=replace(config.face, **PATIENT),
        store=replace(config.store, lag_max=LAG_MAX),
    )
    return replace(
        config, **{section: replace(getattr(config, section), **values) for section, values in settings.items()}
    )


async def a_registered_terminal(
    running: Reachable,
    *,
    serial_number: str = "SL-0001",
    terminal_class: TerminalClass = TerminalClass.FACE,
    kind: SiteKind = SiteKind.HOSPITAL,
) -> Terminal:
    """Register a terminal at a site of its own."""
    registry = running.domain.registry

    def write(connection: Connection) -> Terminal:
        site = registry.add_site(connection, name="Site", region="330100", kind=kind, actor=ACTOR)
        return registry.register(
            connection,
            serial_number=serial_number,
            manufacturer="Maker",
            model="M1",
            terminal_class=terminal_class,
            site_id=site.site_id,
            certification_number="C-1",
            record_number="R-1",
            actor=ACTOR,
        )

    return await running.write(write)


async def an_enrolled_terminal(running: Reachable, **registered: Any) -> EnrolledTerminal:  # noqa: ANN401  # as above
    """Register a terminal and let it enroll over the enrollment port."""
    terminal = await a_registered_terminal(running, **registered)
    token = await running.write(
        lambda connection: running.domain.registry.issue_token(
            connection, terminal_id=terminal.terminal_id, actor=ACTOR
        )
    )
    key = ec.generate_private_key(ec.SECP256R1())
    credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
    async with grpc.aio.secure_channel(running.ready.enrollment, credentials) as channel:
        stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
        challenge = await stub.GetChallenge(enrollment_pb2.GetChallengeRequest(serial_number=terminal.serial_number))
        enrolled = await stub.Enroll(
            enrollment_pb2.EnrollRequest(
                serial_number=terminal.serial_number,
                token=token.token,
                signing_request_der=signing_request(key, challenge.nonce),
            )
        )
    return EnrolledTerminal(
        running=running, terminal=terminal, key=key, chain_pem=chain_pem(enrolled.certificate_chain_der)
    )


def signing_request(key: ec.EllipticCurvePrivateKey, nonce: bytes | None = None) -> bytes:
    """Return a PKCS#10 request, with the nonce where the contract wants it."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if nonce is not None:
        builder = builder.add_attribute(AttributeOID.CHALLENGE_PASSWORD, nonce.hex().encode())
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def chain_pem(chain_der: Any) -> bytes:  # noqa: ANN401  # a repeated field
    """Return a chain in PEM, leaf first."""
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in chain_der)


def channel_to(running: Reachable, key: ec.EllipticCurvePrivateKey, chain: bytes) -> grpc.aio.Channel:
    """Return a new connection to the terminal port with this key and chain."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=running.root_pem,
        private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate_chain=chain,
    )
    # A pool of its own: else gRPC would hand the next channel a connection that is already open.
    options = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.secure_channel(running.ready.terminal, credentials, options=options)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a caller read about an error."""

    code: grpc.StatusCode
    text: str
    reason: str
    metadata: Mapping[str, str]
    fields: tuple[str, ...]
    retry_after: float | None
    request_id: str
    cashier: str


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """Return the status and its details as one record."""
    raw = metadata_of(error).get("grpc-status-details-bin", b"")
    status = Status.FromString(raw if isinstance(raw, bytes) else b"")
    info = _detail(status, ErrorInfo())
    retry = _detail(status, RetryInfo())
    return Refusal(
        code=error.code(),
        text=error.details() or "",
        reason=info.reason,
        metadata=dict(info.metadata),
        fields=tuple(violation.field for violation in _detail(status, BadRequest()).field_violations),
        retry_after=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
        request_id=_detail(status, RequestInfo()).request_id,
        cashier=_detail(status, LocalizedMessage()).message,
    )


def metadata_of(error: grpc.aio.AioRpcError) -> dict[str, str | bytes]:
    """Return the trailing metadata of a refused call."""
    pairs: Any = error.trailing_metadata()
    return dict(pairs)


def _detail(status: Any, wanted: Message) -> Any:  # noqa: ANN401  # google.rpc has no types
    for detail in status.details:
        if detail.Is(wanted.DESCRIPTOR):
            detail.Unpack(wanted)
            break
    return wanted
