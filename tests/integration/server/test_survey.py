"""What Prometheus sees without anybody asking: the fleet, readiness, and when each job last went well."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, update

from device_registry import HeartbeatReport, TerminalState
from device_registry.model import ReceivedHeartbeat
from monitoring.metrics import Metrics
from server.health import Health, database_check
from server.live.survey import Survey
from server.settlement.model import Intent, SettlementState
from server.settlement.reconciliation.items import see
from server.settlement.reconciliation.judging import Judged, Proposal
from server.settlement.reconciliation.statements import Difference, DifferenceClass
from server.settlement.store import SettlementRow, insert_settlement
from server.store.tables.settlement import settlements
from tests.support.builders import RegistryBench, a_heartbeat, a_registry, a_site, a_terminal
from tests.support.database import a_database, a_unit_of_work
from tests.support.money import an_id
from tests.support.platform import a_platform

JOBS = (
    "EVENTS",
    "SWEEP",
    "SILENCE",
    "PRESENCE",
    "READINESS",
    "RESOLVER",
    "RECONCILIATION",
    "SERVER_CERTIFICATE",
    "SURVEY",
)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  # gauges have no events
            await asyncio.sleep(0.02)


def counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"shualian_{name}", labels)


def a_fleet(connection: Connection, bench: RegistryBench) -> None:
    """Register 1,100 terminals, and one each that is well, silent, flapping and suspended."""
    registry, site = bench.registry, a_site(connection, bench.registry)
    for _ in range(1_100):
        a_terminal(connection, registry, site=site, state=TerminalState.REGISTERED)
    well, silent, flapping, _ = (
        a_terminal(connection, registry, site=site, state=state)
        for state in (TerminalState.ACTIVE, TerminalState.ACTIVE, TerminalState.ACTIVE, TerminalState.SUSPENDED)
    )
    for terminal in (well, silent, *[flapping] * 5):
        registry.connected(connection, terminal_id=terminal.terminal_id, firmware_version="1", clock_skew=timedelta())
    bench.clock.advance(timedelta(minutes=5))
    now = bench.clock.now()
    report: HeartbeatReport = a_heartbeat(now)
    registry.heartbeats(
        connection,
        [
            ReceivedHeartbeat(terminal_id=terminal.terminal_id, report=report, received_at=now)
            for terminal in (well, flapping)
        ],
    )


async def test_a_fleet_of_more_than_a_thousand_is_counted_whole(tmp_path: Path) -> None:
    bench, metrics = a_registry(tmp_path), Metrics()
    async with a_unit_of_work(a_database(tmp_path)) as unit_of_work:
        await unit_of_work.write(lambda connection: a_fleet(connection, bench))
        survey = Survey(
            unit_of_work=unit_of_work,
            registry=bench.registry,
            metrics=metrics,
            now=bench.clock.now,
            certificate_lifetime=timedelta(days=30),
        )
        await survey.take()
        first = [counted(metrics, "terminals", region="330100", terminal_class="III", state=state) for state in
                 ("REGISTERED", "ACTIVE", "SUSPENDED")]  # fmt: skip
        conditions = [counted(metrics, "terminal_conditions", condition=name) for name in ("OVERDUE", "FLAPPING")]
        overdue = counted(metrics, "certificates_renewal_overdue")
        bench.clock.advance(timedelta(days=26))
        await survey.take()

    assert (first, conditions, overdue) == ([1_100, 3, 1], [1, 1], 0)
    assert counted(metrics, "certificates_renewal_overdue") == 3
    assert counted(metrics, "certificate_days_to_expiry_bucket", le="5") == 3


async def test_what_is_in_doubt_and_what_differs_is_counted_with_the_age_of_the_oldest(tmp_path: Path) -> None:
    bench, metrics = a_registry(tmp_path), Metrics()
    now, minute = bench.clock.now(), timedelta(minutes=1)

    def in_doubt(connection: Connection) -> None:
        """A settlement that is tried, a reversal of last week's that was given up on, and a difference."""
        for intent, began, since, next_try_at in (
            (Intent.SETTLE, now - minute, now - minute, now),
            (Intent.REVERSE, now - timedelta(days=7), now - 2 * minute, None),
        ):
            row = SettlementRow(
                transaction_id=an_id(began),
                terminal_id=an_id(began),
                state=SettlementState.UNKNOWN,
                intent=intent,
                began_at=began,
                next_try_at=next_try_at,
            )
            insert_settlement(connection, row)
            changed = update(settlements).where(settlements.c.transaction_id == row.transaction_id)
            connection.execute(changed.values(doubt_since=since))
        difference = Difference(
            difference_class=DifferenceClass.AMOUNT, transaction_id=None, reference="4711", ours_fen=1, theirs_fen=2
        )
        found = [Judged(difference=difference, proposal=Proposal.PERSON)]
        see(connection, now.date(), found, now=now - 3 * minute)

    async with a_unit_of_work(a_database(tmp_path)) as unit_of_work:
        await unit_of_work.write(in_doubt)
        survey = Survey(
            unit_of_work=unit_of_work,
            registry=bench.registry,
            metrics=metrics,
            now=bench.clock.now,
            certificate_lifetime=timedelta(days=30),
        )
        await survey.take()

    assert [counted(metrics, "settlement_doubts", intent=intent) for intent in Intent] == [1, 0, 1]
    assert counted(metrics, "settlements_unknown") == 2
    assert counted(metrics, "settlement_dead_letters") == 1
    assert counted(metrics, "settlement_unknown_age_seconds") == 120
    assert [counted(metrics, "reconciliation_items", difference=kind) for kind in DifferenceClass] == [0, 0, 1, 0]
    assert counted(metrics, "reconciliation_oldest_item_age_seconds") == 180


async def test_every_job_says_when_it_last_went_well_and_readiness_shows_without_a_probe() -> None:
    quick = {"resolve_interval": timedelta(milliseconds=100)}
    async with a_platform(http={"enabled": False}, settlement=quick) as running:
        metrics = running.platform.metrics
        await eventually(lambda: all(counted(metrics, "last_success_timestamp_seconds", task=job) for job in JOBS))

        now = running.platform.domain.now().timestamp()
        for job in JOBS:
            assert abs(running.counted("last_success_timestamp_seconds", task=job) - now) < 60, job
        for check in ("database", "events", "trust", "running"):
            assert running.counted("ready", check=check) == 1


async def test_i10_a_part_that_hangs_is_not_ready() -> None:
    metrics = Metrics()

    async def hang() -> bool:
        await asyncio.Event().wait()
        return True

    found = await Health(
        checks={"database": hang}, metrics=metrics, checked_within=timedelta(milliseconds=50)
    ).readiness()

    assert found.checks == {"database": False, "running": True}
    assert counted(metrics, "ready", check="database") == 0


async def test_i10_a_closed_database_is_not_ready(tmp_path: Path) -> None:
    async with a_unit_of_work(a_database(tmp_path)) as unit_of_work:
        check = database_check(unit_of_work)
        assert await check()
    assert await check()  # a moment later it is still remembered
    assert not await database_check(unit_of_work)()
