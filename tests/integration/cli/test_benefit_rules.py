"""The benefit rules and what a person is entitled to, asked of the real command line."""

import re
import shutil
from pathlib import Path

import pytest

from server.commands.mistakes import ExitCode
from server.settlement.insurers.local.rules_file import DEFAULT_RULES
from tests.integration.cli.conftest import Ask
from tests.support.money import an_id_number

PAGE = Path(__file__).parents[3] / "docs" / "operations" / "benefit-rules.md"


def test_the_worked_example_of_the_page_is_what_the_command_prints(ask: Ask) -> None:
    example = re.search(
        r"^\$ shualian (rules explain [^\n]+)\n(.+?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert example is not None

    reply = ask(*example[1].split())

    assert [line.rstrip() for line in reply.out.splitlines()] == example[2].splitlines()


def test_a_file_is_checked_as_a_whole_and_every_problem_told(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    shutil.copy(DEFAULT_RULES, file)
    good = ask("rules", "check", str(file), "--json")
    text = file.read_text("utf-8")
    file.write_text(
        text.replace("annual_cap_fen = 30_000_000", "annual_cap_fen = -1").replace('"STAY"', '"WEEK"'), "utf-8"
    )
    bad = ask("rules", "check", str(file))

    assert good.json == {"ok": True, "effective_from": ["2020-01-01"]}
    assert bad.code == ExitCode.CONFIGURATION
    assert "rule_sets[1].annual_cap_fen: a whole number" in bad.err
    assert "rule_sets[1].sites.HOSPITAL.inpatient.deductible_per: one of STAY, YEAR" in bad.err


def test_the_rules_of_a_day_are_shown_from_the_configured_file(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = DEFAULT_RULES.read_text("utf-8").replace("2020-01-01", "2027-01-01").replace("60_000", "70_000")
    later = later[later.index("[[rule_sets]]") :]
    file = tmp_path / "rules.toml"
    file.write_text(DEFAULT_RULES.read_text("utf-8") + later, "utf-8")
    monkeypatch.setenv("SHUALIAN_SETTLEMENT_LOCAL_RULES", str(file))

    shown = [ask("rules", "show", "--on", day, "--json").json for day in ("2026-12-31", "2027-01-01")]
    before = ask("rules", "show", "--on", "2019-12-31", "--json")

    assert [rules["sites"]["HOSPITAL"]["deductible_fen"] for rules in shown] == [60_000, 70_000]
    assert before.json["error"]["reason"] == "RULES_NOT_IN_FORCE"
    assert "HYPERTENSION (高血压)" in ask("rules", "show").out


def test_stays_diseases_and_prepayments_are_explained_too(ask: Ask) -> None:
    stay = ask("rules", "explain", "--total-fen", "1000000", "--stay", "--prepaid-fen", "400000", "--json").json
    sick = ask("rules", "explain", "--total-fen", "10000", "--chronic", "HYPERTENSION", "--site-kind", "pharmacy").out
    prepaid = ask("rules", "explain", "--total-fen", "5000", "--business-type", "01104", "--stay", "--chinese").out
    refused = ask("rules", "explain", "--total-fen", "5000", "--chronic", "HICCUPS", "--json")

    assert (stay["shares"]["pooled_fund_fen"], stay["shares"]["prepaid_fen"]) == (736_000, 264_000)
    assert stay["reckoning"][-1]["step"] == "PREPAID_BACK"
    assert "¥80.00" in sick
    assert "住院预缴金 50.00 元" in prepaid
    assert refused.json["error"]["reason"] == "BILL_INVALID"


def test_a_person_is_filed_and_registered_and_the_disease_is_in_no_audit_entry(ask: Ask, site: str) -> None:
    assert site
    person = ask(
        "person", "add", "--name", "苏晓", "--id-number", an_id_number(), "--region", "110000", "--no-pin", "--json"
    ).json["person_id"]  # fmt: skip

    filed = ask("person", "file-out-of-region", person, "--region", "310000", "--from", "2026-01-01", "--json")
    ended = ask(
        "person", "file-out-of-region", person, "--region", "310000", "--from", "2026-01-01", "--until", "2026-03-31"
    )  # fmt: skip
    registered = ask("person", "register-chronic", person, "--disease", "DIABETES", "--from", "2026-02-01")
    shown = ask("person", "benefits", person, "--json").json
    audit = ask("audit", "list", "--subject", person, "--json").out

    assert filed.json["until"] is None
    assert "2026-01-01 to 2026-03-31" in ended.out
    assert registered.code == ExitCode.OK
    assert shown["registrations"] == [
        {"what": "out of region", "name": "310000", "from": "2026-01-01", "until": "2026-03-31"},
        {"what": "chronic disease", "name": "DIABETES", "from": "2026-02-01", "until": None},
    ]
    assert "person_registered_chronic" in audit
    assert "DIABETES" not in audit
    assert "No year has begun." in ask("person", "benefits", person).out


def test_what_cannot_be_registered_is_refused(ask: Ask, site: str) -> None:
    assert site
    nobody = "01980000-0000-7000-8000-00000000dead"
    person = ask(
        "person", "add", "--name", "苏晓", "--id-number", an_id_number(), "--region", "110000", "--no-pin", "--json"
    ).json["person_id"]  # fmt: skip

    refused = [
        ask("person", *arguments, "--json").json["error"]["reason"]
        for arguments in (
            ("file-out-of-region", person, "--region", "310000", "--from", "2026-02-01", "--until", "2026-01-31"),
            ("file-out-of-region", nobody, "--region", "310000"),
            ("register-chronic", person, "--disease", "HICCUPS"),
            ("register-chronic", nobody, "--disease", "DIABETES"),
            ("benefits", nobody),
        )
    ]

    assert refused == ["PERIOD_INVALID", *["COMMAND_REFUSED"] * 4]
