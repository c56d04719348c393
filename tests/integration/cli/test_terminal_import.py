"""Terminals out of a CSV file as people make them: marks, quotes, wrong classes, repeated lines, unknown sites."""

import csv
from pathlib import Path

import pytest

from server.commands.terminal_csv import COLUMNS
from tests.integration.cli.conftest import Ask

HEADER = ",".join(COLUMNS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "terminals.csv"


def line(serial_number: str, site: str = "Demo clinic", terminal_class: str = "III") -> str:
    return f'{serial_number},{site},"Demo works, Ltd.",K1,{terminal_class},C-1,R-{serial_number}'


@pytest.mark.usefixtures("site")
def test_a_file_from_a_spreadsheet_is_taken_line_by_line(ask: Ask, file: Path, tmp_path: Path) -> None:
    lines = [
        HEADER,
        line("SN-1"),
        line("SN-2", terminal_class="IV"),
        "",
        line("SN-3", site="nowhere"),
        line("SN-1"),
        line("SN 5"),
        'SN-6,Demo clinic,"Works ""North""\nHall 2",K1,2,C-1,R-6',
        line("SN-7", terminal_class=""),
        line("SN-8", terminal_class="iii"),
    ]
    file.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")
    report = tmp_path / "bad.csv"

    reply = ask("terminal", "import", str(file), "--report", str(report), "--json")

    bad = [(found["line"], found["column"], found["reason"]) for found in reply.json["bad_lines"]]
    assert reply.code == 1
    assert (reply.json["registered"], reply.json["refused"]) == (2, 6)
    assert bad == [
        (3, "class", "CLASS_UNKNOWN"),
        (5, "site", "SITE_UNKNOWN"),
        (6, "serial_number", "SERIAL_NUMBER_REPEATED"),
        (7, "serial_number", "FIELD_INVALID"),
        (8, "manufacturer", "FIELD_INVALID"),
        (10, "class", "FIELD_MISSING"),
    ]
    with report.open(encoding="utf-8-sig", newline="") as written:
        rows = list(csv.DictReader(written))
    assert [int(row["line"]) for row in rows] == [found[0] for found in bad]
    assert all(row["next"] for row in rows)
    listed = ask("terminal", "list", "--json").json["terminals"]
    assert [terminal["serial_number"] for terminal in listed] == ["SN-1", "SN-8"]
    assert listed[0]["manufacturer"] == "Demo works, Ltd."


def test_five_thousand_lines_are_taken_and_taken_again(ask: Ask, site: str, file: Path) -> None:
    file.write_text("\n".join([HEADER, *(line(f"SN-{number}", site=site) for number in range(5_000))]))

    first = ask("terminal", "import", str(file), "--json")
    again = ask("terminal", "import", str(file), "--json")

    assert (first.code, first.json["registered"]) == (0, 5_000)
    assert (again.code, again.json["registered"], again.json["unchanged"]) == (0, 0, 5_000)


@pytest.mark.usefixtures("site")
def test_a_dry_run_checks_everything_and_registers_nothing(ask: Ask, file: Path) -> None:
    file.write_text("\n".join([HEADER, line("SN-1"), line("SN 2")]))

    reply = ask("terminal", "import", str(file), "--dry-run", "--json")

    assert (reply.json["registered"], reply.json["refused"], reply.json["dry_run"]) == (1, 1, True)
    assert ask("terminal", "list", "--json").json["terminals"] == []


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("encoding", "delimiter"), [("gb18030", ","), ("utf-8", ";"), ("utf-8-sig", "\t")])
def test_other_spreadsheets_write_other_encodings_and_separators(
    ask: Ask, file: Path, encoding: str, delimiter: str
) -> None:
    assert ask("site", "add", "--name", "柳桥医院", "--region", "330100", "--kind", "hospital").code == 0
    fields = ("SN-1", "柳桥医院", "示例厂", "K1", "Ⅲ", "C-1", "R-1")
    file.write_bytes("\n".join(delimiter.join(row) for row in (COLUMNS, fields)).encode(encoding))

    reply = ask("terminal", "import", str(file), "--json")

    assert (reply.code, reply.json["registered"]) == (0, 1)
    assert ask("terminal", "show", "SN-1", "--json").json["manufacturer"] == "示例厂"


@pytest.mark.usefixtures("site")
def test_a_file_without_the_columns_is_refused_as_a_whole(ask: Ask, file: Path) -> None:
    file.write_text("serial_number,model\nSN-1,K1\n")

    reply = ask("terminal", "import", str(file), "--json")

    assert reply.code == 2
    assert "manufacturer" in reply.json["error"]["message"]


@pytest.mark.usefixtures("site")
def test_a_quotation_mark_that_is_never_closed_is_found_before_anything_is_sent(ask: Ask, file: Path) -> None:
    file.write_text("\n".join([HEADER, line("SN-1"), 'SN-2,Demo clinic,"Demo works,K1,III,C-1,R-2', line("SN-3")]))

    reply = ask("terminal", "import", str(file), "--json")

    assert reply.code == 1
    assert "line 3" in reply.json["error"]["message"]
    assert ask("terminal", "list", "--json").json["terminals"] == []


@pytest.mark.usefixtures("site")
def test_a_site_name_that_two_sites_have_is_not_guessed(ask: Ask, file: Path) -> None:
    ask("site", "add", "--name", "Demo clinic", "--region", "330100", "--kind", "clinic")
    file.write_text("\n".join([HEADER, line("SN-1")]))

    reply = ask("terminal", "import", str(file), "--json")

    assert [found["reason"] for found in reply.json["bad_lines"]] == ["SITE_AMBIGUOUS"]


def test_a_terminal_that_was_revoked_is_not_brought_back_by_last_years_list(ask: Ask, site: str, file: Path) -> None:
    file.write_text("\n".join([HEADER, line("SN-1", site=site)]))
    ask("terminal", "import", str(file))
    ask("terminal", "revoke", "SN-1", "--reason", "stolen")

    reply = ask("terminal", "import", str(file))

    assert reply.code == 1
    assert "Line 2" in reply.out
    assert "shualian terminal register" in reply.out


@pytest.mark.usefixtures("site")
def test_a_watch_prints_a_json_line_a_change_and_ends_in_time(ask: Ask, file: Path) -> None:
    file.write_text("\n".join([HEADER, line("SN-1"), line("SN-2")]))
    ask("terminal", "import", str(file))

    reply = ask("terminal", "watch", "--for", "2", "--json")
    told = [row for row in reply.out.splitlines() if row]

    assert reply.code == 0
    assert len(told) == 3
    assert '"caught_up"' in told[-1]
