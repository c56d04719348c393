"""Sites and terminals: what is registered, found and refused."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError, StatementError

from device_registry import SiteKind, TerminalClass, TerminalState
from device_registry.errors import (
    FieldInvalidError,
    SerialNumberTakenError,
    SiteUnknownError,
    TerminalUnknownError,
    TransitionLostError,
)
from device_registry.lifecycle import Transition
from device_registry.tables import sites, terminals
from tests.support.builders import OPERATOR, RegistryBench, a_site, a_terminal

GOOD = {
    "serial_number": "SN-1",
    "manufacturer": "Heron Devices",
    "model": "HD-3",
    "certification_number": "C-1",
    "record_number": "R-1",
}


def test_a_site_is_found_again(connection: Connection, bench: RegistryBench) -> None:
    site = a_site(connection, bench.registry, kind=SiteKind.PHARMACY)

    assert bench.registry.site(connection, site.site_id) == site
    assert bench.registry.sites(connection) == [site]
    with pytest.raises(SiteUnknownError):
        bench.registry.site(connection, "nowhere")


@pytest.mark.parametrize(("name", "region"), [("", "330100"), ("  ", "330100"), ("Clinic", ""), ("Clinic", "3" * 33)])
def test_a_site_needs_a_name_and_a_region(connection: Connection, bench: RegistryBench, name: str, region: str) -> None:
    with pytest.raises(FieldInvalidError):
        bench.registry.add_site(connection, name=name, region=region, kind=SiteKind.CLINIC, actor=OPERATOR)


def test_nothing_is_done_by_nobody(connection: Connection, bench: RegistryBench) -> None:
    with pytest.raises(FieldInvalidError) as refused:
        bench.registry.add_site(connection, name="Clinic", region="330100", kind=SiteKind.CLINIC, actor=" ")

    assert refused.value.field == "actor"


def test_a_terminal_has_its_sites_region_and_begins_registered(connection: Connection, bench: RegistryBench) -> None:
    site = a_site(connection, bench.registry, region="440300")

    terminal = bench.registry.register(
        connection, **GOOD, terminal_class=TerminalClass.CARD, site_id=site.site_id, actor=OPERATOR
    )

    assert terminal.region == "440300"
    assert terminal.state is TerminalState.REGISTERED
    assert bench.registry.terminal(connection, terminal.terminal_id) == terminal


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serial_number", ""),
        ("serial_number", "SN 1"),
        ("serial_number", "SN-1\n"),
        ("serial_number", "x" * 65),
        ("manufacturer", ""),
        ("model", "x" * 129),
        ("certification_number", "\x1b[2J"),
        ("record_number", " "),
    ],
)
def test_a_field_of_the_wrong_form_is_named(
    connection: Connection, bench: RegistryBench, field: str, value: str
) -> None:
    site = a_site(connection, bench.registry)

    with pytest.raises(FieldInvalidError) as refused:
        bench.registry.register(
            connection,
            **{**GOOD, field: value},
            terminal_class=TerminalClass.FACE,
            site_id=site.site_id,
            actor=OPERATOR,
        )

    assert refused.value.field == field


def test_a_terminal_needs_a_site(connection: Connection, bench: RegistryBench) -> None:
    with pytest.raises(SiteUnknownError):
        bench.registry.register(
            connection, **GOOD, terminal_class=TerminalClass.FACE, site_id="nowhere", actor=OPERATOR
        )
    with pytest.raises(TerminalUnknownError):
        bench.registry.terminal(connection, "nobody")


@pytest.mark.parametrize(
    "state", set(TerminalState) - {TerminalState.REVOKED, TerminalState.BANNED, TerminalState.RETIRED}
)
def test_a_serial_number_in_service_is_taken(
    connection: Connection, bench: RegistryBench, state: TerminalState
) -> None:
    terminal = a_terminal(connection, bench.registry, serial_number="SN-ONE", state=state)

    with pytest.raises(SerialNumberTakenError) as refused:
        a_terminal(connection, bench.registry, serial_number="SN-ONE")

    assert refused.value.terminal_id == terminal.terminal_id


def test_the_database_itself_holds_a_serial_number_once_in_service(
    connection: Connection, bench: RegistryBench
) -> None:
    terminal = a_terminal(connection, bench.registry)
    twin = dict(connection.execute(select(terminals)).mappings().one(), terminal_id="twin")

    with pytest.raises(IntegrityError), connection.begin_nested():
        connection.execute(terminals.insert(), twin)
    connection.execute(terminals.insert(), {**twin, "state": TerminalState.RETIRED})

    found = connection.execute(select(terminals).where(terminals.c.serial_number == terminal.serial_number)).all()
    assert len(found) == 2


def test_times_come_back_exact_and_in_utc(connection: Connection) -> None:
    beijing = timezone(timedelta(hours=8))
    moment = datetime(2026, 3, 2, 16, 0, 0, 123457, tzinfo=beijing)
    row = {"site_id": "s", "name": "Clinic", "region": "330100", "kind": SiteKind.CLINIC, "added_at": moment}

    connection.execute(sites.insert(), row)

    read = connection.execute(select(sites.c.added_at)).scalar_one()
    assert read == moment
    assert read.utcoffset() == timedelta(0)


def test_a_naive_time_is_refused(connection: Connection) -> None:
    naive = datetime(2026, 3, 2)  # noqa: DTZ001 - the mistake itself
    row = {"site_id": "s", "name": "Clinic", "region": "330100", "kind": SiteKind.CLINIC, "added_at": naive}

    with pytest.raises(StatementError):
        connection.execute(sites.insert(), row)


def test_a_change_decided_on_an_old_state_is_lost(connection: Connection, bench: RegistryBench) -> None:
    terminal = a_terminal(connection, bench.registry, state=TerminalState.REGISTERED)
    stale = Transition(
        terminal_id=terminal.terminal_id,
        origin=TerminalState.ACTIVE,
        target=TerminalState.SUSPENDED,
        reason="read too early",
        actor=OPERATOR,
        at=bench.clock.now(),
    )

    with pytest.raises(TransitionLostError):
        bench.registry._changes.move(connection, stale, request_id="")  # noqa: SLF001 - the race itself

    assert bench.registry.terminal(connection, terminal.terminal_id).state is TerminalState.REGISTERED
