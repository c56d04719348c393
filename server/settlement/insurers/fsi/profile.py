"""What may a province change? All of it is data: one TOML file over these defaults, checked as a whole.

The defaults are the national envelope as public integrators agree on it, and where they do not, an assumption; which
is which stands in docs/operations/insurer-fsi.md. `profiles/national.toml` spells all of them out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from server.settings import Between, ConfigError, read_settings
from server.settlement.insurers.fsi.lengths import Lengths
from server.settlement.insurers.fsi.refusals import RefusalRule

NATIONAL = Path(__file__).parent / "profiles" / "national.toml"

_USE_TYPE = re.compile(r"[0-9]{5}")
_S, _MIN, _H, _D = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class AmountForm(StrEnum):
    """How an amount is written in a request; both are read."""

    TEXT = "text"
    NUMBER = "number"


class BodySignature(StrEnum):
    """How the body is signed."""

    NONE = "none"
    SM3_WITH_SM2 = "SM3withSM2"


class SignatureForm(StrEnum):
    """The two ways to write the two numbers of a signature."""

    DER = "der"
    RAW = "raw"


class ByteText(StrEnum):
    """How bytes become text."""

    BASE64 = "base64"
    HEX = "hex"
    HEX_UPPER = "HEX"


class BodyEncryption(StrEnum):
    """How `input` and `output` are encrypted."""

    NONE = "none"
    SM4_ECB = "SM4-ECB"


class Sm4Key(StrEnum):
    """Where the key of SM4 comes from."""

    DERIVED = "derived"
    PLAIN = "plain"


class StampForm(StrEnum):
    """How the moment in a message id is written."""

    YEAR_4 = "yyyyMMddHHmmss"
    YEAR_2 = "yyMMddHHmmss"


class UploadForm(StrEnum):
    """How a file becomes JSON."""

    NUMBERS = "numbers"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class MsgidSettings:
    """The message's own id."""

    parts: tuple[str, ...] = ("institution", "stamp", "sequence")
    """Order of its parts: institution, stamp, sequence, each once."""
    separator: str = ""
    """What stands between them."""
    stamp: StampForm = StampForm.YEAR_4
    """How its moment is written, in China's time."""
    institution_length: Annotated[int, Between(1, 30)] = 12
    """Characters of the institution's code in it; another length of code is refused at start."""
    sequence_length: Annotated[int, Between(4, 10)] = 4
    """Digits of the number within a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeSettings:
    """What stands around `input`."""

    infver: str = "V1.0"
    """Version of the interface."""
    recer_sys_code: str = "YBXT"
    """System that is to receive it."""
    opter_type: Annotated[int, Between(1, 3)] = 2
    """Who operates: 1 staff, 2 a self-service terminal, 3 a mobile terminal."""
    amounts: AmountForm = AmountForm.TEXT
    """Whether amounts are sent as texts or as numbers; both are read."""
    evidence_prefix: str = "sha256:"
    """What stands before the digest of the face evidence in dev_safe_info."""
    echo: str = ""
    """Field of the answer that repeats the msgid; empty: the core does not repeat it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSettings:
    """Where each call goes, below the base address."""

    default: str = "/fsi/api"
    """Where a call goes that is not named below."""
    by_infno: tuple[str, ...] = ()
    """Calls with a path of their own, each written `1101=/fsi/api/fsiPsnInfoService/queryPsnInfo`."""

    def of(self, infno: str) -> str:
        """Return the path of a call."""
        return dict(entry.split("=", 1) for entry in self.by_infno).get(infno, self.default)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSettings:
    """Signature over the body, in `cainfo`."""

    body: BodySignature = BodySignature.NONE
    """Whether our messages are signed, and how."""
    signtype: str = "SM2"
    """What `signtype` says then."""
    form: SignatureForm = SignatureForm.DER
    """How a signature is written; both are read."""
    text: ByteText = ByteText.BASE64
    """How it becomes text; Base64 and hexadecimal are both read."""
    append_secret: bool = True
    """Whether `&key=` and the secret follow the sorted text."""
    answers: bool = False
    """Whether every answer must carry a signature of the core."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionSettings:
    """Encryption of the body."""

    body: BodyEncryption = BodyEncryption.NONE
    """Whether `input` is encrypted, and how; `output` is expected likewise."""
    key: Sm4Key = Sm4Key.DERIVED
    """Its key: derived from app_id and secret, or the first 16 bytes of the secret."""
    text: ByteText = ByteText.HEX_UPPER
    """How the bytes become text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """Sign-in (9001)."""

    lifetime: Annotated[timedelta, Between(1 * _MIN, 30 * _D)] = 20 * _H
    """Age at which a sign_no is replaced; below what the core grants."""
    again_codes: tuple[str, ...] = ("-105",)
    """Infcodes that say: sign in again."""
    again_texts: tuple[str, ...] = ("未签到", "签到已失效", "重新签到")
    """Texts within err_msg that say the same, for cores that answer -1 to everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """How an answer is read."""

    doubtful_codes: tuple[str, ...] = ("999",)
    """Infcodes that are neither yes nor no: a gateway's, for example."""
    none_codes: tuple[str, ...] = ()
    """Infcodes by which a query (5203) says that there is nothing; a core may also answer without a settlement."""
    check_refusals: bool = True
    """Whether a refused settlement is looked for (5203) before it counts as refused."""
    catastrophic_parts: tuple[str, ...] = ("hifmi_pay", "hifob_pay")
    """Parts of the fund that count as the catastrophic tier."""
    fund_parts: tuple[str, ...] = (
        "hifp_pay",
        "cvlserv_pay",
        "hifes_pay",
        "hifmi_pay",
        "hifob_pay",
        "maf_pay",
        "oth_pay",
    )
    """Parts that sum to fund_pay_sumamt; empty: they are not compared."""
    refusals: tuple[str, ...] = ()
    """What refusals mean to a cashier, the first that fits: `-4011=PERSON_SUSPENDED`, or with words that stand in
    err_msg `-1:已停保=PERSON_SUSPENDED`. The kinds are those of the error catalogue."""

    def code_of(self, *, infcode: str, err_msg: str) -> str:
        """Return by which code a refusal is told: the kind that the province gives it, else its infcode."""
        for rule in map(RefusalRule.from_text, self.refusals):
            if rule.fits(infcode=infcode, err_msg=err_msg):
                return rule.kind.value
        return infcode


@dataclass(frozen=True, slots=True, kw_only=True)
class OutpatientSettings:
    """Visits: 2201, 2206, 2207, 2208."""

    business_types: tuple[str, ...] = ("01101", "01201", "01202", "01203", "01204", "01301", "01302")
    """Use types that are settled this way."""
    med_type: str = "11"
    """Kind of treatment."""
    psn_setlway: str = "01"
    """Way of settlement."""
    clr_type: str = "11"
    """Kind of clearing."""
    registers: bool = True
    """Whether a visit is registered (2201) before; without, nothing can be asked about it later."""
    uses_account: bool = True
    """Whether the personal account pays (acct_used_flag)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PharmacySettings:
    """Purchases: 2101, 2102, 2103."""

    business_types: tuple[str, ...] = ("02121",)
    """Use types that are settled this way."""
    med_type: str = "41"
    """Kind of treatment."""
    psn_setlway: str = "01"
    """Way of settlement."""
    clr_type: str = "41"
    """Kind of clearing."""
    uses_account: bool = True
    """Whether the personal account pays (acct_used_flag)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReversalSettings:
    """2601, and what a core promises about it."""

    remembers: bool = True
    """Whether the core remembers a reversal of a message that it has not seen, and never books that one."""
    unknown_codes: tuple[str, ...] = ()
    """Infcodes that say: there is no such message. With `remembers` that is as good as done."""
    arrival_max: Annotated[timedelta, Between(1 * _S, 1 * _D)] = 10 * _MIN
    """Without `remembers`: how long after it was sent a message may still arrive; until then nobody knows."""
    look_after: bool = True
    """Whether the settlement is looked for (5203) after each reversal, and must be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementSettings:
    """3201, 3202, 9101, 9102."""

    setl_optins: str = ""
    """Office that settles; empty: the institution's region."""
    equal_codes: tuple[str, ...] = ("0",)
    """Values of stmt_rslt that say: the totals agree."""
    upload: UploadForm = UploadForm.NUMBERS
    """How a file stands in the upload: its bytes as a list of numbers, or Base64."""
    is_zipped: bool = True
    """Whether the uploaded file is a zip; the core's may be either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The dialect of one province."""

    name: str = "national"
    """What it is called, in logs."""
    msgid: MsgidSettings = field(default_factory=MsgidSettings)
    envelope: EnvelopeSettings = field(default_factory=EnvelopeSettings)
    lengths: Lengths = field(default_factory=Lengths)
    paths: PathSettings = field(default_factory=PathSettings)
    signature: SignatureSettings = field(default_factory=SignatureSettings)
    encryption: EncryptionSettings = field(default_factory=EncryptionSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
    answer: AnswerSettings = field(default_factory=AnswerSettings)
    outpatient: OutpatientSettings = field(default_factory=OutpatientSettings)
    pharmacy: PharmacySettings = field(default_factory=PharmacySettings)
    reversal: ReversalSettings = field(default_factory=ReversalSettings)
    statement: StatementSettings = field(default_factory=StatementSettings)


def load_profile(path: Path = NATIONAL) -> Profile:
    """Read a profile.

    Raises:
        ConfigError: lists every mistake.
    """
    profile = read_settings(Profile, path=path, environ={}, prefix="")
    mistakes = tuple(_contradictions(profile))
    if mistakes:
        raise ConfigError(mistakes=mistakes)
    return profile


def _contradictions(profile: Profile) -> Iterator[str]:
    yield from _msgid_mistakes(profile)
    yield from _path_mistakes(profile.paths)
    yield from _type_mistakes(profile)
    yield from _refusal_mistakes(profile.answer)
    for code in sorted(set(profile.answer.doubtful_codes) & set(profile.session.again_codes)):
        yield f'session.again_codes: "{code}" stands in answer.doubtful_codes too'


def _refusal_mistakes(answer: AnswerSettings) -> Iterator[str]:
    for entry in answer.refusals:
        try:
            rule = RefusalRule.from_text(entry)
        except ValueError:
            yield f'answer.refusals: "{entry}" is not written like -1:words=KIND, or there is no such kind'
        else:
            if rule.infcode in answer.doubtful_codes:
                yield f'answer.refusals: "{rule.infcode}" stands in answer.doubtful_codes, so it is no refusal'


def _msgid_mistakes(profile: Profile) -> Iterator[str]:
    msgid = profile.msgid
    if sorted(msgid.parts) != ["institution", "sequence", "stamp"]:
        yield "msgid.parts: institution, stamp and sequence, each once"
    length = msgid.institution_length + len(msgid.stamp) + msgid.sequence_length + 2 * len(msgid.separator)
    if length > profile.lengths.msgid:
        yield f"msgid: has {length} characters, lengths.msgid allows {profile.lengths.msgid}"


def _path_mistakes(paths: PathSettings) -> Iterator[str]:
    if not paths.default.startswith("/"):
        yield "paths.default: must begin with /"
    for entry in paths.by_infno:
        infno, equals, path = entry.partition("=")
        if not equals or not infno.isalnum() or not path.startswith("/"):
            yield f'paths.by_infno: "{entry}" is not written like 1101=/path'


def _type_mistakes(profile: Profile) -> Iterator[str]:
    outpatient, pharmacy = profile.outpatient.business_types, profile.pharmacy.business_types
    for name, types in (("outpatient", outpatient), ("pharmacy", pharmacy)):
        for code in types:
            if _USE_TYPE.fullmatch(code) is None:
                yield f'{name}.business_types: "{code}" is no five-digit use type'
    for code in sorted(set(outpatient) & set(pharmacy)):
        yield f'pharmacy.business_types: "{code}" stands in outpatient.business_types too'
