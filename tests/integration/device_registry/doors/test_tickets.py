"""A technician's ticket: one region, a number of terminals, a short life, and never without a factory identity."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select

from device_registry import Site, TerminalClass
from device_registry.enrollment.factory import RECORD_NUMBER_PENDING, InstallerVisit
from device_registry.errors import (
    FactoryProofRefusedError,
    FieldInvalidError,
    ModelUnknownError,
    SiteUnknownError,
    TerminalRevokedError,
    TicketExpiredError,
    TicketRefusedError,
    TicketRegionError,
    TicketSpentError,
)
from device_registry.tables import audit_log, installer_tickets
from tests.support.builders import OPERATOR, a_site
from tests.support.doors import DEVICE, HERON, Doors, actions
from tests.support.factory import Factory


@pytest.fixture
def site(connection: Connection, doors: Doors) -> Site:
    return a_site(connection, doors.bench.registry)


def a_visit(ticket: str, site: Site, **changes: str) -> InstallerVisit:
    return replace(InstallerVisit(ticket=ticket, site_id=site.site_id, model="HD-3"), **changes)


def test_a_ticket_registers_and_enrolls_in_one_step_as_often_as_it_was_made_for(
    connection: Connection, doors: Doors, site: Site
) -> None:
    issued = doors.ticket(connection, terminals_max=2)
    visit = a_visit(issued.ticket, site)

    enrolled = [doors.enroll(connection, HERON.make(f"HD3-00010{number}"), visit=visit) for number in (1, 2)]

    terminal = doors.bench.registry.terminal(connection, enrolled[0].terminal_id)
    assert (terminal.site_id, terminal.manufacturer, terminal.model) == (site.site_id, "Heron Devices", "HD-3")
    assert (terminal.terminal_class, terminal.record_number) == (TerminalClass.FACE, RECORD_NUMBER_PENDING)
    assert doors.tickets.ticket(connection, issued.record.ticket_id).terminals_left == 0
    assert actions(connection, terminal.terminal_id) == ["terminal.registered", "ticket.taken", "terminal.enrolled"]
    with pytest.raises(TicketSpentError):
        doors.enroll(connection, HERON.make("HD3-000103"), visit=visit)


def test_a_second_try_after_a_lost_answer_costs_the_ticket_nothing(
    connection: Connection, doors: Doors, site: Site
) -> None:
    issued = doors.ticket(connection)
    for _ in range(2):
        doors.enroll(connection, DEVICE, visit=a_visit(issued.ticket, site))

    assert doors.tickets.ticket(connection, issued.record.ticket_id).terminals_left == 1


def test_a_ticket_is_for_sites_of_its_region_and_for_approved_models(
    connection: Connection, doors: Doors, site: Site
) -> None:
    ticket = doors.ticket(connection).ticket
    elsewhere = a_site(connection, doors.bench.registry, region="110000")
    for visit, error in (
        (a_visit(ticket, elsewhere), TicketRegionError),
        (a_visit(ticket, site, model="HD-9"), ModelUnknownError),
        (a_visit(ticket, site, site_id="00000000-0000-7000-8000-000000000000"), SiteUnknownError),
        (a_visit("no-such-ticket-no-such-ticket", site), TicketRefusedError),
    ):
        with pytest.raises(error):
            doors.enroll(connection, DEVICE, visit=visit)


def test_a_ticket_alone_opens_nothing(connection: Connection, doors: Doors, site: Site) -> None:
    visit = a_visit(doors.ticket(connection).ticket, site)

    with pytest.raises(FactoryProofRefusedError):
        doors.enroll(connection, Factory(maker="Nobody").make(DEVICE.serial_number), visit=visit)


def test_a_ticket_lapses_and_can_be_revoked_before(connection: Connection, doors: Doors, site: Site) -> None:
    revoked, lapsing = doors.ticket(connection), doors.ticket(connection, lifetime_hours=8)
    after = doors.tickets.revoke(connection, ticket_id=revoked.record.ticket_id, actor=OPERATOR, reason="lost")
    assert not after.is_open(doors.clock.now())
    with pytest.raises(TicketExpiredError):
        doors.enroll(connection, DEVICE, visit=a_visit(revoked.ticket, site))

    doors.clock.advance(timedelta(hours=8))

    with pytest.raises(TicketExpiredError):
        doors.enroll(connection, DEVICE, visit=a_visit(lapsing.ticket, site))


def test_a_ticket_does_not_bring_back_what_an_operator_took_out(
    connection: Connection, doors: Doors, site: Site
) -> None:
    held = doors.active(connection, DEVICE)
    doors.bench.registry.revoke(connection, terminal_id=held.terminal.terminal_id, reason="stolen", actor=OPERATOR)

    with pytest.raises(TerminalRevokedError):
        doors.enroll(connection, DEVICE, visit=a_visit(doors.ticket(connection).ticket, site))


def test_the_ticket_itself_is_stored_nowhere(connection: Connection, doors: Doors) -> None:
    issued = doors.ticket(connection)

    stored = str(connection.execute(select(installer_tickets)).all()) + str(connection.execute(select(audit_log)).all())

    assert issued.ticket not in stored
    assert issued.ticket not in repr(issued)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("lifetime", {"lifetime_hours": 73}),
        ("terminals_max", {"terminals_max": 0}),
        ("terminals_max", {"terminals_max": 1001}),
        ("region", {"region": " "}),
    ],
)
def test_a_ticket_is_short_lived_and_counted(
    connection: Connection, doors: Doors, field: str, changes: dict[str, int]
) -> None:
    with pytest.raises(FieldInvalidError) as caught:
        doors.ticket(connection, **changes)  # type: ignore[arg-type] # one of them is text
    assert caught.value.field == field
