"""The fleet as a whole, as operators ask for it: census, audits, and what is suspicious."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from device_registry import Census
from device_registry.fleet.finding import Finding, FindingFilter, FindingKind, FindingState, Mitigation, Severity
from device_registry.fleet.fleet import FleetReport
from device_registry.fleet.risk import ALLOWED
from server.administration.caller import current_operator
from server.interceptors.chain import Context
from server.live.fleet_watch import written_down
from server.services.admin import convert
from server.store import UnitOfWork
from server.wiring import Domain
from shualian.admin.v1 import fleet_pb2 as pb
from shualian.admin.v1 import fleet_pb2_grpc, registry_pb2

PAGE_SIZE = 100
_WEEK = timedelta(days=7)


class FleetService(fleet_pb2_grpc.FleetServiceServicer):
    """FleetService."""

    def __init__(self, *, domain: Domain, unit_of_work: UnitOfWork) -> None:
        self._registry = domain.registry
        self._findings = domain.findings
        self._fleet = domain.fleet
        self._now = domain.now
        self._unit_of_work = unit_of_work

    async def GetCensus(self, _request: pb.GetCensusRequest, _context: Context) -> pb.GetCensusResponse:
        """Count the fleet."""

        def read(connection: Connection) -> pb.GetCensusResponse:
            census = self._registry.census(connection)
            counts = self._findings.open_counts(connection)
            return pb.GetCensusResponse(
                **_counted(census, self._now()),
                findings=[
                    pb.FindingCount(kind=_kind(kind), severity=_severity(severity), findings=count)
                    for (kind, severity), count in sorted(counts.items())
                ],
                last_audit_at=convert.when(self._fleet.last_run(connection)),
            )

        return await self._unit_of_work.read(read)

    async def RunAudit(self, _request: pb.RunAuditRequest, _context: Context) -> pb.RunAuditResponse:
        """Look at every terminal and write down what is wrong."""
        return pb.RunAuditResponse(report=await self._audited(acts=False))

    async def EnforceAudit(self, _request: pb.EnforceAuditRequest, _context: Context) -> pb.EnforceAuditResponse:
        """Look at every terminal, and do what policy says."""
        return pb.EnforceAuditResponse(report=await self._audited(acts=True))

    async def ListFindings(self, request: pb.ListFindingsRequest, _context: Context) -> pb.ListFindingsResponse:
        """List findings, a page at a time."""
        size = request.page_size or PAGE_SIZE
        state = convert.word_of(pb.FindingState, "FINDING_STATE", request.state, FindingState)
        where = FindingFilter(
            kind=convert.word_of(pb.FindingKind, "FINDING_KIND", request.kind, FindingKind),
            terminal_id=request.terminal_id or None,
            state=state,
            severity_min=convert.word_of(pb.Severity, "SEVERITY", request.severity_min, Severity),
            is_closed=None if request.with_closed or state is not None else False,
            before=request.page_token or None,
            limit=size + 1,
        )
        found = await self._unit_of_work.read(lambda connection: self._findings.list(connection, where))
        page = found[:size]
        return pb.ListFindingsResponse(
            findings=_findings(page),
            next_page_token=page[-1].finding_id if len(found) > size else "",
        )

    async def AcknowledgeFinding(
        self, request: pb.AcknowledgeFindingRequest, _context: Context
    ) -> pb.AcknowledgeFindingResponse:
        """Take a finding on."""
        caller = current_operator()
        finding = await self._unit_of_work.write(
            lambda connection: self._findings.acknowledge(
                connection,
                request.finding_id,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        return pb.AcknowledgeFindingResponse(finding=_finding(finding))

    async def MitigateFinding(
        self, request: pb.MitigateFindingRequest, _context: Context
    ) -> pb.MitigateFindingResponse:
        """Act on a finding's terminal."""
        caller = current_operator()
        mitigation = convert.word_of(pb.Mitigation, "MITIGATION", request.mitigation, Mitigation) or Mitigation.NOTIFY
        finding = await self._unit_of_work.write(
            lambda connection: self._fleet.mitigate(
                connection,
                request.finding_id,
                mitigation=mitigation,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        return pb.MitigateFindingResponse(finding=_finding(finding))

    async def CloseFinding(self, request: pb.CloseFindingRequest, _context: Context) -> pb.CloseFindingResponse:
        """Close a finding."""
        caller = current_operator()
        finding = await self._unit_of_work.write(
            lambda connection: self._findings.close(
                connection,
                request.finding_id,
                reason=request.reason,
                actor=caller.actor,
                request_id=caller.request_id,
            )
        )
        return pb.CloseFindingResponse(finding=_finding(finding))

    async def _audited(self, *, acts: bool) -> pb.FleetReport:
        caller = current_operator()
        look = await self._unit_of_work.walk(self._fleet.look)
        opened = await written_down(look, fleet=self._fleet, unit_of_work=self._unit_of_work)
        return _report(
            await self._unit_of_work.write(
                lambda connection: self._fleet.record(
                    connection, look, actor=caller.actor, acts=acts, request_id=caller.request_id, opened=opened
                )
            )
        )


def _counted(census: Census, now: datetime) -> dict[str, Any]:
    return {
        "terminals": [
            pb.TerminalCount(
                region=region,
                terminal_class=convert.enum_of(registry_pb2.TerminalClass, "TERMINAL_CLASS", kind),
                state=convert.enum_of(registry_pb2.TerminalState, "TERMINAL_STATE", state),
                terminals=count,
            )
            for (region, kind, state), count in sorted(census.terminals.items())
        ],
        "presences": [
            pb.PresenceCount(presence=convert.enum_of(registry_pb2.Presence, "PRESENCE", presence), terminals=count)
            for presence, count in sorted(census.presences.items())
        ],
        "certificates_lapsed": sum(end <= now for end in census.certificate_ends),
        "certificates_ending_within_week": sum(now < end <= now + _WEEK for end in census.certificate_ends),
    }


def _report(report: FleetReport) -> pb.FleetReport:
    return pb.FleetReport(
        run_at=convert.when(report.run_at),
        terminals=report.terminals,
        seen=report.seen,
        opened=report.opened,
        cleared=report.cleared,
        mitigated=_findings(report.mitigated),
        held_back=report.held_back,
    )


def _findings(findings: Iterable[Finding]) -> list[pb.Finding]:
    return [_finding(finding) for finding in findings]


def _finding(record: Finding) -> pb.Finding:
    return pb.Finding(
        finding_id=record.finding_id,
        kind=_kind(record.kind),
        terminal_id=record.terminal_id or "",
        severity=_severity(record.severity),
        details=[pb.FindingDetail(name=name, value=str(value)) for name, value in sorted(record.details.items())],
        first_seen=convert.when(record.first_seen),
        last_seen=convert.when(record.last_seen),
        times=record.times,
        state=convert.enum_of(pb.FindingState, "FINDING_STATE", record.state),
        state_since=convert.when(record.state_since),
        state_by=record.state_by,
        state_reason=record.state_reason,
        mitigation=_mitigation(record.mitigation),
        mitigated_by=record.mitigated_by or "",
        mitigated_at=convert.when(record.mitigated_at),
        allowed=[_mitigation(mitigation) for mitigation in sorted(ALLOWED[record.kind])],
    )


def _kind(kind: FindingKind) -> pb.FindingKind.ValueType:
    value: pb.FindingKind.ValueType = convert.enum_of(pb.FindingKind, "FINDING_KIND", kind)
    return value


def _severity(severity: Severity) -> pb.Severity.ValueType:
    value: pb.Severity.ValueType = convert.enum_of(pb.Severity, "SEVERITY", severity)
    return value


def _mitigation(mitigation: Mitigation | None) -> pb.Mitigation.ValueType:
    value: pb.Mitigation.ValueType = convert.enum_of(pb.Mitigation, "MITIGATION", mitigation)
    return value
