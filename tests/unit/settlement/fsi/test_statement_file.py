"""Files of a reconciliation: what goes up comes back the same, and a bad file is no statement."""

import io
import zipfile

import pytest

from server.settlement.insurers.fsi.errors import AnswerGarbledError
from server.settlement.insurers.fsi.statement_file import FILE_BYTES_MAX, OurLine, lines_from, packed

OURS = OurLine(setl_id="S1", mdtrt_id="M1", psn_no="P1", total_fen=8_320, fund_fen=4_110, account_fen=4_000)
THEIRS = "P1\tM1\tS1\tH1\t103\t0\t数据不一致\t83.20\t41.10\t40.00\n"


def zipped(*contents: bytes) -> bytes:
    """Return a zip with these entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.txt", content)
    return file.getvalue()


def test_our_lines_go_up_plain_or_zipped() -> None:
    plain = packed([OURS, OURS], name="a.txt", is_zipped=False)
    with zipfile.ZipFile(io.BytesIO(packed([OURS, OURS], name="a.txt", is_zipped=True))) as archive:
        unpacked = archive.read("a.txt")

    assert plain == unpacked == b"S1\tM1\tP1\t83.20\t41.10\t40.00\t0\n" * 2


def test_their_lines_come_back_plain_or_zipped() -> None:
    for content in (THEIRS.encode(), zipped(THEIRS.encode())):
        (line,) = lines_from(content)
        assert (line.setl_id, line.msgid, line.result, line.total_fen) == ("S1", "H1", "103", 8_320)
    assert lines_from(b"") == lines_from(zipped(b"\n")) == []


@pytest.mark.parametrize(
    "content",
    [
        b"one\ttwo\n",
        THEIRS.replace("83.20", "83.200").encode(),
        b"\xff\xfe\xff",
        b"PK\x03\x04 broken",
        zipped(),
        zipped(b"", b""),
        zipped(b"x")[:-30],
    ],
    # Named: a ZIP has the time in it, and two workers must call a test alike.
    ids=["two fields", "three decimals", "no text", "no ZIP", "nothing in it", "two files", "cut off"],
)
def test_what_is_no_statement_is_refused(content: bytes) -> None:
    with pytest.raises(AnswerGarbledError):
        lines_from(content)


def test_i11_a_zip_that_unpacks_to_a_flood_is_refused() -> None:
    with pytest.raises(AnswerGarbledError):
        lines_from(zipped(b"\0" * (FILE_BYTES_MAX + 1)))


def test_lines_do_not_show_whose_they_are() -> None:
    assert "P1" not in repr(OURS)
