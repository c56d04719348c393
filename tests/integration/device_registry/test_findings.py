"""What is wrong is written down once, seen again it counts up, and a person decides when it is over."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from device_registry import Terminal, TerminalState
from device_registry.errors import FieldInvalidError, FindingStateError, FindingUnknownError
from device_registry.fleet.finding import (
    Finding,
    FindingFilter,
    FindingKind,
    FindingState,
    Mitigation,
    Severity,
    Sighting,
)
from device_registry.fleet.findings import Findings
from tests.support.builders import OPERATOR, RegistryBench, a_terminal

MINUTE = timedelta(minutes=1)


@pytest.fixture
def findings(bench: RegistryBench) -> Findings:
    """Return the findings on the bench's clock and audit log."""
    return Findings(now=bench.clock.now, audit=bench.audit)


@pytest.fixture
def terminal(bench: RegistryBench, connection: Connection) -> Terminal:
    """Return a terminal in service."""
    return a_terminal(connection, bench.registry)


def reported(
    findings: Findings, connection: Connection, terminal: Terminal, severity: Severity = Severity.HIGH
) -> Finding:
    finding = findings.report(
        connection,
        kind=FindingKind.CLONE,
        terminal_id=terminal.terminal_id,
        severity=severity,
        details={"serial_number": terminal.serial_number},
    )
    assert finding is not None
    return finding


def test_a_repeat_is_added_to_the_finding_that_is_there(
    bench: RegistryBench, findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    first = reported(findings, connection, terminal)
    bench.clock.advance(MINUTE)
    again = reported(findings, connection, terminal)

    assert findings.list(connection) == [again]
    assert again.finding_id == first.finding_id
    assert (again.times, again.first_seen, again.last_seen) == (2, first.first_seen, first.last_seen + MINUTE)
    assert again.details == {"serial_number": terminal.serial_number}


def test_a_finding_gets_worse_and_never_better_by_a_repeat(
    findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    for severity in (Severity.MEDIUM, Severity.CRITICAL, Severity.LOW):
        finding = reported(findings, connection, terminal, severity)

    assert finding.severity is Severity.CRITICAL


def test_who_took_a_finding_on_is_asked_again_only_when_it_gets_worse(
    findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    finding = reported(findings, connection, terminal)
    findings.acknowledge(connection, finding.finding_id, reason="asking the maker", actor=OPERATOR)

    assert reported(findings, connection, terminal).state is FindingState.ACKNOWLEDGED
    assert reported(findings, connection, terminal, Severity.CRITICAL).state is FindingState.OPEN


def test_what_is_seen_after_the_close_is_a_new_finding(
    bench: RegistryBench, findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    first = reported(findings, connection, terminal)
    closed = findings.close(connection, first.finding_id, reason="test device", actor=OPERATOR)
    bench.clock.advance(MINUTE)
    second = reported(findings, connection, terminal)

    assert (closed.state, closed.state_by, closed.state_reason) == (FindingState.CLOSED, OPERATOR, "test device")
    assert second.finding_id != first.finding_id
    assert findings.list(connection, FindingFilter(is_closed=True)) == [closed]
    assert findings.list(connection, FindingFilter(is_closed=False)) == [second]


def test_evidence_from_before_the_close_opens_nothing(
    bench: RegistryBench, findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    evidence_at = bench.clock.now()

    def seen() -> Finding | None:
        return findings.report(
            connection,
            kind=FindingKind.SHARED_CERTIFICATE,
            terminal_id=terminal.terminal_id,
            severity=Severity.CRITICAL,
            seen_at=evidence_at,
        )

    finding = seen()
    assert finding is not None
    bench.clock.advance(MINUTE)
    repeat = seen()
    assert repeat is not None
    assert repeat.times == 1  # the same evidence, looked at twice
    findings.close(connection, finding.finding_id, reason="a cable was changed", actor=OPERATOR)

    assert seen() is None
    evidence_at = bench.clock.advance(MINUTE)
    assert seen() is not None


def test_what_was_mitigated_begins_again_when_the_terminal_is_back_and_it_happens_again(
    bench: RegistryBench, findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    finding = reported(findings, connection, terminal)
    bench.registry.quarantine(connection, terminal_id=terminal.terminal_id, reason="clone", actor="risk:clone")
    findings.mitigated(connection, finding, mitigation=Mitigation.QUARANTINE, reason="two of them", actor="risk:clone")
    out = reported(findings, connection, terminal)
    bench.registry.resume(connection, terminal_id=terminal.terminal_id, reason="looked at it", actor=OPERATOR)
    back = reported(findings, connection, terminal)

    assert (out.state, out.mitigation, out.mitigated_by) == (
        FindingState.MITIGATED,
        Mitigation.QUARANTINE,
        "risk:clone",
    )
    assert back.state is FindingState.OPEN


def test_a_closed_finding_stays_closed(findings: Findings, connection: Connection, terminal: Terminal) -> None:
    finding = reported(findings, connection, terminal)
    findings.close(connection, finding.finding_id, reason="over", actor=OPERATOR)

    for decide in (findings.close, findings.acknowledge):
        with pytest.raises(FindingStateError):
            decide(connection, finding.finding_id, reason="again", actor=OPERATOR)


def test_a_decision_needs_a_finding_a_reason_and_somebody(
    findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    finding = reported(findings, connection, terminal)

    with pytest.raises(FieldInvalidError, match="reason"):
        findings.close(connection, finding.finding_id, reason=" ", actor=OPERATOR)
    with pytest.raises(FieldInvalidError, match="actor"):
        findings.close(connection, finding.finding_id, reason="over", actor="")
    with pytest.raises(FindingUnknownError):
        findings.close(connection, "0198c000-0000-7000-8000-000000000000", reason="over", actor=OPERATOR)


def test_lists_are_narrowed_and_paged_newest_first(
    bench: RegistryBench, findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    other = a_terminal(connection, bench.registry)
    worse = reported(findings, connection, terminal, Severity.CRITICAL)
    fleet = findings.report(connection, kind=FindingKind.MITIGATION_BOUND, terminal_id=None, severity=Severity.CRITICAL)
    lesser = reported(findings, connection, other, Severity.LOW)

    assert findings.list(connection, FindingFilter(severity_min=Severity.HIGH)) == [fleet, worse]
    assert findings.list(connection, FindingFilter(terminal_id=other.terminal_id)) == [lesser]
    assert findings.list(connection, FindingFilter(kind=FindingKind.CLONE, limit=1)) == [lesser]
    assert findings.list(connection, FindingFilter(kind=FindingKind.CLONE, before=lesser.finding_id)) == [worse]
    assert findings.open_counts(connection) == {
        (FindingKind.CLONE, Severity.CRITICAL): 1,
        (FindingKind.CLONE, Severity.LOW): 1,
        (FindingKind.MITIGATION_BOUND, Severity.CRITICAL): 1,
    }


def test_each_decision_is_in_the_audit_log_and_repeats_are_not(
    bench: RegistryBench, findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    entries = bench.audit.verify(connection).entries
    finding = reported(findings, connection, terminal)
    reported(findings, connection, terminal)
    findings.acknowledge(connection, finding.finding_id, reason="mine", actor=OPERATOR)
    findings.close(connection, finding.finding_id, reason="over", actor=OPERATOR)

    after = bench.audit.verify(connection)
    assert (after.entries - entries, after.broken_at) == (3, None)


def test_a_condition_that_holds_no_more_closes_what_asked_for_somebody(
    bench: RegistryBench, findings: Findings, connection: Connection, terminal: Terminal
) -> None:
    other = a_terminal(connection, bench.registry, state=TerminalState.ENROLLED)
    findings.report_all(
        connection,
        [
            Sighting(kind=FindingKind.CLOCK_SKEW, terminal_id=who.terminal_id, severity=Severity.MEDIUM)
            for who in (terminal, other)
        ],
    )

    cleared = findings.clear(
        connection,
        kinds=[FindingKind.CLOCK_SKEW],
        still=frozenset({(FindingKind.CLOCK_SKEW, other.terminal_id)}),
    )

    assert cleared == 1
    (left,) = findings.list(connection, FindingFilter(is_closed=False))
    assert left.terminal_id == other.terminal_id
