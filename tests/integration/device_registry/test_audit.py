"""The audit log is a chain that verification walks."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import StaticPool

from device_registry import AuditLog, metadata
from device_registry.audit.log import FIRST_HASH
from device_registry.tables import audit_log
from tests.support.builders import RegistryBench, a_terminal
from tests.support.clock import Clock


@pytest.fixture
def audit() -> AuditLog:
    clock = Clock()
    return AuditLog(now=lambda: clock.advance(timedelta(seconds=1)))


@pytest.fixture
def ten_entries(connection: Connection, audit: AuditLog) -> Connection:
    write(connection, audit, 10)
    return connection


def write(connection: Connection, audit: AuditLog, count: int) -> None:
    for number in range(count):
        audit.append(
            connection,
            actor="operator:lin",
            action="site.added",
            subject=f"site-{number}",
            reason="查房",
            request_id=f"r-{number}",
            details={"b": number, "a": "x"},
        )


def test_i06_an_untouched_log_is_whole(ten_entries: Connection, audit: AuditLog) -> None:
    report = audit.verify(ten_entries)

    assert (report.entries, report.broken_at, report.detail) == (10, None, "")
    assert report.head == ten_entries.execute(select(audit_log.c.entry_hash).where(audit_log.c.entry_id == 10)).scalar()


def test_i06_an_empty_log_is_whole(connection: Connection, audit: AuditLog) -> None:
    report = audit.verify(connection)

    assert (report.entries, report.head, report.broken_at) == (0, FIRST_HASH, None)


def test_details_are_kept_in_canonical_form(ten_entries: Connection) -> None:
    details = ten_entries.execute(select(audit_log.c.details).where(audit_log.c.entry_id == 3)).scalar_one()

    assert details == '{"a":"x","b":2}'
    assert json.loads(details) == {"a": "x", "b": 2}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("recorded_at", 1),
        ("actor", "operator:wu"),
        ("action", "site.removed"),
        ("subject", "site-99"),
        ("reason", ""),
        ("request_id", ""),
        ("details", "{}"),
        ("entry_hash", "0" * 64),
    ],
)
def test_i06_an_edited_entry_is_found(ten_entries: Connection, audit: AuditLog, column: str, value: str | int) -> None:
    ten_entries.execute(update(audit_log).where(audit_log.c.entry_id == 4).values({column: value}))

    report = audit.verify(ten_entries)

    assert (report.entries, report.broken_at) == (3, 4)
    assert report.detail


@pytest.mark.parametrize("entry_id", [1, 5])
def test_i06_a_removed_entry_is_found(ten_entries: Connection, audit: AuditLog, entry_id: int) -> None:
    ten_entries.execute(delete(audit_log).where(audit_log.c.entry_id == entry_id))

    assert audit.verify(ten_entries).broken_at == entry_id


def test_i06_a_removed_entry_is_found_even_when_the_rest_is_numbered_anew(
    ten_entries: Connection, audit: AuditLog
) -> None:
    ten_entries.execute(delete(audit_log).where(audit_log.c.entry_id == 5))
    for entry_id in range(6, 11):
        ten_entries.execute(update(audit_log).where(audit_log.c.entry_id == entry_id).values(entry_id=entry_id - 1))

    assert audit.verify(ten_entries).broken_at == 5


def test_i06_two_entries_that_changed_places_are_found(ten_entries: Connection, audit: AuditLog) -> None:
    for origin, target in ((4, 99), (5, 4), (99, 5)):
        ten_entries.execute(update(audit_log).where(audit_log.c.entry_id == origin).values(entry_id=target))

    assert audit.verify(ten_entries).broken_at == 4


def test_i06_a_log_that_was_cut_off_is_found_by_an_earlier_report(ten_entries: Connection, audit: AuditLog) -> None:
    known = audit.verify(ten_entries)
    ten_entries.execute(delete(audit_log).where(audit_log.c.entry_id > 8))

    assert audit.verify(ten_entries).broken_at is None  # a shorter chain is whole in itself
    report = audit.verify(ten_entries, known=known)
    assert (report.entries, report.broken_at) == (8, 9)
    assert "10 entries" in report.detail


def test_i06_a_log_that_was_cut_off_and_grew_again_is_found_by_an_earlier_report(
    ten_entries: Connection, audit: AuditLog
) -> None:
    known = audit.verify(ten_entries)
    ten_entries.execute(delete(audit_log).where(audit_log.c.entry_id > 8))
    write(ten_entries, audit, 5)

    assert audit.verify(ten_entries).broken_at is None
    assert audit.verify(ten_entries, known=known).broken_at == 10


def test_an_earlier_report_of_an_honest_log_still_holds(ten_entries: Connection, audit: AuditLog) -> None:
    known = audit.verify(ten_entries)
    write(ten_entries, audit, 5)

    report = audit.verify(ten_entries, known=known)

    assert (report.entries, report.broken_at) == (15, None)


def test_i06_two_writers_cannot_fork_the_chain(ten_entries: Connection, audit: AuditLog) -> None:
    second = dict(ten_entries.execute(select(audit_log).where(audit_log.c.entry_id == 10)).mappings().one())

    with pytest.raises(IntegrityError), ten_entries.begin_nested():
        ten_entries.execute(audit_log.insert(), second)

    assert audit.verify(ten_entries).entries == 10


def test_i06_an_entry_that_was_rolled_back_leaves_no_gap(engine: Engine, audit: AuditLog) -> None:
    with engine.begin() as connection:
        write(connection, audit, 2)
    with engine.connect() as connection:
        write(connection, audit, 3)
        connection.rollback()
    with engine.begin() as connection:
        write(connection, audit, 1)

        assert audit.verify(connection).entries == 3


def test_i06_all_that_the_registry_does_is_in_one_whole_chain(connection: Connection, bench: RegistryBench) -> None:
    a_terminal(connection, bench.registry)

    report = bench.audit.verify(connection)

    actions = connection.execute(select(audit_log.c.action).order_by(audit_log.c.entry_id)).scalars().all()
    assert actions == ["site.added", "terminal.registered", "token.issued", "terminal.enrolled", "terminal.active"]
    assert (report.entries, report.broken_at) == (5, None)


words = st.text(st.characters(exclude_categories=["C"]), max_size=20)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(words, words, st.dictionaries(words, words | st.integers(-(2**53), 2**53), max_size=3)), max_size=10
    )
)
def test_i06_whatever_is_written_verifies(entries: list[tuple[str, str, dict[str, str | int]]]) -> None:
    audit = AuditLog(now=Clock().now)
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine, tables=[audit_log])
    with engine.begin() as connection:
        for subject, reason, details in entries:
            audit.append(
                connection, actor="rule:test", action="tested", subject=subject, reason=reason, details=details
            )

        report = audit.verify(connection)

    engine.dispose()
    assert (report.entries, report.broken_at) == (len(entries), None)
