"""Approvals, tickets and roles that were taken back do not come back with a backup."""

from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from device_registry.changes import Changes
from device_registry.enrollment.tickets import Tickets
from device_registry.errors import TicketExpiredError
from device_registry.makers.approvals import MakerState
from device_registry.operators.operators import Operators
from device_registry.operators.roles import Role
from device_registry.revocation import testimony as comparing
from device_registry.revocation.restoration import Restoration
from device_registry.revocation.testimony import WitnessState
from device_registry.revocation.withdrawals import TAKEN_AGAIN
from tests.support.authority import a_signing_request
from tests.support.backup import a_backup
from tests.support.builders import OPERATOR, RegistryBench
from tests.support.doors import Doors, the_doors
from tests.support.factory import SECURITY, Factory, an_approved_maker, an_approved_model
from tests.support.witness import asked, kinds

HERON = Factory()


@pytest.fixture
def operators(bench: RegistryBench) -> Operators:
    return Operators(now=bench.clock.now, authority=bench.authority, audit=bench.audit, revocations=bench.revocations)


@pytest.fixture
def tickets(bench: RegistryBench) -> Tickets:
    changes = Changes(audit=bench.audit, announce=bench.announcements.announce)
    return Tickets(now=bench.clock.now, changes=changes, revocations=bench.revocations)


def an_operator(connection: Connection, operators: Operators, role: Role) -> None:
    operators.add(connection, name="al", role=role, signing_request_der=a_signing_request(), actor=OPERATOR)


def changed_role(engine: Engine, operators: Operators, role: Role) -> None:
    with engine.begin() as connection:
        operators.change_role(connection, name="al", role=role, reason="moved", actor=OPERATOR)


def reapplied(engine: Engine, bench: RegistryBench, kept: comparing.Testimony) -> None:
    """Apply again what the witness has."""
    assert asked(engine, kept.compare).state is WitnessState.ROLLED_BACK
    changes = Changes(audit=bench.audit, announce=bench.announcements.announce)
    restoration = Restoration(now=bench.clock.now, revocations=bench.revocations, changes=changes, effects=TAKEN_AGAIN)
    with engine.begin() as connection:
        restoration.reapply(connection, restoration.witnessed(), reason="backup of last night", actor=OPERATOR)
    assert asked(engine, kept.compare).state is WitnessState.AGREES


def test_a_withdrawn_maker_and_model_stay_withdrawn(
    engine: Engine, bench: RegistryBench, kept: comparing.Testimony, path: Path
) -> None:
    with engine.begin() as connection:
        maker = an_approved_maker(connection, bench.makers, HERON)
        model = an_approved_model(connection, bench.makers, maker)
        good = an_approved_model(connection, bench.makers, maker, name="HD-4")
    restore = a_backup(engine)
    with engine.begin() as connection:
        bench.makers.withdraw_model(connection, model_id=model.model_id, actor=SECURITY, reason="its key leaked")
        bench.makers.withdraw_manufacturer(
            connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="its root leaked"
        )
    asked(engine, kept.keep)
    restore()

    reapplied(engine, bench, kept)

    assert kinds(path) == ["MODEL", "MAKER"]
    with engine.begin() as connection:
        assert bench.makers.manufacturer(connection, maker.manufacturer_id).state is MakerState.WITHDRAWN
        assert bench.makers.model(connection, model.model_id).state is MakerState.WITHDRAWN
        assert bench.makers.model(connection, good.model_id).state is MakerState.APPROVED


def test_a_revoked_ticket_stays_revoked(
    engine: Engine, bench: RegistryBench, tickets: Tickets, *, tmp_path: Path, kept: comparing.Testimony, path: Path
) -> None:
    doors: Doors = the_doors(tmp_path, authority=bench.authority)
    with engine.begin() as connection:
        stolen, good = doors.ticket(connection), doors.ticket(connection)
    restore = a_backup(engine)
    with engine.begin() as connection:
        for _ in range(2):  # once more takes nothing
            tickets.revoke(connection, ticket_id=stolen.record.ticket_id, actor=SECURITY, reason="stolen")
    asked(engine, kept.keep)
    restore()

    reapplied(engine, bench, kept)

    assert kinds(path) == ["TICKET"]
    with engine.begin() as connection:
        with pytest.raises(TicketExpiredError):
            tickets.good(connection, ticket=stolen.ticket, serial_number="SN-1")
        assert tickets.good(connection, ticket=good.ticket, serial_number="SN-1").revoked_at is None


def test_a_lowered_role_stays_lowered_and_a_raised_one_is_nothing_to_witness(
    engine: Engine, bench: RegistryBench, operators: Operators, kept: comparing.Testimony, path: Path
) -> None:
    with engine.begin() as connection:
        an_operator(connection, operators, Role.OPERATOR)
    changed_role(engine, operators, Role.SECURITY)
    restore = a_backup(engine)
    changed_role(engine, operators, Role.VIEWER)
    asked(engine, kept.keep)
    restore()

    reapplied(engine, bench, kept)

    assert kinds(path) == ["ROLE"]
    with engine.begin() as connection:
        assert operators.one(connection, "al").role is Role.VIEWER


def test_a_role_that_is_lower_by_now_is_not_raised_again(
    engine: Engine, bench: RegistryBench, operators: Operators, kept: comparing.Testimony
) -> None:
    with engine.begin() as connection:
        an_operator(connection, operators, Role.VIEWER)
    restore = a_backup(engine)
    changed_role(engine, operators, Role.SECURITY)
    changed_role(engine, operators, Role.OPERATOR)
    asked(engine, kept.keep)
    restore()

    reapplied(engine, bench, kept)

    with engine.begin() as connection:
        assert operators.one(connection, "al").role is Role.VIEWER


def test_what_was_withdrawn_after_the_backup_was_made_and_is_unknown_stops_nothing(
    engine: Engine, bench: RegistryBench, operators: Operators, kept: comparing.Testimony
) -> None:
    restore = a_backup(engine)
    with engine.begin() as connection:
        maker = an_approved_maker(connection, bench.makers, HERON)
        bench.makers.withdraw_manufacturer(
            connection, manufacturer_id=maker.manufacturer_id, actor=SECURITY, reason="its root leaked"
        )
        an_operator(connection, operators, Role.SECURITY)
    changed_role(engine, operators, Role.VIEWER)
    asked(engine, kept.keep)
    restore()

    reapplied(engine, bench, kept)

    with engine.begin() as connection:
        assert bench.makers.manufacturers(connection) == []
