"""When a terminal was last used is read from the books of faces and money, for the sites that have hours."""

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert

from device_registry import Site, Terminal
from device_registry.fleet.attacks import FaceOnlySeen
from device_registry.fleet.places import SitePlaces
from server.activity import FleetActivity, first_id_of
from server.faces.outcomes import note_refusal
from server.store.tables.outcomes import site_ways
from server.store.tables.people import consents
from server.store.tables.settlement import settlements
from tests.support.builders import OPERATOR, RegistryBench, a_registry, a_site, a_terminal
from tests.support.database import Database

HOUR = timedelta(hours=1)


def a_site_with_hours(connection: Connection, bench: RegistryBench) -> Site:
    site = a_site(connection, bench.registry)
    SitePlaces(audit=bench.audit).settle(
        connection, site_id=site.site_id, place=None, opening_hours="07:00-21:00", actor=OPERATOR
    )
    return site


def a_face_session(connection: Connection, terminal: Terminal, at: datetime) -> None:
    """Write down a refused consent: the least a face session leaves."""
    connection.execute(
        insert(consents),
        {
            "session_id": first_id_of(at),
            "terminal_id": terminal.terminal_id,
            "site_id": terminal.site_id,
            "granted": False,
            "text_version": "1",
            "given_at": at,
            "recorded_at": at,
        },
    )


def a_settlement(connection: Connection, terminal: Terminal, at: datetime, *, terminal_time: datetime) -> None:
    """Write down a settlement whose id was made by the terminal's clock."""
    connection.execute(
        insert(settlements),
        {
            "transaction_id": first_id_of(terminal_time).replace("-8000-", f"-9{terminal.serial_number[-3:]}-"),
            "terminal_id": terminal.terminal_id,
            "site_id": terminal.site_id,
            "state": "SETTLED",
            "intent": "SETTLE",
            "began_at": at,
            "tries": 0,
        },
    )


def test_the_later_of_face_and_settlement_counts(database: Database, tmp_path: Path) -> None:
    bench = a_registry(tmp_path)
    now = bench.clock.now()
    with database.engine.begin() as connection:
        site = a_site_with_hours(connection, bench)
        face, paid, both, idle = (a_terminal(connection, bench.registry, site=site) for _ in range(4))
        a_face_session(connection, face, now - 2 * HOUR)
        a_settlement(connection, paid, now - 3 * HOUR, terminal_time=now - 3 * HOUR)
        a_face_session(connection, both, now - 5 * HOUR)
        a_settlement(connection, both, now - 4 * HOUR, terminal_time=now - 20 * HOUR)  # its clock is behind

        uses = FleetActivity().last_uses(connection, since=now - 6 * HOUR)

    assert uses == {
        face.terminal_id: now - 2 * HOUR,
        paid.terminal_id: now - 3 * HOUR,
        both.terminal_id: now - 4 * HOUR,
    }
    assert idle.terminal_id not in uses


def test_what_is_long_ago_or_at_a_site_without_hours_is_not_asked_for(database: Database, tmp_path: Path) -> None:
    bench = a_registry(tmp_path)
    now = bench.clock.now()
    with database.engine.begin() as connection:
        with_hours = a_terminal(connection, bench.registry, site=a_site_with_hours(connection, bench))
        without = a_terminal(connection, bench.registry)
        a_face_session(connection, with_hours, now - 7 * HOUR)
        a_settlement(connection, with_hours, now - 7 * HOUR, terminal_time=now)
        a_face_session(connection, without, now - HOUR)

        uses = FleetActivity().last_uses(connection, since=now - 6 * HOUR)

    assert uses == {}


def test_a_site_where_faces_are_refused_and_nothing_else_is_shown_stands_out(
    database: Database, tmp_path: Path
) -> None:
    bench = a_registry(tmp_path)
    now, activity = bench.clock.now(), FleetActivity()
    with database.engine.begin() as connection:
        bad, good = (a_site(connection, bench.registry) for _ in range(2))
        first, second, fair = (a_terminal(connection, bench.registry, site=site) for site in (bad, bad, good))
        for terminal in (first, first, second, fair):
            note_refusal(connection, terminal_id=terminal.terminal_id, at=now)
        note_refusal(connection, terminal_id=first.terminal_id, at=now - timedelta(days=8))
        connection.execute(insert(site_ways).values(site_id=good.site_id, way="CODE", last_on=now.date()))
        last_week = (now - timedelta(days=8)).date()
        connection.execute(insert(site_ways).values(site_id=bad.site_id, way="CARD", last_on=last_week))

        seen = activity.face_only(connection, since=now - timedelta(days=7))

    assert seen == {
        first.terminal_id: FaceOnlySeen(refused_consents=2, failed_faces=0, at_site=3),
        second.terminal_id: FaceOnlySeen(refused_consents=1, failed_faces=0, at_site=3),
    }
