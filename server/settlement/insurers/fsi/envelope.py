"""What stands around each call: the request as it is sent, and whether an answer is one to it."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from server.settlement.insurers.fsi.canonical import Json, json_from, json_text
from server.settlement.insurers.fsi.errors import (
    AnswerForeignError,
    AnswerGarbledError,
    CoreDoubtfulError,
    CoreRefusedError,
    FieldUnfitError,
)
from server.settlement.insurers.fsi.profile import BodyEncryption, BodySignature, Profile
from server.settlement.insurers.fsi.signing import (
    BodyCipher,
    Secrets,
    check_sm2_signature,
    signed_text,
    sm2_signature,
)
from server.settlement.quote import CHINA

GOOD: Final = "0"
ERR_MSG_MAX: Final = 1_000
"""Characters of err_msg that are kept; the national field has 200."""
_INFCODE_MAX: Final = 16
_ANSWERS_REMEMBERED: Final = 4_096
_FILE_CALLS: Final = frozenset({"9101"})  # their input is a file, bounded by whoever makes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Institution:
    """In whose name we speak."""

    code: str
    name: str
    region: str
    """mdtrtarea_admvs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, before it has an id."""

    infno: str
    institution: Institution
    input: Mapping[str, Json] = field(repr=False)
    """The call's own part; holds tokens and numbers of people."""
    insuplc_admdvs: str = ""
    """Region of the insured person, once it is known."""
    device: str = ""
    """Our terminal id."""
    evidence_sha256: str = ""
    """Digest of what was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good answer."""

    output: Mapping[str, Any] = field(repr=False)


class Envelope:
    """Writes and reads messages as one profile wants them."""

    def __init__(self, profile: Profile, secrets: Secrets, *, opter: str, opter_name: str) -> None:
        """Take what every message says.

        Args:
            profile: the province's dialect.
            secrets: what signs and encrypts.
            opter: the operator's code, who is us.
            opter_name: the operator's name; nobody's.
        """
        self._profile: Final = profile
        self._secrets: Final = secrets
        self._opter: Final = opter
        self._opter_name: Final = opter_name
        self._seen: Final[OrderedDict[str, str]] = OrderedDict()
        self._cipher: Final = (
            None if profile.encryption.body is BodyEncryption.NONE else BodyCipher(secrets, profile.encryption)
        )

    def request(self, call: Call, *, msgid: str, sign_no: str, now: datetime) -> bytes:
        """Return the body of a request.

        Raises:
            FieldUnfitError: a field is longer than the profile allows; nothing may be sent.
        """
        settings = self._profile.envelope
        message: dict[str, Json] = {
            "infno": call.infno,
            "msgid": msgid,
            "mdtrtarea_admvs": call.institution.region,
            "insuplc_admdvs": call.insuplc_admdvs,
            "recer_sys_code": settings.recer_sys_code,
            "dev_no": call.device,
            "dev_safe_info": f"{settings.evidence_prefix}{call.evidence_sha256}" if call.evidence_sha256 else "",
            "cainfo": "",
            "signtype": "",
            "infver": settings.infver,
            "opter_type": str(settings.opter_type),
            "opter": self._opter,
            "opter_name": self._opter_name,
            "inf_time": now.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S"),
            "fixmedins_code": call.institution.code,
            "fixmedins_name": call.institution.name,
            "sign_no": sign_no,
            "input": call.input,
        }
        self._check_length("input", json_text(call.input), is_file=call.infno in _FILE_CALLS)
        if self._cipher is not None:
            message |= {
                "app_id": self._secrets.app_id,
                "enc_type": "SM4",
                "input": self._cipher.encrypt(json_text(call.input)),
            }
        self._sign(message)
        for name, value in message.items():
            if isinstance(value, str) and name != "input":
                self._check_length(name, value)
        return json_text(message).encode()

    def answer(self, body: bytes, *, msgid: str) -> Answer:
        """Return what the core answered.

        Raises:
            CoreRefusedError: it said no.
            CoreDoubtfulError: it said neither.
            AnswerGarbledError: this is no answer, or none to this message, or not signed as it must be.
        """
        message = _message_from(body)
        self._check_signature(message)
        self._check_echo(message, msgid)
        infcode, said = _infcode_from(message), _said(message)
        if infcode in self._profile.answer.doubtful_codes:
            raise CoreDoubtfulError(infcode=infcode, err_msg=said)
        refmsgid = message.get("inf_refmsgid")
        if not isinstance(refmsgid, str) or not refmsgid or len(refmsgid) > self._profile.lengths.msgid:
            raise AnswerGarbledError(what="no inf_refmsgid")
        self._check_fresh(refmsgid, msgid)
        if infcode != GOOD:
            raise CoreRefusedError(infcode=infcode, err_msg=said)
        return Answer(output=self._output_from(message))

    def _sign(self, message: dict[str, Json]) -> None:
        settings = self._profile.signature
        if settings.body is BodySignature.NONE:
            return
        if self._secrets.private_key is None:
            raise FieldUnfitError(field="cainfo")
        message["signtype"] = settings.signtype
        text = signed_text(_plain(message), secret=self._signing_secret)
        message["cainfo"] = sm2_signature(text, self._secrets.private_key, settings)

    @property
    def _signing_secret(self) -> str:
        return self._secrets.secret if self._profile.signature.append_secret else ""

    def _check_length(self, name: str, value: str, *, is_file: bool = False) -> None:
        if not is_file and len(value) > getattr(self._profile.lengths, name):
            raise FieldUnfitError(field=name)

    def _check_signature(self, message: Mapping[str, Any]) -> None:
        if not self._profile.signature.answers:
            return
        if self._secrets.core_key is None:
            raise AnswerGarbledError(what="no key of the core's")
        text = signed_text(message, secret=self._signing_secret)
        check_sm2_signature(text, message.get("cainfo"), self._secrets.core_key)

    def _check_echo(self, message: Mapping[str, Any], msgid: str) -> None:
        """Refuse an answer that names another message than ours; where the profile says it names one, it must."""
        name = self._profile.envelope.echo or "msgid"
        repeated = message.get(name)
        if repeated is None and not self._profile.envelope.echo:
            return
        if repeated != msgid:
            raise AnswerForeignError(what=name)

    def _check_fresh(self, refmsgid: str, msgid: str) -> None:
        """Refuse an answer that was given to another message before: the second of two that a core sent to that one."""
        if self._seen.setdefault(refmsgid, msgid) != msgid:
            raise AnswerForeignError(what="inf_refmsgid")
        if len(self._seen) > _ANSWERS_REMEMBERED:
            self._seen.popitem(last=False)

    def _output_from(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        output = message.get("output")
        if self._cipher is not None and isinstance(output, str) and output:
            output = json_from(self._cipher.decrypt(output))
        if output is None or output == "":
            return {}
        if not isinstance(output, dict):
            raise AnswerGarbledError(what="output")
        return output


def _plain(message: Mapping[str, Json]) -> Mapping[str, Any]:
    """Return a message as its reader will see it, with the nested part as sorted text already."""
    return {
        name: value if isinstance(value, str) or value is None else json_text(value, sort=True)
        for name, value in message.items()
    }


def _message_from(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise AnswerGarbledError(what="no UTF-8") from error
    return json_from(text)


def _infcode_from(message: Mapping[str, Any]) -> str:
    """Return the infcode as text; a gateway may write `code` in its place."""
    value = message.get("infcode", message.get("code"))
    is_readable = isinstance(value, (str, int)) and not isinstance(value, bool)
    code = str(value).strip() if is_readable else ""
    if not code or len(code) > _INFCODE_MAX or not code.replace("-", "").replace("_", "").isalnum():
        raise AnswerGarbledError(what="no infcode")
    return code


def _said(message: Mapping[str, Any]) -> str:
    """Return what it says beside its infcode: err_msg, or a gateway's msg."""
    said = message.get("err_msg") or message.get("msg") or ""
    return str(said)[:ERR_MSG_MAX]
