"""How does the simulated core say no? One infcode and one sentence for each way."""

from enum import IntEnum
from typing import Final


class Infcode(IntEnum):
    """`infcode` of an answer. The nation fixes 0 and -1; the others are this simulator's dialect."""

    GOOD = 0
    FAILED = -1
    """Anything that has no number of its own."""
    FIELD = -101
    """A field of the envelope or of the input is missing, too long, or contradicts another."""
    HEADERS = -102
    """The x-tif headers are missing, stale or not signed with the shared secret."""
    SIGNATURE = -103
    """`cainfo` is missing or does not fit."""
    CIPHER = -104
    """The input is not encrypted as agreed."""
    NOT_SIGNED_IN = -105
    """`sign_no` is unknown or over: sign in again (9001), then send the same msgid again."""
    CALL_UNKNOWN = -106
    MSGID_REUSED = -107
    """This msgid came with another body before."""
    PERSON_UNKNOWN = -201
    CERTIFICATE_KIND = -202
    """A person shows a credential (01) or a card (03), never a bare ID number (02)."""
    PERSON_SUSPENDED = -203
    VISIT_UNKNOWN = -204
    SETTLEMENT_UNKNOWN = -205
    SETTLEMENT_STATE = -206
    """Cancelled or reversed already."""
    REVERSED = -207
    """This msgid was reversed, perhaps before it arrived: it books nothing any more."""
    FILE_UNKNOWN = -208
    NOT_REVERSIBLE = -209
    """2601 undoes 2102, 2103, 2207 and 2208, and only with the number and the person they came with."""


SENTENCES: Final[dict[Infcode, str]] = {
    Infcode.FAILED: "交易失败",
    Infcode.FIELD: "报文字段不合规",
    Infcode.HEADERS: "请求头签名校验失败",
    Infcode.SIGNATURE: "报文数字签名校验失败",
    Infcode.CIPHER: "报文解密失败",
    Infcode.NOT_SIGNED_IN: "签到编号无效，请重新签到",
    Infcode.CALL_UNKNOWN: "交易编号不存在",
    Infcode.MSGID_REUSED: "发送方报文ID重复且内容不一致",
    Infcode.PERSON_UNKNOWN: "未查询到参保人信息",
    Infcode.CERTIFICATE_KIND: "不支持仅凭身份证号办理，请使用医保电子凭证或社会保障卡",
    Infcode.PERSON_SUSPENDED: "参保状态为暂停参保，不能享受待遇",
    Infcode.VISIT_UNKNOWN: "未查询到就诊信息或就诊已撤销",
    Infcode.SETTLEMENT_UNKNOWN: "未查询到结算信息",
    Infcode.SETTLEMENT_STATE: "结算已撤销或已冲正",
    Infcode.REVERSED: "该报文已冲正，不再受理",
    Infcode.FILE_UNKNOWN: "未查询到文件",
    Infcode.NOT_REVERSIBLE: "原交易不支持冲正或信息不符",
}

_OF_THE_ENVELOPE: Final = frozenset(
    {Infcode.FIELD, Infcode.HEADERS, Infcode.SIGNATURE, Infcode.CIPHER, Infcode.NOT_SIGNED_IN, Infcode.CALL_UNKNOWN,
     Infcode.MSGID_REUSED}
)  # fmt: skip
ERR_MSG_MAX: Final = 200  # the national envelope's length of err_msg


class RefusedError(Exception):
    """The core says no."""

    def __init__(self, infcode: int, err_msg: str = "", *, detail: str = "") -> None:
        """Take what the answer says.

        Args:
            infcode: number of the answer, never 0.
            err_msg: sentence of the answer; by default the number's own.
            detail: what stands in brackets behind the sentence: names of fields, nothing personal.
        """
        sentence = err_msg or SENTENCES.get(_known(infcode), SENTENCES[Infcode.FAILED])
        self.infcode = int(infcode)
        self.err_msg = (f"{sentence}[{detail}]" if detail else sentence)[:ERR_MSG_MAX]
        super().__init__(self.err_msg)

    @property
    def is_final(self) -> bool:
        """Whether the same msgid gets this answer for ever; what is wrong with the envelope can be put right."""
        return self.infcode not in _OF_THE_ENVELOPE


def _known(infcode: int) -> Infcode:
    try:
        return Infcode(infcode)
    except ValueError:
        return Infcode.FAILED
