"""The platform audits its fleet by itself: what terminals tell is looked at, and one replica at a time looks."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import grpc
import pytest
from sqlalchemy import Connection, select, update

from device_registry import Terminal, TerminalState
from device_registry.fleet.finding import Finding, FindingFilter, FindingKind, FindingState, Severity
from device_registry.fleet.findings import Findings
from device_registry.fleet.fleet import Fleet, FleetReport
from device_registry.fleet.risk_policy import load_risk_policy
from device_registry.fleet.whereabouts import Origin, origins_from, positions_from
from device_registry.tables import vitals
from server.activity import FleetActivity
from server.live.fleet_watch import FleetWatch
from server.live.identity_survey import IdentitySurvey
from shualian.terminal.v1 import device_pb2
from tests.integration.device_registry.test_fleet import a_fleet_of
from tests.integration.server.test_device import at
from tests.integration.server.test_survey import eventually
from tests.support.builders import a_registry, a_terminal
from tests.support.conversation import control_call
from tests.support.database import Database, a_unit_of_work
from tests.support.platform import (
    ACTOR,
    EnrolledTerminal,
    RunningPlatform,
    a_platform,
    an_enrolled_terminal,
    refusal,
)

HOUR = timedelta(hours=1)
QUICK = {"audit_interval": timedelta(milliseconds=200)}


async def greets(terminal: EnrolledTerminal, *, clock_off_by: timedelta = timedelta(), latitude: float) -> None:
    """Open the control stream once, say hello with a position, and leave."""
    async with terminal.channel() as channel:
        call = control_call(channel)
        said = device_pb2.Hello(
            firmware_version="1.0",
            terminal_time=at(datetime.now(UTC) + clock_off_by),
            position=device_pb2.Position(latitude=latitude, longitude=120.15, accuracy_metres=30),
        )
        await call.write(device_pb2.ConnectRequest(hello=said))
        assert (await call.read()).WhichOneof("message") == "welcome"
        await call.done_writing()


async def found(running: RunningPlatform) -> list[Finding]:
    """Return what is on record."""
    return await running.platform.unit_of_work.read(
        lambda connection: list(running.domain.findings.list(connection, FindingFilter(is_closed=False)))
    )


async def audited(running: RunningPlatform) -> FleetReport:
    """Audit once, now."""
    fleet, unit_of_work = running.domain.fleet, running.platform.unit_of_work
    look = await unit_of_work.read(fleet.look)
    return await unit_of_work.write(partial(fleet.record, look=look, actor=ACTOR, acts=True))


async def test_what_a_terminal_says_at_hello_is_what_the_audit_looks_at() -> None:
    async with a_platform(http={"enabled": False}, fleet={"audit_interval": timedelta(minutes=5)}) as running:
        terminal = await an_enrolled_terminal(running)
        await greets(terminal, clock_off_by=timedelta(minutes=2), latitude=30.25)

        def columns(connection: Connection) -> tuple[list[Origin], float]:
            row = connection.execute(select(vitals.c.recent_origins, vitals.c.recent_positions)).one()
            return origins_from(row[0]), positions_from(row[1])[0].position.latitude

        (origin,), latitude = await running.platform.unit_of_work.read(columns)
        look = await running.platform.unit_of_work.read(running.domain.fleet.look)

    assert origin.origin.startswith(("ipv4:", "ipv6:"))
    assert origin.origin.count(":") == 1 or origin.origin.startswith("ipv6:")  # the port is not part of it
    assert latitude == 30.25
    assert [(seen.kind, seen.severity) for seen in look.sightings] == [(FindingKind.CLOCK_SKEW, Severity.MEDIUM)]


async def test_a_clone_that_was_reported_is_cut_off_within_the_next_audit() -> None:
    async with a_platform(http={"enabled": False}, fleet=QUICK) as running:
        terminal = await an_enrolled_terminal(running)
        async with terminal.channel() as channel:
            call = control_call(channel)
            hello = device_pb2.Hello(firmware_version="1.0", terminal_time=at())
            await call.write(device_pb2.ConnectRequest(hello=hello))
            await call.read()
            await running.write(
                lambda connection: running.domain.findings.report(
                    connection,
                    kind=FindingKind.CLONE,
                    terminal_id=terminal.terminal_id,
                    severity=Severity.CRITICAL,
                    details={"serial_number": terminal.terminal.serial_number},
                )
            )
            with pytest.raises(grpc.aio.AioRpcError) as cut:
                await call.read()

        (finding,) = [finding for finding in await found(running) if finding.kind is FindingKind.CLONE]
        now: Terminal = await running.platform.unit_of_work.read(
            lambda connection: running.domain.registry.terminal(connection, terminal.terminal_id)
        )

    assert (refusal(cut.value).code, refusal(cut.value).reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "TERMINAL_QUARANTINED",
    )
    assert (now.state, finding.state) == (TerminalState.QUARANTINED, FindingState.MITIGATED)


async def test_replicas_do_not_audit_the_same_fleet_twice(database: Database, tmp_path: Path) -> None:
    bench = a_registry(tmp_path)
    async with a_unit_of_work(database.engine) as unit_of_work:

        def replica() -> FleetWatch:
            fleet = Fleet(
                now=bench.clock.now,
                findings=Findings(now=bench.clock.now, audit=bench.audit),
                decisions={},
                policy=load_risk_policy(),
                activity=FleetActivity(),
                zone=UTC,
            )
            return FleetWatch(
                unit_of_work=unit_of_work, fleet=fleet, now=bench.clock.now, interval=timedelta(minutes=1)
            )

        one, other = replica(), replica()
        await unit_of_work.write(lambda connection: a_terminal(connection, bench.registry))
        at_once = await asyncio.gather(one.audit(), other.audit())
        soon = await other.audit()
        bench.clock.advance(timedelta(minutes=1))
        later = await other.audit()

    assert sorted(report is not None for report in at_once) == [False, True]
    assert soon is None
    assert later is not None
    assert later.terminals == 1


async def test_the_fleet_is_audited_also_when_the_clock_was_far_ahead_once(database: Database, tmp_path: Path) -> None:
    bench = a_registry(tmp_path)
    fleet = Fleet(
        now=bench.clock.now,
        findings=Findings(now=bench.clock.now, audit=bench.audit),
        decisions={},
        policy=load_risk_policy(),
        activity=FleetActivity(),
        zone=UTC,
    )
    async with a_unit_of_work(database.engine) as unit_of_work:
        watch = FleetWatch(unit_of_work=unit_of_work, fleet=fleet, now=bench.clock.now, interval=HOUR)
        bench.clock.advance(1000 * HOUR)
        await watch.audit()
        bench.clock.advance(-1000 * HOUR)

        assert await watch.audit() is not None


async def test_the_gauges_show_what_was_found_and_go_back_to_nothing() -> None:
    async with a_platform(http={"enabled": False}) as running:
        terminal = await an_enrolled_terminal(running)
        await greets(terminal, clock_off_by=timedelta(minutes=2), latitude=30.25)
        survey = IdentitySurvey(
            domain=running.domain, unit_of_work=running.platform.unit_of_work, metrics=running.platform.metrics
        )
        await audited(running)
        await survey.take()
        before = running.counted("findings_open", kind="CLOCK_SKEW", severity="MEDIUM")
        await greets(terminal, latitude=30.25)
        await audited(running)
        await survey.take()

        assert (before, running.counted("findings_open", kind="CLOCK_SKEW", severity="MEDIUM")) == (1, 0)
        assert running.counted("issuer_terminals", issuer_state="ACTIVE") == 1
        assert running.counted("issuer_expiry_timestamp_seconds", issuer_state="ACTIVE") > 0
        assert running.counted("certificates_lapsed") == 0
        assert running.counted("audit_unsigned_entries") >= 0


async def test_the_job_says_when_it_last_went_well() -> None:
    async with a_platform(http={"enabled": False}, fleet=QUICK) as running:
        metrics = running.platform.metrics.registry
        for task in ("FLEET_AUDIT", "IDENTITY_SURVEY"):
            told = partial(metrics.get_sample_value, "shualian_last_success_timestamp_seconds", {"task": task})
            await eventually(lambda told=told: told() is not None)  # type: ignore[misc]  # mypy infers no default


async def test_a_fleet_in_which_everybody_is_wrong_is_written_down_in_portions(
    database: Database, tmp_path: Path
) -> None:
    bench, batches = a_registry(tmp_path), list[int]()
    findings = Findings(now=bench.clock.now, audit=bench.audit)
    fleet = Fleet(
        now=bench.clock.now,
        findings=findings,
        decisions={},
        policy=load_risk_policy(),
        activity=FleetActivity(),
        zone=UTC,
    )
    async with a_unit_of_work(database.engine, on_batch=lambda batch: batches.append(len(batch.jobs))) as unit_of_work:
        await unit_of_work.write(lambda connection: a_fleet_of(600, connection, bench))
        await unit_of_work.write(lambda connection: connection.execute(update(vitals).values(clock_skew=HOUR)))
        before = len(batches)
        watch = FleetWatch(unit_of_work=unit_of_work, fleet=fleet, now=bench.clock.now, interval=HOUR)

        report = await watch.audit()

    assert report is not None
    assert (report.seen, report.opened) == (600, 600)
    assert len(batches) - before == 4  # 250, 250, 100, and what is done about them
