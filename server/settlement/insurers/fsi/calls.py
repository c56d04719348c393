"""What is inside each call: inputs as the core wants them, and what is read out of its answers. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from server.settlement.insurers import Claim, Entitlement, EntitlementKind
from server.settlement.insurers.fsi.amounts import fen_from_yuan, yuan_from_fen
from server.settlement.insurers.fsi.canonical import Json, Number
from server.settlement.insurers.fsi.envelope import Answer, Call, Institution
from server.settlement.insurers.fsi.errors import AmountUnreadableError, AnswerGarbledError
from server.settlement.insurers.fsi.kinds import Kind
from server.settlement.insurers.fsi.profile import AmountForm
from server.settlement.insurers.fsi.records import Visit
from server.settlement.quote import CHINA

SIGN_IN, SIGN_OUT, PERSON, REGISTER, UNREGISTER = "9001", "9002", "1101", "2201", "2202"
REVERSE, QUERY = "2601", "5203"

_CERTIFICATES: Final = {EntitlementKind.CREDENTIAL: "01", EntitlementKind.CARD: "03"}  # never 02: an ID number
_TIME: Final = "%Y-%m-%d %H:%M:%S"
_ACTIVE: Final = "1"
_TEXT_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class InsuredAs:
    """Whom the core takes a person for."""

    psn_no: str = field(repr=False)
    insuplc_admdvs: str
    insutype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The part of `setlinfo` that we look at, in fen."""

    psn_no: str = field(repr=False)
    mdtrt_id: str
    setl_id: str
    medins_setl_id: str
    """Id of the message that was booked; empty where the core does not tell."""
    is_undone: bool
    booked_at: datetime | None
    """By the core's clock; None where it is not told, or not as it should be."""
    total_fen: int
    fund_fen: int
    person_fen: int
    account_fen: int
    mutual_aid_fen: int
    cash_fen: int
    hospital_fen: int
    balance_fen: int
    fund_parts: Mapping[str, int]
    """Those that were told."""


def sign_in(institution: Institution, *, opter: str) -> Call:
    """9001."""
    inner: Json = {"opter_no": opter, "mac": "00:00:00:00:00:00", "ip": "127.0.0.1"}
    return Call(infno=SIGN_IN, institution=institution, input={"signIn": inner})


def sign_no_from(answer: Answer) -> str:
    """Return the number of the session.

    Raises:
        AnswerGarbledError: there is none.
    """
    return _text(_node(answer.output, "signinoutb"), "sign_no", is_needed=True)


def sign_out(institution: Institution, *, sign_no: str, opter: str) -> Call:
    """9002."""
    inner: Json = {"sign_no": sign_no, "opter_no": opter}
    return Call(infno=SIGN_OUT, institution=institution, input={"signOut": inner})


def person(institution: Institution, claim: Claim, shown: Entitlement, *, now: datetime) -> Call:
    """1101."""
    data = {**_shown(shown), "begntime": _time(now), "psn_cert_type": "", "certno": "", "psn_name": ""}
    return _call(PERSON, institution, data, device=claim.terminal_id, evidence_sha256=shown.evidence_sha256)


def insured_as(answer: Answer) -> InsuredAs | None:
    """Return whom the core takes them for, by their first insurance that is in force; None when none is.

    Raises:
        AnswerGarbledError: the answer names nobody, or no region.
    """
    psn_no = _text(_node(answer.output, "baseinfo"), "psn_no", is_needed=True)
    insurances = answer.output.get("insuinfo")
    if not isinstance(insurances, list):
        raise AnswerGarbledError(what="insuinfo")
    for insurance in insurances:
        if isinstance(insurance, dict) and str(insurance.get("psn_insu_stas")) == _ACTIVE:
            return InsuredAs(
                psn_no=psn_no,
                insuplc_admdvs=_text(insurance, "insuplc_admdvs", is_needed=True),
                insutype=_text(insurance, "insutype", is_needed=True),
            )
    return None


def register(institution: Institution, visit: Visit, shown: Entitlement, *, now: datetime) -> Call:
    """2201."""
    data: dict[str, Json] = {
        "psn_no": visit.psn_no,
        "insutype": visit.insutype,
        "begntime": _time(now),
        **_shown(shown),
        "ipt_otp_no": visit.ipt_otp_no,
        "atddr_no": "",
        "dr_name": "",
        "dept_code": "",
        "dept_name": "",
        "caty": "",
    }
    return _of_visit(REGISTER, institution, visit, data, shown=shown)


def mdtrt_id_from(answer: Answer) -> str:
    """Return the core's number of a visit.

    Raises:
        AnswerGarbledError: there is none.
    """
    return _text(_node(answer.output, "data"), "mdtrt_id", is_needed=True)


def unregister(institution: Institution, visit: Visit) -> Call:
    """2202."""
    data: dict[str, Json] = {"psn_no": visit.psn_no, "mdtrt_id": visit.mdtrt_id, "ipt_otp_no": visit.ipt_otp_no}
    return _of_visit(UNREGISTER, institution, visit, data)


def money(
    infno: str, kind: Kind, institution: Institution, visit: Visit, shown: Entitlement, *, form: AmountForm
) -> Call:
    """2206 and 2207, 2101 and 2102: what would be, and what is to be."""
    data: dict[str, Json] = {
        "psn_no": visit.psn_no,
        **_shown(shown),
        "med_type": kind.med_type,
        "medfee_sumamt": _amount(visit.total_fen, form),
        "psn_setlway": kind.psn_setlway,
        "mdtrt_id": visit.mdtrt_id,
        "chrg_bchno": visit.ipt_otp_no,
        "insutype": visit.insutype,
        "acct_used_flag": "1" if kind.uses_account else "0",
        "invono": "",
        "fulamt_ownpay_amt": _amount(visit.not_covered_fen, form),
        "overlmt_selfpay": _amount(0, form),
        "preselfpay_amt": _amount(0, form),
        "inscp_scp_amt": _amount(visit.total_fen - visit.not_covered_fen, form),
    }
    nodes: dict[str, Json] = {kind.node: data}
    if kind.has_lines:
        nodes["drugdetail"] = []
    return Call(
        infno=infno,
        institution=institution,
        input=nodes,
        insuplc_admdvs=visit.insuplc_admdvs,
        device=visit.terminal_id,
        evidence_sha256=shown.evidence_sha256,
    )


def undo(kind: Kind, institution: Institution, visit: Visit) -> Call:
    """2208 and 2103."""
    data: dict[str, Json] = {"psn_no": visit.psn_no, "mdtrt_id": visit.mdtrt_id, "setl_id": visit.setl_id}
    return _of_visit(kind.undo, institution, visit, data)


def reverse(institution: Institution, visit: Visit, *, msgid: str, infno: str) -> Call:
    """2601."""
    data: dict[str, Json] = {"psn_no": visit.psn_no, "omsgid": msgid, "oinfno": infno}
    return _of_visit(REVERSE, institution, visit, data)


def query(institution: Institution, visit: Visit) -> Call:
    """5203."""
    data: dict[str, Json] = {"psn_no": visit.psn_no, "mdtrt_id": visit.mdtrt_id, "setl_id": visit.setl_id}
    return _of_visit(QUERY, institution, visit, data)


def settled_from(answer: Answer, *, fund_parts: Collection[str]) -> Settled | None:
    """Return what the core has booked or would book; None when it says that there is nothing.

    Args:
        answer: of a pre-settlement, a settlement or a query.
        fund_parts: names of the parts of the fund that are read, where they are told.

    Raises:
        AnswerGarbledError: amounts are missing or unreadable.
    """
    if "setlinfo" in answer.output and answer.output["setlinfo"] is None:
        return None
    info = _node(answer.output, "setlinfo")
    try:
        return Settled(
            psn_no=_text(info, "psn_no"),
            mdtrt_id=_text(info, "mdtrt_id"),
            setl_id=_text(info, "setl_id"),
            medins_setl_id=_text(info, "medins_setl_id"),
            is_undone=_text(info, "refd_setl_flag") == "1",
            booked_at=_moment(_text(info, "setl_time")),
            total_fen=fen_from_yuan(info.get("medfee_sumamt")),
            fund_fen=fen_from_yuan(info.get("fund_pay_sumamt")),
            person_fen=fen_from_yuan(info.get("psn_part_amt")),
            account_fen=fen_from_yuan(info.get("acct_pay")),
            cash_fen=fen_from_yuan(info.get("psn_cash_pay")),
            mutual_aid_fen=_optional(info, "acct_mulaid_pay"),
            hospital_fen=_optional(info, "hosp_part_amt"),
            balance_fen=_optional(info, "balc"),
            fund_parts={name: fen_from_yuan(info[name]) for name in fund_parts if info.get(name) not in (None, "")},
        )
    except AmountUnreadableError as error:
        raise AnswerGarbledError(what="setlinfo") from error


def _call(
    infno: str, institution: Institution, data: Mapping[str, Json], *, device: str, evidence_sha256: str = ""
) -> Call:
    return Call(
        infno=infno, institution=institution, input={"data": data}, device=device, evidence_sha256=evidence_sha256
    )


def _of_visit(
    infno: str, institution: Institution, visit: Visit, data: Mapping[str, Json], *, shown: Entitlement | None = None
) -> Call:
    return Call(
        infno=infno,
        institution=institution,
        input={"data": data},
        insuplc_admdvs=visit.insuplc_admdvs,
        device=visit.terminal_id,
        evidence_sha256=shown.evidence_sha256 if shown is not None else "",
    )


def _shown(shown: Entitlement) -> dict[str, Json]:
    return {
        "mdtrt_cert_type": _CERTIFICATES[shown.kind],
        "mdtrt_cert_no": shown.number,
        "card_sn": shown.number if shown.kind is EntitlementKind.CARD else "",
    }


def _amount(fen: int, form: AmountForm) -> Json:
    yuan = yuan_from_fen(fen)
    return Number(yuan) if form is AmountForm.NUMBER else yuan


def _time(moment: datetime) -> str:
    return moment.astimezone(CHINA).strftime(_TIME)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=CHINA)
    except ValueError:
        return None


def _node(output: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    node = output.get(name)
    if not isinstance(node, dict):
        raise AnswerGarbledError(what=name)
    return node


def _text(node: Mapping[str, Any], name: str, *, is_needed: bool = False) -> str:
    """Return a short text; numbers that a core writes without quotes are taken as they stand."""
    value = node.get(name)
    text = "" if value is None else str(value)
    if len(text) > _TEXT_MAX or (is_needed and not text):
        raise AnswerGarbledError(what=name)
    return text


def _optional(node: Mapping[str, Any], name: str) -> int:
    value = node.get(name)
    return 0 if value is None or value == "" else fen_from_yuan(value)
