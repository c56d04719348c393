"""The fleet service over the admin port: census, audits, and what operators decide about findings."""

from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest

from device_registry import TerminalState
from device_registry.fleet.finding import FindingKind, Severity
from device_registry.operators.roles import Role
from shualian.admin.v1 import fleet_pb2 as pb
from shualian.admin.v1 import registry_pb2
from shualian.admin.v1.fleet_pb2_grpc import FleetServiceStub
from tests.support.operators import EnrolledOperator, an_operator
from tests.support.platform import (
    EnrolledTerminal,
    Refusal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    refusal,
)

SELDOM = {"audit_interval": timedelta(minutes=5)}


@pytest.fixture
async def running() -> AsyncIterator[RunningPlatform]:
    """Return a platform that audits by itself once at start and not again."""
    async with a_platform(http={"enabled": False}, fleet=SELDOM) as platform:
        yield platform


async def reported(running: RunningPlatform, terminal: EnrolledTerminal, kind: FindingKind, severity: Severity) -> str:
    """Have something wrong on record and return its id."""
    finding = await running.write(
        lambda connection: running.domain.findings.report(
            connection, kind=kind, terminal_id=terminal.terminal_id, severity=severity, details={"seconds": 61.5}
        )
    )
    assert finding is not None
    return finding.finding_id


async def state_of(running: RunningPlatform, terminal: EnrolledTerminal) -> TerminalState:
    found = await running.platform.unit_of_work.read(
        lambda connection: running.domain.registry.terminal(connection, terminal.terminal_id)
    )
    return found.state


async def refused(call: grpc.aio.UnaryUnaryCall) -> Refusal:  # type: ignore[type-arg]  # generic for type checkers alone
    """Return why a call was refused."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return refusal(error.value)


async def an_active_terminal(running: RunningPlatform) -> EnrolledTerminal:
    """Return a terminal that has used its certificate."""
    from shualian.terminal.v1 import device_pb2  # noqa: PLC0415 - this step alone speaks the terminal's contract
    from tests.integration.server.test_device import at  # noqa: PLC0415
    from tests.support.conversation import control_call  # noqa: PLC0415

    terminal = await an_enrolled_terminal(running)
    async with terminal.channel() as channel:
        call = control_call(channel)
        await call.write(device_pb2.ConnectRequest(hello=device_pb2.Hello(firmware_version="1.0", terminal_time=at())))
        await call.read()
    return terminal


async def test_the_census_counts_terminals_and_findings(running: RunningPlatform) -> None:
    terminal = await an_active_terminal(running)
    await reported(running, terminal, FindingKind.OFF_HOURS_USE, Severity.MEDIUM)
    viewer = await an_operator(running, Role.VIEWER)
    async with viewer.channel() as channel:
        census = await FleetServiceStub(channel).GetCensus(pb.GetCensusRequest())

    (row,) = census.terminals
    assert (row.region, row.state, row.terminals) == ("330100", registry_pb2.TERMINAL_STATE_ACTIVE, 1)
    assert [(count.kind, count.severity, count.findings) for count in census.findings] == [
        (pb.FINDING_KIND_OFF_HOURS_USE, pb.SEVERITY_MEDIUM, 1)
    ]
    assert (census.certificates_lapsed, census.certificates_ending_within_week) == (0, 0)


async def test_an_audit_by_hand_only_tells_and_enforcing_it_acts(running: RunningPlatform) -> None:
    terminal = await an_active_terminal(running)
    await reported(running, terminal, FindingKind.CLONE, Severity.CRITICAL)
    security = await an_operator(running, Role.SECURITY)
    async with security.channel() as channel:
        service = FleetServiceStub(channel)
        told = (await service.RunAudit(pb.RunAuditRequest())).report
        before = await state_of(running, terminal)
        done = (await service.EnforceAudit(pb.EnforceAuditRequest())).report

    assert (told.terminals, len(told.mitigated), before) == (1, 0, TerminalState.ACTIVE)
    assert [(it.kind, it.state, it.mitigated_by) for it in done.mitigated] == [
        (pb.FINDING_KIND_CLONE, pb.FINDING_STATE_MITIGATED, "risk:clone")
    ]
    assert await state_of(running, terminal) is TerminalState.QUARANTINED


async def test_only_security_lets_the_policy_act(running: RunningPlatform) -> None:
    operator = await an_operator(running, Role.OPERATOR)
    async with operator.channel() as channel:
        service = FleetServiceStub(channel)
        assert (await service.RunAudit(pb.RunAuditRequest())).report.terminals == 0
        why = await refused(service.EnforceAudit(pb.EnforceAuditRequest()))

    assert (why.code, why.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_MISSING")


async def test_findings_are_listed_by_page_and_by_what_is_asked(running: RunningPlatform) -> None:
    terminal = await an_active_terminal(running)
    skew = await reported(running, terminal, FindingKind.CLOCK_SKEW, Severity.MEDIUM)
    shared = await reported(running, terminal, FindingKind.SHARED_FACTORY_KEY, Severity.HIGH)
    viewer = await an_operator(running, Role.VIEWER)
    async with viewer.channel() as channel:
        service = FleetServiceStub(channel)
        first = await service.ListFindings(pb.ListFindingsRequest(page_size=1))
        second = await service.ListFindings(pb.ListFindingsRequest(page_size=1, page_token=first.next_page_token))
        high = await service.ListFindings(pb.ListFindingsRequest(severity_min=pb.SEVERITY_HIGH))
        closed = await service.ListFindings(pb.ListFindingsRequest(state=pb.FINDING_STATE_CLOSED))

    assert ids(first, second) == [shared, skew]
    assert second.next_page_token == ""
    assert ids(high) == [shared]
    assert ids(closed) == []
    (finding,) = second.findings
    assert [(detail.name, detail.value) for detail in finding.details] == [("seconds", "61.5")]
    assert list(finding.allowed) == [pb.MITIGATION_NOTIFY, pb.MITIGATION_SUSPEND]


async def test_a_finding_is_taken_on_acted_on_and_closed_in_the_operators_name(running: RunningPlatform) -> None:
    terminal = await an_active_terminal(running)
    finding_id = await reported(running, terminal, FindingKind.CLOCK_SKEW, Severity.MEDIUM)
    security: EnrolledOperator = await an_operator(running, Role.SECURITY)
    async with security.channel() as channel:
        service = FleetServiceStub(channel)
        taken = await service.AcknowledgeFinding(pb.AcknowledgeFindingRequest(finding_id=finding_id, reason="mine"))
        wrong = await refused(
            service.MitigateFinding(
                pb.MitigateFindingRequest(
                    finding_id=finding_id, mitigation=pb.MITIGATION_QUARANTINE, reason="not for a clock"
                )
            )
        )
        acted = await service.MitigateFinding(
            pb.MitigateFindingRequest(finding_id=finding_id, mitigation=pb.MITIGATION_SUSPEND, reason="dead battery")
        )
        closed = await service.CloseFinding(pb.CloseFindingRequest(finding_id=finding_id, reason="battery changed"))
        again = await refused(service.CloseFinding(pb.CloseFindingRequest(finding_id=finding_id, reason="twice")))

    assert (taken.finding.state, taken.finding.state_by) == (pb.FINDING_STATE_ACKNOWLEDGED, "operator:lin")
    assert (wrong.code, wrong.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID")
    assert (acted.finding.mitigation, acted.finding.mitigated_by) == (pb.MITIGATION_SUSPEND, "operator:lin")
    assert closed.finding.state == pb.FINDING_STATE_CLOSED
    assert (again.code, again.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FINDING_STATE")
    assert await state_of(running, terminal) is TerminalState.SUSPENDED


def ids(*pages: pb.ListFindingsResponse) -> list[str]:
    """Return the ids of findings, page after page."""
    return [finding.finding_id for page in pages for finding in page.findings]
