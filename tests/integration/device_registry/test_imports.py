"""Many terminals at once: each row is answered for itself, on a real database of each kind."""

from dataclasses import replace

import pytest
from sqlalchemy import Connection, func, select

from device_registry import TerminalClass, TerminalState
from device_registry.imports import ImportOutcome, ImportRow, Imports
from device_registry.model import Site
from device_registry.tables import terminals
from tests.support.builders import OPERATOR, RegistryBench, a_site


@pytest.fixture
def imports(bench: RegistryBench) -> Imports:
    return Imports(registry=bench.registry)


@pytest.fixture
def site(bench: RegistryBench, connection: Connection) -> Site:
    return a_site(connection, bench.registry)


def a_row(site: Site, line: int = 1, **changed: object) -> ImportRow:
    row = ImportRow(
        line=line,
        serial_number=f"SN-{line}",
        site_id=site.site_id,
        manufacturer="Maker",
        model="M1",
        terminal_class=TerminalClass.FACE,
        certification_number="C-1",
        record_number="R-1",
    )
    return replace(row, **changed)  # type: ignore[arg-type]  # each test gives fields of a row


def outcomes(connection: Connection, imports: Imports, *rows: ImportRow) -> list[tuple[str, str, str]]:
    results = imports.take(connection, rows, actor=OPERATOR, request_id="r-1")
    return [(result.outcome.value, result.reason, result.field) for result in results]


def test_a_bad_row_keeps_none_of_the_others_out(connection: Connection, imports: Imports, site: Site) -> None:
    answers = outcomes(
        connection,
        imports,
        a_row(site, 1),
        a_row(site, 2, serial_number="with spaces"),
        a_row(site, 3, site_id="00000000-0000-7000-8000-000000000000"),
        a_row(site, 4, terminal_class=None),
        a_row(site, 5, model="\t"),
        a_row(site, 6),
    )

    assert answers == [
        ("REGISTERED", "", ""),
        ("REFUSED", "FIELD_INVALID", "serial_number"),
        ("REFUSED", "SITE_UNKNOWN", "site_id"),
        ("REFUSED", "FIELD_INVALID", "terminal_class"),
        ("REFUSED", "FIELD_INVALID", "model"),
        ("REGISTERED", "", ""),
    ]
    assert connection.scalar(select(func.count()).select_from(terminals)) == 2


def test_the_same_import_again_changes_nothing(connection: Connection, imports: Imports, site: Site) -> None:
    rows = [a_row(site, line) for line in (1, 2, 3)]
    first = imports.take(connection, rows, actor=OPERATOR)

    again = imports.take(connection, rows, actor=OPERATOR)

    assert {result.outcome for result in again} == {ImportOutcome.UNCHANGED}
    assert [result.terminal_id for result in again] == [result.terminal_id for result in first]
    assert connection.scalar(select(func.count()).select_from(terminals)) == 3


def test_a_row_that_differs_from_what_is_registered_says_in_what(
    connection: Connection, imports: Imports, site: Site
) -> None:
    outcomes(connection, imports, a_row(site))

    assert outcomes(connection, imports, a_row(site, record_number="R-2")) == [
        ("REFUSED", "SERIAL_NUMBER_TAKEN", "record_number")
    ]


@pytest.mark.parametrize("state", [TerminalState.REVOKED, TerminalState.BANNED])
def test_a_list_from_last_year_brings_no_revoked_terminal_back(
    bench: RegistryBench, connection: Connection, imports: Imports, site: Site, state: TerminalState
) -> None:
    (result,) = imports.take(connection, [a_row(site)], actor=OPERATOR)
    decide = {TerminalState.REVOKED: bench.registry.revoke, TerminalState.BANNED: bench.registry.ban}[state]
    decide(connection, terminal_id=result.terminal_id, reason="stolen", actor=OPERATOR)

    assert outcomes(connection, imports, a_row(site)) == [("REFUSED", "TERMINAL_REVOKED", "serial_number")]
    assert bench.registry.terminal(connection, result.terminal_id).state is state
