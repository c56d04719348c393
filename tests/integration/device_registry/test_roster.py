"""Terminals looked up and listed, and sites corrected, on a real database of each kind."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from device_registry import DEFAULT_POLICY, Presence, TerminalClass, TerminalState, errors
from device_registry.model import SiteKind
from device_registry.roster import Roster, RosterFilter
from device_registry.sites import Sites
from tests.support.builders import OPERATOR, RegistryBench, a_site, a_terminal

FIRMWARE = "4.2.0"


@pytest.fixture
def roster(bench: RegistryBench) -> Roster:
    return Roster(now=bench.clock.now, policy=DEFAULT_POLICY)


def serials(connection: Connection, roster: Roster, **wanted: object) -> list[str]:
    return [view.terminal.serial_number for view in roster.page(connection, RosterFilter(**wanted))]  # type: ignore[arg-type]  # each test gives fields of the filter


def connect(connection: Connection, bench: RegistryBench, terminal_id: str, *, firmware: str = FIRMWARE) -> None:
    bench.registry.connected(connection, terminal_id=terminal_id, firmware_version=firmware, clock_skew=timedelta(0))


def test_a_terminal_is_meant_by_its_id_or_its_serial_number(
    bench: RegistryBench, connection: Connection, roster: Roster
) -> None:
    terminal = a_terminal(connection, bench.registry, serial_number="SN-7")

    assert roster.meant(connection, "SN-7") == roster.meant(connection, terminal.terminal_id) == terminal
    with pytest.raises(errors.TerminalUnknownError):
        roster.meant(connection, "SN-8")


def test_of_several_with_a_serial_number_the_one_in_service_is_meant(
    bench: RegistryBench, connection: Connection, roster: Roster
) -> None:
    first = a_terminal(connection, bench.registry, serial_number="SN-7", state=TerminalState.RETIRED)

    assert roster.meant(connection, "SN-7").terminal_id == first.terminal_id
    second = a_terminal(connection, bench.registry, serial_number="SN-7")
    assert roster.meant(connection, "SN-7").terminal_id == second.terminal_id


def test_each_part_of_the_filter_narrows_the_list(bench: RegistryBench, connection: Connection, roster: Roster) -> None:
    near, far = a_site(connection, bench.registry), a_site(connection, bench.registry, region="460100")
    one = a_terminal(connection, bench.registry, site=near, serial_number="ONE")
    a_terminal(connection, bench.registry, site=far, serial_number="TWO", state=TerminalState.REVOKED)
    connect(connection, bench, one.terminal_id)

    assert serials(connection, roster) == ["ONE", "TWO"]
    for wanted in (
        {"region": near.region},
        {"site_id": near.site_id},
        {"state": TerminalState.ACTIVE},
        {"serial_number": "ONE"},
        {"firmware_version": FIRMWARE},
        {"presence": Presence.CONNECTED},
    ):
        assert serials(connection, roster, **wanted) == ["ONE"], wanted
    assert serials(connection, roster, terminal_class=TerminalClass.SCAN) == []
    assert serials(connection, roster, manufacturer="nobody") == []
    assert serials(connection, roster, model="none") == []
    assert serials(connection, roster, presence=Presence.UNSEEN) == ["TWO"]


def test_certificates_that_end_soon_are_found_by_their_end_and_their_issuer(
    bench: RegistryBench, connection: Connection, roster: Roster
) -> None:
    terminal = a_terminal(connection, bench.registry, serial_number="ONE")
    a_terminal(connection, bench.registry, serial_number="BARE", state=TerminalState.REGISTERED)
    (certificate,) = bench.registry.certificates(connection, terminal.terminal_id)
    (view,) = (view for view in roster.page(connection, RosterFilter()) if view.certificate_not_after)

    assert view.certificate_not_after == certificate.not_after
    assert serials(connection, roster, expiring_before=certificate.not_after) == []
    assert serials(connection, roster, expiring_before=certificate.not_after + timedelta(seconds=1)) == ["ONE"]
    assert serials(connection, roster, issuer_id=view.issuer_id) == ["ONE"]


def test_presence_is_told_by_the_clock(bench: RegistryBench, connection: Connection, roster: Roster) -> None:
    terminal = a_terminal(connection, bench.registry, serial_number="ONE")
    connect(connection, bench, terminal.terminal_id)

    bench.clock.advance(DEFAULT_POLICY.overdue_after)

    assert serials(connection, roster, presence=Presence.CONNECTED) == []
    assert serials(connection, roster, presence=Presence.OVERDUE) == ["ONE"]


def test_pages_follow_each_other_without_gap_or_repetition(
    bench: RegistryBench, connection: Connection, roster: Roster
) -> None:
    site = a_site(connection, bench.registry)
    for number in range(5):
        a_terminal(connection, bench.registry, site=site, serial_number=f"SN-{number}")

    found: list[str] = []
    after = None
    for presence in (None, None, Presence.UNSEEN):  # a presence is not in SQL, and must page all the same
        page = roster.page(connection, RosterFilter(after=after, limit=2, presence=presence))
        found += [view.terminal.serial_number for view in page]
        after = page[-1].terminal.terminal_id

    assert found == [f"SN-{number}" for number in range(5)]


def test_a_presence_is_found_beyond_the_rows_that_are_read_at_once(
    bench: RegistryBench, connection: Connection
) -> None:
    site, roster = (
        a_site(connection, bench.registry),
        Roster(now=bench.clock.now, policy=DEFAULT_POLICY, rows_at_once=3),
    )
    for number in range(7):
        last = a_terminal(connection, bench.registry, site=site, serial_number=f"SN-{number}")
    connect(connection, bench, last.terminal_id)

    assert serials(connection, roster, presence=Presence.CONNECTED) == [last.serial_number]


def test_a_site_is_corrected_and_the_audit_log_says_why(bench: RegistryBench, connection: Connection) -> None:
    site = a_site(connection, bench.registry)
    sites = Sites(audit=bench.audit)

    corrected = sites.correct(
        connection, site_id=site.site_id, name="Willow Hospital", kind=None, reason="renamed", actor=OPERATOR
    )

    assert (corrected.name, corrected.kind, corrected.region) == ("Willow Hospital", SiteKind.HOSPITAL, site.region)
    with pytest.raises(errors.SiteUnknownError):
        sites.correct(connection, site_id="none", name="X", kind=None, reason="-", actor=OPERATOR)
    with pytest.raises(errors.FieldInvalidError):
        sites.correct(connection, site_id=site.site_id, name="a\nb", kind=None, reason="-", actor=OPERATOR)
