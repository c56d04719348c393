"""Do the institution's books agree with the core's? 3201 totals, 3202 details, and their files by 9101 and 9102."""

import base64
import binascii
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from server.core_simulator.amounts import fen, yuan
from server.core_simulator.books import Row
from server.core_simulator.desk import Desk
from server.core_simulator.envelope import Message, text
from server.core_simulator.errors import Infcode, RefusedError
from server.core_simulator.settlements import State
from server.core_simulator.visits import Output

FILE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Bound on a file, packed and unpacked."""
COLUMNS: Final = ("setl_id", "mdtrt_id", "psn_no", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "refd_setl_flag")
"""A line of what an institution uploads, separated by tabs."""
KEPT: Final = timedelta(days=7)
"""How long a result is said to be there (`dld_endtime`)."""
CORE_HAS_MORE: Final = "101"
INSTITUTION_HAS_MORE: Final = "102"
DIFFERENT: Final = "103"
_MEMOS: Final = {CORE_HAS_MORE: "中心多", INSTITUTION_HAS_MORE: "医药机构多", DIFFERENT: "数据不一致"}
_ZIP_MAGIC: Final = b"PK\x03\x04"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One settlement as one side has it, in fen."""

    setl_id: str
    mdtrt_id: str
    psn_no: str
    msgid: str
    medfee_fen: int
    fund_fen: int
    account_fen: int
    is_undone: bool

    @property
    def said(self) -> tuple[int, int, int, bool]:
        """What both sides must agree on."""
        return (self.medfee_fen, self.fund_fen, self.account_fen, self.is_undone)


def totals(desk: Desk, message: Message) -> Output:
    """3201: compare sums and count with what stands settled."""
    fields = message.part()
    begin, end = _days(fields)
    wanted = {name: text(fields, name, length=6, is_required=False) for name in ("insutype", "clr_type")}
    row = desk.books.one(
        "SELECT coalesce(sum(medfee_fen), 0) AS medfee, coalesce(sum(fund_fen), 0) AS fund,"
        " coalesce(sum(account_fen), 0) AS account, count(*) AS count FROM settlements"
        " WHERE institution = ? AND settled_on BETWEEN ? AND ? AND state = 'SETTLED'"
        " AND ? IN ('', insutype) AND ? IN ('', clr_type)",
        message.institution,
        begin.isoformat(),
        end.isoformat(),
        wanted["insutype"],
        wanted["clr_type"],
    )
    ours = tuple(row) if row is not None else (0, 0, 0, 0)
    theirs = (
        fen(fields.get("medfee_sumamt"), name="medfee_sumamt"),
        fen(fields.get("fund_pay_sumamt"), name="fund_pay_sumamt"),
        fen(fields.get("acct_pay"), name="acct_pay"),
        _count(fields),
    )
    said = f"医疗费总额{yuan(ours[0])} 基金{yuan(ours[1])} 账户{yuan(ours[2])} 笔数{ours[3]}"
    is_equal = ours == theirs
    return {
        "stmtinfo": {
            "setl_optins": text(fields, "setl_optins", length=6, is_required=False) or message.region,
            "stmt_rslt": "0" if is_equal else "1",
            "stmt_rslt_dscr": "平账" if is_equal else f"不平: 中心 {said}",
        }
    }


def upload(desk: Desk, message: Message) -> Output:
    """9101: take a file."""
    fields = message.part("fsUploadIn")
    filename = text(fields, "filename", length=200)
    number = _store(desk, message.institution, filename, _content(fields.get("in")))
    return {"file_qury_no": number, "filename": filename, "fixmedins_code": message.institution}


def download(desk: Desk, message: Message) -> bytes:
    """9102: give a file out, as it is."""
    fields = message.part("fsDownloadIn")
    return _file(desk, message, text(fields, "file_qury_no", length=30))


def details(desk: Desk, message: Message) -> Output:
    """3202: compare an uploaded file line by line; the answer names the file of what differs."""
    fields = message.part()
    begin, end = _days(fields)
    theirs = dict(_lines(_file(desk, message, text(fields, "file_qury_no", length=30))))
    rows = desk.books.all(
        "SELECT * FROM settlements WHERE institution = ? AND settled_on BETWEEN ? AND ? ORDER BY number",
        message.institution,
        begin.isoformat(),
        end.isoformat(),
    )
    ours = {row["setl_id"]: _line(row) for row in rows}
    found = "".join(_told(*difference) for difference in _differences(ours, theirs))
    filename = f"stmt_{message.msgid}.txt"
    number = _store(desk, message.institution, f"{filename}.zip", _packed(filename, found.encode()))
    return {
        "fileinfo": {
            "file_qury_no": number,
            "filename": f"{filename}.zip",
            "dld_endtime": f"{desk.here() + KEPT:%Y-%m-%d %H:%M:%S}",
        }
    }


def _differences(ours: Mapping[str, Line], theirs: Mapping[str, Line]) -> Iterator[tuple[str, Line]]:
    for setl_id, line in ours.items():
        told = theirs.get(setl_id)
        if told is None and not line.is_undone:  # what was undone need not be told
            yield CORE_HAS_MORE, line
        elif told is not None and told.said != line.said:
            yield DIFFERENT, line
    for setl_id, line in theirs.items():
        if setl_id not in ours and not line.is_undone:
            yield INSTITUTION_HAS_MORE, line


def _told(result: str, line: Line) -> str:
    columns = (
        line.psn_no, line.mdtrt_id, line.setl_id, line.msgid, result, "1" if line.is_undone else "0", _MEMOS[result],
        yuan(line.medfee_fen), yuan(line.fund_fen), yuan(line.account_fen),
    )  # fmt: skip
    return "\t".join(columns) + "\n"


def _line(row: Row) -> Line:
    return Line(
        setl_id=row["setl_id"],
        mdtrt_id=row["mdtrt_id"],
        psn_no=row["psn_no"],
        msgid=row["msgid"],
        medfee_fen=row["medfee_fen"],
        fund_fen=row["fund_fen"],
        account_fen=row["account_fen"],
        is_undone=row["state"] != State.SETTLED,
    )


def _lines(content: bytes) -> Iterator[tuple[str, Line]]:
    """Read an uploaded file.

    Raises:
        RefusedError: a line is not as agreed.
    """
    try:
        written = _unpacked(content).decode()
    except (UnicodeDecodeError, zipfile.BadZipFile) as error:
        raise RefusedError(Infcode.FIELD, detail="in") from error
    for number, line in enumerate(written.splitlines(), 1):
        columns = line.split("\t")
        if len(columns) != len(COLUMNS):
            raise RefusedError(Infcode.FIELD, detail=f"in:{number}")
        setl_id, mdtrt_id, psn_no, medfee, fund, account, flag = columns
        yield (
            setl_id,
            Line(
                setl_id=setl_id,
                mdtrt_id=mdtrt_id,
                psn_no=psn_no,
                msgid="",
                medfee_fen=fen(medfee, name=f"in:{number}"),
                fund_fen=fen(fund, name=f"in:{number}"),
                account_fen=fen(account, name=f"in:{number}"),
                is_undone=flag == "1",
            ),
        )


def _content(value: object) -> bytes:
    """Return the bytes of `in`: numbers (0..255, or -128..127 as Java writes them) or base64."""
    try:
        match value:
            case str():
                content = base64.b64decode(value, validate=True)
            case list():
                content = bytes(number % 256 for number in value if _is_byte(number))
                if len(content) != len(value):
                    raise RefusedError(Infcode.FIELD, detail="in")
            case _:
                raise RefusedError(Infcode.FIELD, detail="in")
    except binascii.Error as error:
        raise RefusedError(Infcode.FIELD, detail="in") from error
    if not content or len(content) > FILE_BYTES_MAX:
        raise RefusedError(Infcode.FIELD, detail="in")
    return content


def _is_byte(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and -128 <= number <= 255  # noqa: PLR2004 - a byte


def _packed(filename: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(filename, content)
    return out.getvalue()


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(_ZIP_MAGIC):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) != 1 or entries[0].file_size > FILE_BYTES_MAX:
            raise RefusedError(Infcode.FIELD, detail="in")
        return archive.read(entries[0])


def _store(desk: Desk, institution: str, filename: str, content: bytes) -> str:
    number = f"F{desk.books.next_number('files'):015d}"
    desk.books.insert(
        "files",
        file_qury_no=number,
        institution=institution,
        filename=filename,
        content=content,
        stored_at=desk.now().isoformat(),
    )
    return number


def _file(desk: Desk, message: Message, number: str) -> bytes:
    row = desk.books.one(
        "SELECT content FROM files WHERE file_qury_no = ? AND institution = ?", number, message.institution
    )
    if row is None:
        raise RefusedError(Infcode.FILE_UNKNOWN)
    return bytes(row["content"])


def _days(fields: Mapping[str, Any]) -> tuple[date, date]:
    begin, end = (_day(fields, name) for name in ("stmt_begndate", "stmt_enddate"))
    if begin > end:
        raise RefusedError(Infcode.FIELD, detail="stmt_enddate")
    return begin, end


def _day(fields: Mapping[str, Any], name: str) -> date:
    try:
        return date.fromisoformat(text(fields, name, length=19)[:10])
    except ValueError as error:
        raise RefusedError(Infcode.FIELD, detail=name) from error


def _count(fields: Mapping[str, Any]) -> int:
    value = fields.get("fixmedins_setl_cnt")
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdigit():
        raise RefusedError(Infcode.FIELD, detail="fixmedins_setl_cnt")
    return int(value)
