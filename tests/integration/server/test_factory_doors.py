"""Factory identities, tickets and late renewals over gRPC: what a maker's firmware meets at the enrollment port."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
import uuid_utils
from sqlalchemy import select

from device_registry import TerminalState
from device_registry.fleet.finding import FindingKind, Severity
from device_registry.tables import audit_log
from shualian.terminal.v1 import enrollment_pb2
from tests.support.clock import Clock
from tests.support.enrollment_port import DEVICE, HERON, LET_IN, Port, a_port, refused, today
from tests.support.factory import Factory, an_approved_maker, an_ec_key
from tests.support.platform import (
    ACTOR,
    signing_request,
)


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    """Run a platform whose clock is 35 days behind the real one, so that a certificate of today has really lapsed."""
    clock = Clock(datetime.now(UTC) - timedelta(days=35))
    async with a_port(clock.now, clock) as port:
        yield port


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


async def test_another_makers_device_with_the_same_serial_number_is_no_finding(port: Port) -> None:
    today(port)
    held = await port.active()
    egret = Factory(maker="Egret Systems")
    makers = port.running.domain.makers
    await port.running.write(lambda connection: an_approved_maker(connection, makers, egret))

    answer = await refused(port.enroll(egret.make(DEVICE.serial_number)))

    assert answer.reason == "MANUFACTURER_MISMATCH"
    assert await port.findings() == []
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
