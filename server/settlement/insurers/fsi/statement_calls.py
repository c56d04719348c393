"""What is inside the calls of a reconciliation: 3201, 3202, 9101, 9102. Pure."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from server.settlement.insurers.fsi.amounts import yuan_from_fen
from server.settlement.insurers.fsi.canonical import Json, Number
from server.settlement.insurers.fsi.envelope import Answer, Call, Institution
from server.settlement.insurers.fsi.errors import AnswerGarbledError
from server.settlement.insurers.fsi.profile import AmountForm, Profile

TOTALS, DETAILS, UPLOAD, DOWNLOAD = "3201", "3202", "9101", "9102"
_NAME_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementSums:
    """What a number of settlements come to."""

    count: int = 0
    total_fen: int = 0
    fund_fen: int = 0
    account_fen: int = 0

    def __add__(self, other: "StatementSums") -> "StatementSums":
        return StatementSums(
            count=self.count + other.count,
            total_fen=self.total_fen + other.total_fen,
            fund_fen=self.fund_fen + other.fund_fen,
            account_fen=self.account_fen + other.account_fen,
        )

    @property
    def cash_fen(self) -> int:
        """What people paid themselves."""
        return self.total_fen - self.fund_fen - self.account_fen


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """Where the core has put the lines that differ."""

    file_qury_no: str
    filename: str


def totals(institution: Institution, day: date, sums: StatementSums, *, clr_type: str, profile: Profile) -> Call:
    """3201, for all kinds of insurance at once."""
    data: dict[str, Json] = {
        "insutype": "",
        "clr_type": clr_type,
        "setl_optins": profile.statement.setl_optins or institution.region,
        "stmt_begndate": day.isoformat(),
        "stmt_enddate": day.isoformat(),
        "medfee_sumamt": _amount(sums.total_fen, profile),
        "fund_pay_sumamt": _amount(sums.fund_fen, profile),
        "acct_pay": _amount(sums.account_fen, profile),
        "fixmedins_setl_cnt": sums.count,
        "refd_setl_flag": "0",
    }
    return Call(infno=TOTALS, institution=institution, input={"data": data})


def result_of_totals(answer: Answer) -> str:
    """Return stmt_rslt.

    Raises:
        AnswerGarbledError: there is none.
    """
    return _text(answer, "stmtinfo", "stmt_rslt")


def upload(institution: Institution, *, name: str, content: Json) -> Call:
    """9101."""
    inner: dict[str, Json] = {"in": content, "filename": name, "fixmedins_code": institution.code}
    return Call(infno=UPLOAD, institution=institution, input={"fsUploadIn": inner})


def file_number(answer: Answer) -> str:
    """Return under which number the uploaded file is kept; some cores put it into a node of its own.

    Raises:
        AnswerGarbledError: there is none.
    """
    inner = answer.output.get("fsUploadOut", answer.output)
    return _text(Answer(output={"file": inner}), "file", "file_qury_no")


def details(institution: Institution, day: date, sums: StatementSums, *, file_qury_no: str, profile: Profile) -> Call:
    """3202."""
    data: dict[str, Json] = {
        "setl_optins": profile.statement.setl_optins or institution.region,
        "file_qury_no": file_qury_no,
        "stmt_begndate": day.isoformat(),
        "stmt_enddate": day.isoformat(),
        "medfee_sumamt": _amount(sums.total_fen, profile),
        "fund_pay_sumamt": _amount(sums.fund_fen, profile),
        "cash_payamt": _amount(sums.cash_fen, profile),
        "fixmedins_setl_cnt": sums.count,
    }
    return Call(infno=DETAILS, institution=institution, input={"data": data})


def result_file(answer: Answer) -> ResultFile:
    """Return where the result is.

    Raises:
        AnswerGarbledError: it is not told.
    """
    return ResultFile(
        file_qury_no=_text(answer, "fileinfo", "file_qury_no"), filename=_text(answer, "fileinfo", "filename")
    )


def download(institution: Institution, file: ResultFile) -> Call:
    """9102."""
    inner: dict[str, Json] = {
        "file_qury_no": file.file_qury_no,
        "filename": file.filename,
        "fixmedins_code": institution.code,
    }
    return Call(infno=DOWNLOAD, institution=institution, input={"fsDownloadIn": inner})


def _amount(fen: int, profile: Profile) -> Json:
    yuan = yuan_from_fen(fen)
    return Number(yuan) if profile.envelope.amounts is AmountForm.NUMBER else yuan


def _text(answer: Answer, node: str, name: str) -> str:
    inner: Any = answer.output.get(node)
    value = inner.get(name) if isinstance(inner, dict) else None
    if value is None or not str(value) or len(str(value)) > _NAME_MAX:
        raise AnswerGarbledError(what=f"{node}.{name}")
    return str(value)
