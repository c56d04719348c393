"""The enrollment port of a running platform, as a maker's firmware uses it: factory identities and late renewals."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
import pytest
import uuid_utils
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection

from device_registry import Site, SiteKind, Terminal, TerminalClass
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.enrollment.factory import to_be_signed
from device_registry.enrollment.grace import GRACE_CONTEXT
from device_registry.fleet.finding import Finding
from shualian.terminal.v1 import enrollment_pb2, enrollment_pb2_grpc, settlement_pb2, settlement_pb2_grpc
from tests.support.clock import Clock
from tests.support.factory import Device, Factory, an_approved_maker, an_approved_model, an_ec_key
from tests.support.platform import (
    ACTOR,
    Refusal,
    RunningPlatform,
    a_platform,
    chain_pem,
    channel_to,
    refusal,
    signing_request,
)

HERON = Factory()
DEVICE = HERON.make("HD3-000017")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a terminal holds after it enrolled."""

    terminal_id: str
    key: ec.EllipticCurvePrivateKey
    chain_der: tuple[bytes, ...]

    async def reason_met(self, running: RunningPlatform) -> str:
        """Ask something harmless over mutual TLS; return the reason of the answer."""
        async with channel_to(running, self.key, chain_pem(self.chain_der)) as channel:
            stub = settlement_pb2_grpc.SettlementServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetSettlement(settlement_pb2.GetSettlementRequest(transaction_id=str(uuid_utils.uuid7())))
        return refusal(caught.value).reason or caught.value.code().name


LET_IN = "SETTLEMENT_NOT_FOUND"


@dataclass(frozen=True, kw_only=True)
class Port:
    """The enrollment port of a running platform, as a terminal's firmware uses it."""

    running: RunningPlatform
    clock: Clock
    stub: "enrollment_pb2_grpc.EnrollmentServiceAsyncStub"

    async def a_request(
        self,
        device: Device,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
        serial_number: str = "",
        installer: enrollment_pb2.Installer | None = None,
    ) -> enrollment_pb2.EnrollRequest:
        """Return what a device asks with its factory identity and a fresh nonce; it can be sent more than once."""
        serial_number = serial_number or device.serial_number
        nonce = (await self.stub.GetChallenge(enrollment_pb2.GetChallengeRequest(serial_number=serial_number))).nonce
        request = signing_request(key or an_ec_key(), nonce)
        proof = device.proof(nonce=nonce, signing_request_der=request)
        return enrollment_pb2.EnrollRequest(
            serial_number=serial_number,
            signing_request_der=request,
            factory_proof=enrollment_pb2.FactoryProof(
                certificate_chain_der=proof.certificate_chain_der, signature=proof.signature
            ),
            installer=installer,
        )

    async def enroll(
        self, device: Device, *, serial_number: str = "", installer: enrollment_pb2.Installer | None = None
    ) -> Identity:
        """Enroll with a factory identity."""
        key = an_ec_key()
        asked = await self.a_request(device, key=key, serial_number=serial_number, installer=installer)
        answer = await self.stub.Enroll(asked)
        return Identity(terminal_id=answer.terminal_id, key=key, chain_der=tuple(answer.certificate_chain_der))

    async def a_late_request(
        self,
        held: Identity,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
        signing_key: ec.EllipticCurvePrivateKey | None = None,
    ) -> enrollment_pb2.RenewExpiredRequest:
        """Return what a terminal asks with a lapsed certificate and a fresh nonce."""
        ask = enrollment_pb2.GetChallengeRequest(serial_number=DEVICE.serial_number)
        nonce = (await self.stub.GetChallenge(ask)).nonce
        request = signing_request(key or an_ec_key(), nonce)
        content = to_be_signed(context=GRACE_CONTEXT, nonce=nonce, signing_request_der=request)
        return enrollment_pb2.RenewExpiredRequest(
            certificate_der=held.chain_der[0],
            signing_request_der=request,
            signature=(signing_key or held.key).sign(content, ec.ECDSA(hashes.SHA256())),
        )

    async def renew_expired(self, held: Identity) -> Identity:
        """Trade a lapsed certificate for a new one."""
        key = an_ec_key()
        answer = await self.stub.RenewExpired(await self.a_late_request(held, key=key))
        return Identity(terminal_id=held.terminal_id, key=key, chain_der=tuple(answer.certificate_chain_der))

    async def site(self, *, region: str = "330100") -> Site:
        """Add a site."""
        registry = self.running.domain.registry
        return await self.running.write(
            lambda connection: registry.add_site(
                connection, name="Site", region=region, kind=SiteKind.HOSPITAL, actor=ACTOR
            )
        )

    async def register(self, device: Device) -> Terminal:
        """Register a device."""
        site = await self.site()
        return await self.running.write(
            lambda connection: self.running.domain.registry.register(
                connection,
                serial_number=device.serial_number,
                manufacturer=HERON.maker,
                model="HD-3",
                terminal_class=TerminalClass.FACE,
                site_id=site.site_id,
                certification_number="C-1",
                record_number="R-1",
                actor=ACTOR,
            )
        )

    async def active(self) -> Identity:
        """Register and enroll the device, and note the first use of its certificate."""
        await self.register(DEVICE)
        held = await self.enroll(DEVICE)
        fingerprint = fingerprint_from_der(held.chain_der[0])
        await self.running.write(
            lambda connection: self.running.domain.registry.first_use(
                connection, fingerprint=fingerprint, request_id=""
            )
        )
        return held

    async def findings(self) -> list[Finding]:
        """Return what was found."""
        return list(await self.running.platform.unit_of_work.read(self.running.domain.findings.list))


@asynccontextmanager
async def a_port(now: Callable[[], datetime], clock: Clock | None = None) -> AsyncIterator[Port]:
    """Run a platform that has approved one manufacturer, and connect to it."""
    async with a_platform(now=now, tls={"server_lifetime": timedelta(days=90)}) as running:

        def approve(connection: Connection) -> None:
            makers = running.domain.makers
            an_approved_model(connection, makers, an_approved_maker(connection, makers, HERON))

        await running.write(approve)
        credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
        async with grpc.aio.secure_channel(running.ready.enrollment, credentials) as channel:
            stub = enrollment_pb2_grpc.EnrollmentServiceStub(channel)
            yield Port(running=running, clock=clock or Clock(), stub=stub)


async def refused(asking: object) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asking  # type: ignore[misc] # one of the port's coroutines
    return refusal(caught.value)


def today(port: Port) -> None:
    """Let the platform's clock catch up with the real one."""
    port.clock.set(datetime.now(UTC))
