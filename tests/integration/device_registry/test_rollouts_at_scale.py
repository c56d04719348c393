"""Two thousand terminals, two processes that work on one rollout, and one of them is killed."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess

import pytest
import uuid_utils
from sqlalchemy import Connection, Engine, func, insert, select, update

from device_registry import AuditLog, CommandAction, RegistryPolicy, SiteKind, TerminalClass, TerminalState
from device_registry.changes import Changes
from device_registry.commands.command_records import CommandOutcome
from device_registry.commands.commands import Commands
from device_registry.makers.makers import Makers
from device_registry.revocation.revocation_log import Revocations
from device_registry.rollouts.rollout_records import MemberState, Rollout, RolloutPlan, RolloutState
from device_registry.rollouts.rollout_steps import PORTION
from device_registry.rollouts.rollouts import Rollouts
from device_registry.roster import Roster
from device_registry.tables import audit_log, commands, rollout_choices, rollout_members, sites, terminals, vitals
from server.store import announce, open_engine
from tests.support.builders import OPERATOR
from tests.support.database import Database

TERMINALS = 2_000
PLAN = RolloutPlan(
    action=CommandAction.COLLECT_DIAGNOSTICS, groups=("1%", "10%"), pace_per_minute=3_000, failures_percent_max=20
)


def now() -> datetime:
    return datetime.now(UTC)


def rollouts() -> Rollouts:
    """Return what a replica has: nothing but a way to the database."""
    audit, policy = AuditLog(now=now), RegistryPolicy()
    changes = Changes(audit=audit, announce=announce)
    makers = Makers(now=now, changes=changes, revocations=Revocations(now=now, announce=announce))
    made = Commands(now=now, changes=changes, policy=policy, firmware=makers)
    return Rollouts(now=now, changes=changes, commands=made, roster=Roster(now=now, policy=policy))


def a_fleet(connection: Connection) -> None:
    """Write a fleet down; what its certificates are does not matter here."""
    site_id, at = str(uuid_utils.uuid7()), now()
    connection.execute(
        insert(sites),
        {"site_id": site_id, "name": "Site", "region": "330100", "kind": SiteKind.HOSPITAL, "added_at": at},
    )
    ids = [str(uuid_utils.uuid7()) for _ in range(TERMINALS)]
    common = {
        "manufacturer": "Heron Devices",
        "model": "HD-3",
        "terminal_class": TerminalClass.FACE,
        "site_id": site_id,
        "certification_number": "C-1",
        "record_number": "R-1",
        "state": TerminalState.ACTIVE,
        "state_reason": "test",
        "state_since": at,
        "registered_at": at,
    }
    rows = [{**common, "terminal_id": it, "serial_number": f"SN-{place:05}"} for place, it in enumerate(ids)]
    connection.execute(insert(terminals), rows)
    blank = {"is_connected": False, "recent_connects": "[]"}
    connection.execute(insert(vitals), [{**blank, "terminal_id": it} for it in ids])


def replica(url: str, rollout_id: str) -> None:
    """Work on a rollout until it is closed, as the platform's background does."""
    engine, work = open_engine(url, busy_timeout=timedelta(seconds=30)), rollouts()
    while True:
        with engine.begin() as connection:
            if work.advance(connection, rollout_id).closed_at is not None:
                return
        time.sleep(0.02)


def answer_all(engine: Engine) -> None:
    """Let the whole fleet answer what it was given."""
    with engine.begin() as connection:
        connection.execute(
            update(commands)
            .where(commands.c.outcome.is_(None))
            .values(outcome=CommandOutcome.DONE, answered_at=now(), times_sent=1)
        )


@pytest.fixture
def started(database: Database) -> Rollout:
    with database.engine.begin() as connection:
        a_fleet(connection)
        return rollouts().start(connection, PLAN, reason="a test", actor=OPERATOR)


@pytest.fixture
def replicas(database: Database, started: Rollout) -> Iterator[list[BaseProcess]]:
    spawn = multiprocessing.get_context("spawn")
    running: list[BaseProcess] = [
        spawn.Process(target=replica, args=(database.url, started.rollout_id)) for _ in range(2)
    ]
    for process in running:
        process.start()
    yield running
    for process in running:
        if process.is_alive():
            process.kill()
        process.join()


@pytest.mark.timeout(300)
def test_two_replicas_one_of_them_killed_give_each_terminal_its_command_exactly_once(
    database: Database, started: Rollout, replicas: list[BaseProcess]
) -> None:
    killed, paused = False, False
    engine = database.another_engine(busy_timeout=timedelta(seconds=30))
    deadline = time.monotonic() + 240
    work = rollouts()
    while any(process.is_alive() for process in replicas) and time.monotonic() < deadline:
        answer_all(engine)
        with engine.begin() as connection:
            settled = work.progress(connection, work.find(connection, started.rollout_id)).count(MemberState.DONE)
            if settled > TERMINALS / 4 and not killed:
                killed = True
                os.kill(replicas[0].pid or 0, signal.SIGKILL)
            if settled > TERMINALS / 2 and not paused:
                paused = True
                decide = {"rollout_id": started.rollout_id, "reason": "rush hour", "actor": OPERATOR}
                work.pause(connection, **decide)
                work.resume(connection, **decide)
        time.sleep(0.05)

    with database.engine.begin() as connection:
        rollout = work.find(connection, started.rollout_id)
        states = Counter(connection.scalars(select(rollout_members.c.state)))
        per_terminal = connection.execute(
            select(func.count()).where(commands.c.outcome != CommandOutcome.CANCELLED).group_by(commands.c.terminal_id)
        ).scalars()
        assert set(per_terminal) == {1}
        assert AuditLog(now=now).verify(connection).broken_at is None
        queued = connection.execute(select(func.count()).where(audit_log.c.action == "command.queued")).scalar_one()
        taken_back = connection.execute(
            select(func.count()).where(audit_log.c.action == "command.cancelled")
        ).scalar_one()
    assert killed
    assert paused
    assert (rollout.state, rollout.group_ends) == (RolloutState.DONE, (20, 200, TERMINALS))
    assert states == {MemberState.DONE: TERMINALS}
    assert queued - taken_back == TERMINALS


def test_a_large_rollout_writes_its_members_in_portions_and_then_begins(database: Database) -> None:
    work = rollouts()
    with database.engine.begin() as connection:
        a_fleet(connection)
        choice = work.choose(connection, PLAN)
        started = work.start(connection, PLAN, choice=choice, reason="a test", actor=OPERATOR)

    written, states = [PORTION], [started.state]
    while states[-1] is RolloutState.PREPARING:
        with database.engine.begin() as connection:
            assert rollouts().due(connection) == [started.rollout_id]  # any replica, whoever began
            states.append(rollouts().advance(connection, started.rollout_id).state)
            written.append(connection.execute(select(func.count()).select_from(rollout_members)).scalar_one())

    assert written == list(range(PORTION, TERMINALS + 1, PORTION))
    assert (states[-1], set(states[:-1])) == (RolloutState.RUNNING, {RolloutState.PREPARING})
    with database.engine.begin() as connection:
        members = work.members(connection, started.rollout_id, limit=TERMINALS)
        kept = connection.execute(select(func.count()).select_from(rollout_choices)).scalar_one()
        queued = connection.execute(select(func.count()).select_from(commands)).scalar_one()
    assert choice is not None
    assert [member.terminal_id for member in members] == list(choice.terminal_ids)
    assert Counter(member.group_number for member in members) == {1: 20, 2: 180, 3: TERMINALS - 200}
    assert (kept, queued) == (0, 0)


def test_who_fits_is_fixed_when_a_large_rollout_starts(database: Database) -> None:
    work = rollouts()
    with database.engine.begin() as connection:
        a_fleet(connection)
        started = work.start(connection, PLAN, reason="a test", actor=OPERATOR)
        connection.execute(update(terminals).values(state=TerminalState.SUSPENDED))

    with database.engine.begin() as connection:
        while work.find(connection, started.rollout_id).state is RolloutState.PREPARING:
            work.advance(connection, started.rollout_id)
        assert work.progress(connection, started).count(MemberState.PENDING) == TERMINALS


def test_a_large_rollout_is_cancelled_before_all_its_members_are_written(database: Database) -> None:
    work = rollouts()
    with database.engine.begin() as connection:
        a_fleet(connection)
        started = work.start(connection, PLAN, reason="a test", actor=OPERATOR)
        work.cancel(connection, rollout_id=started.rollout_id, reason="wrong region", actor=OPERATOR)
        while work.due(connection):
            work.advance(connection, started.rollout_id)

        rollout = work.find(connection, started.rollout_id)
        assert (rollout.state, rollout.closed_at is None) == (RolloutState.CANCELLED, False)
        assert work.progress(connection, rollout).count(MemberState.SKIPPED) == PORTION
        assert connection.execute(select(func.count()).select_from(rollout_choices)).scalar_one() == 0


def test_the_pace_holds_for_all_replicas_together(database: Database) -> None:
    with database.engine.begin() as connection:
        a_fleet(connection)
        plan = RolloutPlan(action=CommandAction.COLLECT_DIAGNOSTICS, groups=("100%",), pace_per_minute=70)
        rollout = rollouts().start(connection, plan, reason="a test", actor=OPERATOR)
        while rollouts().find(connection, rollout.rollout_id).state is RolloutState.PREPARING:
            rollouts().advance(connection, rollout.rollout_id)
    one, other = database.another_engine(), database.another_engine()

    for engine in (one, other) * 4:
        with engine.begin() as connection:
            rollouts().advance(connection, rollout.rollout_id)

    with database.engine.begin() as connection:
        assert connection.execute(select(func.count()).select_from(commands)).scalar_one() == 70
