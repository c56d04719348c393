"""Factory identities, tickets and late renewals over gRPC: what a maker's firmware meets at the enrollment port."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import grpc
import pytest
import uuid_utils
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, select

from device_registry import Site, SiteKind, Terminal, TerminalClass, TerminalState
from device_registry.authority.certificates import fingerprint_from_der
from device_registry.enrollment.factory import to_be_signed
from device_registry.enrollment.grace import GRACE_CONTEXT
from device_registry.fleet.finding import Finding, FindingKind, Severity
from device_registry.tables import audit_log
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
LIFETIME = timedelta(days=30)


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

    async def enroll(
        self, device: Device, *, serial_number: str = "", installer: enrollment_pb2.Installer | None = None
    ) -> Identity:
        """Enroll with a factory identity."""
        serial_number = serial_number or device.serial_number
        key = an_ec_key()
        nonce = (await self.stub.GetChallenge(enrollment_pb2.GetChallengeRequest(serial_number=serial_number))).nonce
        request = signing_request(key, nonce)
        proof = device.proof(nonce=nonce, signing_request_der=request)
        answer = await self.stub.Enroll(
            enrollment_pb2.EnrollRequest(
                serial_number=serial_number,
                signing_request_der=request,
                factory_proof=enrollment_pb2.FactoryProof(
                    certificate_chain_der=proof.certificate_chain_der, signature=proof.signature
                ),
                installer=installer,
            )
        )
        return Identity(terminal_id=answer.terminal_id, key=key, chain_der=tuple(answer.certificate_chain_der))

    async def renew_expired(self, held: Identity) -> Identity:
        """Trade a lapsed certificate for a new one."""
        key = an_ec_key()
        ask = enrollment_pb2.GetChallengeRequest(serial_number=DEVICE.serial_number)
        nonce = (await self.stub.GetChallenge(ask)).nonce
        request = signing_request(key, nonce)
        content = to_be_signed(context=GRACE_CONTEXT, nonce=nonce, signing_request_der=request)
        answer = await self.stub.RenewExpired(
            enrollment_pb2.RenewExpiredRequest(
                certificate_der=held.chain_der[0],
                signing_request_der=request,
                signature=held.key.sign(content, ec.ECDSA(hashes.SHA256())),
            )
        )
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


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    """Run a platform whose clock is 35 days behind the real one, so that a certificate of today has really lapsed."""
    clock = Clock(datetime.now(UTC) - timedelta(days=35))
    async with a_platform(now=clock.now, tls={"server_lifetime": timedelta(days=90)}) as running:

        def approve(connection: Connection) -> None:
            makers = running.domain.makers
            an_approved_model(connection, makers, an_approved_maker(connection, makers, HERON))

        await running.write(approve)
        credentials = grpc.ssl_channel_credentials(root_certificates=running.root_pem)
        async with grpc.aio.secure_channel(running.ready.enrollment, credentials) as channel:
            yield Port(running=running, clock=clock, stub=enrollment_pb2_grpc.EnrollmentServiceStub(channel))


async def refused(asking: object) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asking  # type: ignore[misc] # one of the port's coroutines
    return refusal(caught.value)


def today(port: Port) -> None:
    """Let the platform's clock catch up with the real one."""
    port.clock.set(datetime.now(UTC))


# Enrollment ----------------------------------------------------------------------------------------


async def test_a_factory_identity_leads_to_a_certificate_that_opens_the_terminal_port(port: Port) -> None:
    today(port)
    terminal = await port.register(DEVICE)

    held = await port.enroll(DEVICE)

    assert held.terminal_id == terminal.terminal_id
    assert await held.reason_met(port.running) == LET_IN
    assert port.running.counted("certificates_issued_total", cause="FACTORY") == 1


async def test_a_ticket_registers_and_enrolls_at_one_call(port: Port) -> None:
    today(port)
    site = await port.site()
    tickets = port.running.domain.tickets
    issued = await port.running.write(
        lambda connection: tickets.issue(
            connection, region="330100", terminals_max=1, lifetime=timedelta(hours=1), actor=ACTOR, reason="a new ward"
        )
    )
    installer = enrollment_pb2.Installer(ticket=issued.ticket, site_id=site.site_id, model="HD-3")

    held = await port.enroll(DEVICE, installer=installer)

    assert await held.reason_met(port.running) == LET_IN
    spent = await refused(port.enroll(HERON.make("HD3-000018"), installer=installer))
    assert (spent.reason, spent.code, spent.fields) == (
        "TICKET_SPENT",
        grpc.StatusCode.PERMISSION_DENIED,
        ("installer.ticket",),
    )


async def test_a_refused_proof_says_what_is_wrong_with_it(port: Port) -> None:
    await port.register(DEVICE)

    answer = await refused(port.enroll(Factory(maker="Nobody").make(DEVICE.serial_number)))

    assert (answer.code, answer.reason) == (grpc.StatusCode.UNAUTHENTICATED, "FACTORY_PROOF_REFUSED")
    assert answer.metadata["fault"] == "ROOT_UNKNOWN"
    assert answer.fields == ("factory_proof",)


async def test_a_refused_proof_leaves_everything_as_it_was(port: Port) -> None:
    terminal = await port.register(DEVICE)
    await refused(port.enroll(HERON.make("HD3-000018"), serial_number=DEVICE.serial_number))

    after = await port.running.write(
        lambda connection: port.running.domain.registry.terminal(connection, terminal.terminal_id)
    )

    assert (after.state, after.factory_key_sha256) == (TerminalState.REGISTERED, None)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "token": "t" * 30,
            "factory_proof": enrollment_pb2.FactoryProof(certificate_chain_der=[b"0"], signature=b"0" * 70),
        },
        {
            "token": "t" * 30,
            "installer": enrollment_pb2.Installer(ticket="t" * 30, site_id=str(uuid_utils.uuid7()), model="M"),
        },
    ],
    ids=["neither", "both", "a ticket with a token"],
)
async def test_exactly_one_proof_is_given(port: Port, changes: dict[str, object]) -> None:
    request = enrollment_pb2.EnrollRequest(serial_number="SN-1", signing_request_der=b"0", **changes)  # type: ignore[arg-type] # each its own type

    answer = await refused(port.stub.Enroll(request))

    assert (answer.code, answer.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


# Clones --------------------------------------------------------------------------------------------


async def test_a_duplicate_serial_number_is_refused_and_stays_as_a_finding(port: Port) -> None:
    today(port)
    held = await port.active()

    answer = await refused(port.enroll(HERON.make(DEVICE.serial_number)))

    (finding,) = await port.findings()
    assert (answer.code, answer.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DUPLICATE_SERIAL")
    assert (finding.kind, finding.terminal_id, finding.severity) == (
        FindingKind.DUPLICATE_SERIAL,
        held.terminal_id,
        Severity.CRITICAL,
    )
    assert finding.details["request_id"] == answer.request_id
    assert await held.reason_met(port.running) == LET_IN


async def test_a_shared_factory_key_is_refused_and_stays_as_a_finding(port: Port) -> None:
    held = await port.active()
    twin = HERON.make("HD3-000099", key=DEVICE.holder.key)
    await port.register(twin)

    answer = await refused(port.enroll(twin))

    (finding,) = await port.findings()
    assert answer.reason == "SHARED_FACTORY_KEY"
    assert (finding.kind, finding.terminal_id) == (FindingKind.SHARED_FACTORY_KEY, held.terminal_id)


async def test_a_clone_is_refused_and_the_certificate_in_use_stays_good(port: Port) -> None:
    today(port)
    held = await port.active()

    answers = [await refused(port.enroll(DEVICE)) for _ in range(2)]

    (finding,) = await port.findings()
    assert {answer.reason for answer in answers} == {"CLONE_SUSPECTED"}
    assert (finding.kind, finding.times) == (FindingKind.CLONE, 2)
    assert await held.reason_met(port.running) == LET_IN


async def test_a_token_that_is_wrong_leaves_the_certificate_in_use_good(port: Port) -> None:
    today(port)
    held = await port.active()
    nonce = (await port.stub.GetChallenge(enrollment_pb2.GetChallengeRequest(serial_number=DEVICE.serial_number))).nonce
    request = enrollment_pb2.EnrollRequest(
        serial_number=DEVICE.serial_number, token="t" * 40, signing_request_der=signing_request(an_ec_key(), nonce)
    )

    assert (await refused(port.stub.Enroll(request))).reason == "TOKEN_REFUSED"
    assert await held.reason_met(port.running) == LET_IN


# After the end -------------------------------------------------------------------------------------


async def test_a_lapsed_certificate_is_refused_by_tls_and_renewed_in_its_grace(port: Port) -> None:
    held = await port.active()
    today(port)  # five days after its end
    assert await held.reason_met(port.running) == "UNAVAILABLE"

    renewed = await port.renew_expired(held)

    assert await renewed.reason_met(port.running) == LET_IN
    assert port.running.counted("certificates_issued_total", cause="GRACE") == 1
    assert (await refused(port.renew_expired(held))).reason == "CERTIFICATE_RETIRED"


async def test_too_late_the_factory_key_opens_the_second_door_and_the_terminal_stays_who_it_is(port: Port) -> None:
    held = await port.active()
    port.clock.advance(timedelta(days=60))

    late = await refused(port.renew_expired(held))
    again = await port.enroll(DEVICE)

    assert (late.code, late.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "GRACE_OVER")
    assert set(late.metadata) >= {"platform_time", "not_after", "grace_until"}
    assert again.terminal_id == held.terminal_id


async def test_a_revoked_terminal_is_told_so_however_late_it_comes(port: Port) -> None:
    held = await port.active()
    registry = port.running.domain.registry
    await port.running.write(
        lambda connection: registry.revoke(connection, terminal_id=held.terminal_id, reason="stolen", actor=ACTOR)
    )
    for later in (timedelta(days=35), timedelta(days=60)):
        port.clock.advance(later)
        assert (await refused(port.renew_expired(held))).reason == "TERMINAL_REVOKED"


async def test_a_terminal_whose_clock_is_ahead_learns_the_platforms_time_and_keeps_its_certificate(port: Port) -> None:
    today(port)
    held = await port.active()

    answer = await refused(port.renew_expired(held))

    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CERTIFICATE_STILL_GOOD")
    assert datetime.fromisoformat(answer.metadata["platform_time"]) == port.clock.now()
    assert datetime.fromisoformat(answer.metadata["not_after"]) > port.clock.now()
    assert await held.reason_met(port.running) == LET_IN


async def test_each_challenge_tells_the_time(port: Port) -> None:
    challenge = await port.stub.GetChallenge(enrollment_pb2.GetChallengeRequest(serial_number="SN-1"))

    assert challenge.platform_time.ToDatetime(UTC) == port.clock.now()


async def test_the_audit_log_names_the_call_that_enrolled_and_the_one_that_was_first(port: Port) -> None:
    today(port)
    await port.register(DEVICE)
    held = await port.enroll(DEVICE)
    await held.reason_met(port.running)

    entries = await port.running.platform.unit_of_work.read(
        lambda connection: connection.execute(
            select(audit_log.c.action, audit_log.c.request_id).where(audit_log.c.subject == held.terminal_id)
        ).all()
    )

    calls = {action: request_id for action, request_id in entries if action != "terminal.registered"}
    assert set(calls) == {"terminal.enrolled", "terminal.active"}
    assert all(calls.values())
