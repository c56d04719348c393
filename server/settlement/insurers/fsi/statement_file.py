"""What is in the files of a reconciliation? Lines up, lines down, zipped or not. Pure."""

import io
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from server.settlement.insurers.fsi.amounts import fen_from_yuan, yuan_from_fen
from server.settlement.insurers.fsi.errors import AmountUnreadableError, AnswerGarbledError

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of an unpacked file that are read; a small zip may hold a huge one."""
_COLUMNS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class OurLine:
    """One settlement as we tell it."""

    setl_id: str
    mdtrt_id: str
    psn_no: str = field(repr=False)
    total_fen: int
    fund_fen: int
    account_fen: int

    @property
    def text(self) -> str:
        """As it stands in the file; the last column says that it is not undone."""
        amounts = (yuan_from_fen(self.total_fen), yuan_from_fen(self.fund_fen), yuan_from_fen(self.account_fen))
        return "\t".join((self.setl_id, self.mdtrt_id, self.psn_no, *amounts, "0"))


@dataclass(frozen=True, slots=True, kw_only=True)
class TheirLine:
    """One difference as the core tells it."""

    mdtrt_id: str
    setl_id: str
    msgid: str
    result: str
    is_undone: bool
    total_fen: int
    fund_fen: int
    account_fen: int


def packed(lines: Iterable[OurLine], *, name: str, is_zipped: bool) -> bytes:
    """Return the file to upload."""
    content = "".join(f"{line.text}\n" for line in lines).encode()
    if not is_zipped:
        return content
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def lines_from(content: bytes) -> list[TheirLine]:
    """Read a downloaded file, zipped or plain.

    Raises:
        AnswerGarbledError: it is no such file.
    """
    try:
        text = (_unpacked(content) if content[:2] == b"PK" else content).decode()
        return [_line_from(line) for line in text.splitlines() if line.strip()]
    except (UnicodeDecodeError, AmountUnreadableError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise AnswerGarbledError(what="statement file") from error


def _unpacked(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if len(entries) != 1 or entries[0].flag_bits & 1:  # a bit for encryption
            raise AnswerGarbledError(what="statement file")
        with archive.open(entries[0]) as file:
            unpacked = file.read(FILE_BYTES_MAX + 1)
    if len(unpacked) > FILE_BYTES_MAX:
        raise AnswerGarbledError(what="statement file")
    return unpacked


def _line_from(line: str) -> TheirLine:
    cells = line.rstrip("\r\n").split("\t")
    if len(cells) != _COLUMNS:
        raise AnswerGarbledError(what="statement file")
    _psn_no, mdtrt_id, setl_id, msgid, result, refunded, _memo, total, fund, account = cells
    return TheirLine(
        mdtrt_id=mdtrt_id,
        setl_id=setl_id,
        msgid=msgid,
        result=result,
        is_undone=refunded == "1",
        total_fen=fen_from_yuan(total),
        fund_fen=fen_from_yuan(fund),
        account_fen=fen_from_yuan(account),
    )
