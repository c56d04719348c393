"""The simulated core says whether an institution's books agree with its own."""

import base64
import io
import zipfile
from collections.abc import Sequence

import pytest

from server.core_simulator.errors import Infcode
from tests.support.institution import Answer, Institution, a_bill, named, reversal

DAY = {"stmt_begndate": "2026-11-22", "stmt_enddate": "2026-11-22"}


def totals(institution: Institution, *, medfee: str, fund: str, account: str, count: int, **more: str) -> str:
    """Return what 3201 says about our sums."""
    sums = {"medfee_sumamt": medfee, "fund_pay_sumamt": fund, "acct_pay": account, "fixmedins_setl_cnt": count}
    answer = institution.ask("3201", {"data": {**DAY, "setl_optins": "990100", **sums, **more}})
    return str(answer["output"]["stmtinfo"]["stmt_rslt"])


def upload(institution: Institution, content: object) -> Answer:
    """Send a file with 9101."""
    return institution.ask("9101", {"fsUploadIn": {"in": content, "filename": "ours.txt", "fixmedins_code": "H"}})


def differences(institution: Institution, lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """Upload our lines, ask for the details and return the columns of what differs."""
    content = "\n".join("\t".join(line) for line in lines)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ours.txt", content)
    sent = [byte - 256 if byte > 127 else byte for byte in packed.getvalue()]  # bytes as Java writes them
    number = upload(institution, sent)["output"]["file_qury_no"]
    found = institution.ask("3202", {"data": {**DAY, "file_qury_no": number}})["output"]["fileinfo"]
    asked = {
        "fsDownloadIn": {"file_qury_no": found["file_qury_no"], "filename": found["filename"], "fixmedins_code": "H"}
    }
    with zipfile.ZipFile(io.BytesIO(institution.ask_raw(institution.envelope("9102", asked)))) as archive:
        told = archive.read(archive.namelist()[0]).decode()
    return [line.split("\t") for line in told.splitlines()]


def settled(institution: Institution, msgid: str) -> list[str]:
    """Settle a bill and return the line an institution would write about it."""
    info = institution.ask("2207", a_bill(institution.visit()), msgid=msgid)["output"]["setlinfo"]
    amounts = [info[name] for name in ("medfee_sumamt", "fund_pay_sumamt", "acct_pay")]
    return [info["setl_id"], info["mdtrt_id"], info["psn_no"], *amounts, "0"]


def test_totals_agree_with_what_stands_settled(institution: Institution) -> None:
    first = settled(institution, "S1")
    settled(institution, "S2")
    cancelled = settled(institution, "S3")
    institution.ask("2208", named({"psn_no": cancelled[2], "mdtrt_id": cancelled[1]}, setl_id=cancelled[0]))
    institution.ask("2601", reversal({"psn_no": first[2]}, "S2"))

    ours = {"medfee": "326.80", "fund": "150.00", "account": "176.80"}
    assert totals(institution, **ours, count=1) == "0"
    assert totals(institution, **ours, count=1, clr_type="11", insutype="310") == "0"
    assert totals(institution, **ours, count=2) == "1"
    assert totals(institution, **{**ours, "fund": "150.01"}, count=1) == "1"
    assert totals(institution, **ours, count=1, clr_type="41") == "1"


def test_details_name_each_class_of_difference(institution: Institution) -> None:
    same, core_only, other_amount, other_state = (settled(institution, f"S{number}") for number in range(4))
    ours_only = ["S0", "M0", "9", "1.00", "0.50", "0.00", "0"]

    found = differences(
        institution,
        [same, [*other_amount[:3], "326.81", *other_amount[4:]], [*other_state[:6], "1"], ours_only],
    )

    assert {line[2]: (line[4], line[3]) for line in found} == {
        core_only[0]: ("101", "S1"),
        other_amount[0]: ("103", "S2"),
        other_state[0]: ("103", "S3"),
        "S0": ("102", ""),
    }
    assert next(line for line in found if line[4] == "101")[5:] == ["0", "中心多", "326.80", "150.00", "176.80"]


def test_books_that_agree_have_no_details(institution: Institution) -> None:
    assert differences(institution, [settled(institution, "S1")]) == []


def test_what_was_undone_on_both_sides_need_not_be_told(institution: Institution) -> None:
    line = settled(institution, "S1")
    institution.ask("2601", reversal({"psn_no": line[2]}, "S1"))

    assert differences(institution, [["S0", "M0", "9", "1.00", "0.50", "0.00", "1"]]) == []


@pytest.mark.parametrize("content", [[], [256], ["1"], "not base64!", 5, None])
def test_what_is_no_file_is_refused(institution: Institution, content: object) -> None:
    assert upload(institution, content)["infcode"] == Infcode.FIELD


def test_a_file_of_another_form_is_refused(institution: Institution) -> None:
    number = upload(institution, base64.b64encode(b"S1\tM1\n").decode())["output"]["file_qury_no"]

    assert institution.ask("3202", {"data": {**DAY, "file_qury_no": number}})["infcode"] == Infcode.FIELD


def test_a_file_nobody_uploaded_is_unknown(institution: Institution) -> None:
    asked = {"fsDownloadIn": {"file_qury_no": "F0", "filename": "x", "fixmedins_code": "H"}}

    assert institution.ask("9102", asked)["infcode"] == Infcode.FILE_UNKNOWN
