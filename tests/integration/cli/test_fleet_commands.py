"""`shualian fleet`: the whole fleet at a glance, and an exit code that a script can go by."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from device_registry.fleet.finding import FindingKind, Severity
from server.commands.mistakes import ExitCode
from server.config import load_config
from server.wiring import build_domain
from tests.integration.cli.conftest import Ask

Report = Callable[[str, FindingKind, Severity], str]


@pytest.fixture
def report(tmp_path: Path, site: str) -> Report:  # noqa: ARG001 - the site stands for a platform that is set up
    """Return a function that puts something wrong on record, as the server would, and returns its id."""

    def reporting(terminal_id: str, kind: FindingKind, severity: Severity) -> str:
        domain = build_domain(load_config(None, {"SHUALIAN_DATA_DIR": str(tmp_path / "data")}))

        def write(connection: Connection) -> str:
            finding = domain.findings.report(
                connection, kind=kind, terminal_id=terminal_id, severity=severity, details={"seconds": 61}
            )
            assert finding is not None
            return finding.finding_id

        with domain.engine.begin() as connection:
            finding_id = write(connection)
        domain.engine.dispose()
        return finding_id

    return reporting


def test_a_fleet_in_which_nothing_is_wrong_is_told_so(ask: Ask, register: Callable[[str], Any]) -> None:
    register("SN-1")

    reply = ask("fleet", "audit")

    assert reply.code == 0, reply.err
    assert "Nothing is wrong." in reply.out
    assert "Terminals looked at: 1." in reply.out


def test_the_exit_code_says_whether_somebody_has_to_look_today(
    ask: Ask, register: Callable[[str], Any], report: Report
) -> None:
    terminal_id = register("SN-1")["terminal_id"]
    report(terminal_id, FindingKind.OFF_HOURS_USE, Severity.MEDIUM)
    calm = ask("fleet", "audit", "--json")
    report(terminal_id, FindingKind.CLONE, Severity.CRITICAL)
    grave = ask("fleet", "audit", "--json")

    assert (calm.code, grave.code) == (0, ExitCode.REFUSED)
    assert [finding["severity"] for finding in grave.json["findings"]] == ["CRITICAL", "MEDIUM"]
    assert grave.json["findings"][0]["allowed"] == ["EVICT", "NOTIFY", "QUARANTINE", "SUSPEND"]
    assert grave.json["report"]["terminals"] == 1


def test_a_finding_is_taken_on_and_closed(ask: Ask, register: Callable[[str], Any], report: Report) -> None:
    finding_id = report(register("SN-1")["terminal_id"], FindingKind.CLOCK_SKEW, Severity.HIGH)

    taken = ask("fleet", "acknowledge", finding_id, "--reason", "the battery is ordered", "--json")
    closed = ask("fleet", "close", finding_id, "--reason", "the battery was changed", "--json")
    left = ask("fleet", "findings", "--json")
    all_of_them = ask("fleet", "findings", "--all", "--kind", "clock_skew", "--json")

    assert taken.json["state"] == "ACKNOWLEDGED"
    assert (closed.json["state"], closed.json["state_reason"]) == ("CLOSED", "the battery was changed")
    assert left.json == {"findings": []}
    assert [finding["details"] for finding in all_of_them.json["findings"]] == [{"seconds": "61"}]


def test_what_a_finding_does_not_allow_is_refused_in_a_sentence(
    ask: Ask, register: Callable[[str], Any], report: Report
) -> None:
    finding_id = report(register("SN-1")["terminal_id"], FindingKind.CLOCK_SKEW, Severity.HIGH)

    refused = ask("fleet", "mitigate", finding_id, "--with", "quarantine", "--reason", "odd")
    unknown = ask("fleet", "findings", "--kind", "NONSENSE")

    assert refused.code == ExitCode.REFUSED
    assert refused.err.startswith("Error: ")
    assert unknown.code == ExitCode.USAGE
    assert "CLOCK_SKEW" in unknown.err


def test_the_census_is_a_few_tables(ask: Ask, register: Callable[[str], Any]) -> None:
    register("SN-1")

    shown, machine = ask("fleet", "census"), ask("fleet", "census", "--json")

    assert shown.code == 0, shown.err
    assert "REGISTERED" in shown.out
    assert machine.json["terminals"] == [
        {"region": "110000", "terminal_class": "III", "state": "REGISTERED", "terminals": 1}
    ]


def test_a_policy_that_is_wrong_stops_the_command_and_names_every_mistake(
    ask: Ask, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert site
    policy = tmp_path / "risk.toml"
    policy.write_text('[CLOCK_SKEW]\nautomatic = "QUARANTINE"\nskew_max = "soon"\n', encoding="utf-8")
    monkeypatch.setenv("SHUALIAN_FLEET_RISK_POLICY", str(policy))

    reply = ask("fleet", "census")

    assert reply.code == ExitCode.CONFIGURATION
    assert "QUARANTINE is not allowed" in reply.err
    assert "skew_max is a time" in reply.err
