"""A hospital that speaks the national envelope by hand, to try the simulated core; shares no code with our client."""

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

CREDENTIAL = "c" * 40
"""Token of a made-up credential."""
INSTITUTION = "H99010000001"
REGION = "990100"

_NUMBERS = itertools.count(1)
"""Of all messages of this process: a core that several tests share must never hear one id twice."""

Answer = dict[str, Any]
Send = Callable[[bytes], bytes]
Sealed = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Institution:
    """Sends messages one after the other; what they answer is returned as it came."""

    def __init__(self, send: Send, *, code: str = INSTITUTION, seal: Sealed = lambda envelope: envelope) -> None:
        """Take how bytes get there.

        Args:
            send: posts a body and returns the answer's.
            code: which institution it is.
            seal: puts signature or cipher on an envelope before it is sent.
        """
        self._send = send
        self._code = code
        self._seal = seal
        self.sign_no = ""

    def envelope(self, infno: str, input_: Mapping[str, Any], *, msgid: str = "") -> dict[str, Any]:
        """Return an envelope that keeps every rule."""
        return {
            "infno": infno, "msgid": msgid or f"{self._code}20261122090000{next(_NUMBERS):04d}",
            "mdtrtarea_admvs": REGION, "insuplc_admdvs": REGION, "recer_sys_code": "FSI", "dev_no": "T-1",
            "dev_safe_info": "d" * 64, "cainfo": "", "signtype": "", "infver": "V1.0", "opter_type": "2", "opter": "T1",
            "opter_name": "T1", "inf_time": "2026-11-22 09:00:00", "fixmedins_code": self._code,
            "fixmedins_name": "模拟医院", "sign_no": self.sign_no, "app_id": "APP-1", "input": dict(input_),
        }  # fmt: skip

    def ask(self, infno: str, input_: Mapping[str, Any], *, msgid: str = "", **changes: object) -> Answer:
        """Send a call and return the whole answer."""
        envelope = {**self.envelope(infno, input_, msgid=msgid), **changes}
        answer: Answer = json.loads(self.ask_raw(envelope))
        return answer

    def ask_raw(self, envelope: Mapping[str, Any]) -> bytes:
        """Send an envelope and return the answer's bytes."""
        return self._send(json.dumps(self._seal(envelope), ensure_ascii=False).encode())

    def sign_in(self) -> str:
        """Get a sign-in number and use it from now on."""
        answer = self.ask("9001", {"signIn": {"opter_no": "T1", "mac": "00-00", "ip": "127.0.0.1"}})
        self.sign_no = answer["output"]["signinoutb"]["sign_no"]
        return self.sign_no

    def visit(self, token: str = CREDENTIAL) -> dict[str, str]:
        """Find somebody and register them; return what a bill's input begins with."""
        shown = {"mdtrt_cert_type": "01", "mdtrt_cert_no": token}
        person = self.ask("1101", {"data": shown})["output"]["baseinfo"]["psn_no"]
        registered = {
            **shown,
            "psn_no": person,
            "insutype": "310",
            "begntime": "2026-11-22 09:00:00",
            "ipt_otp_no": "1",
        }
        visit = self.ask("2201", {"data": registered})["output"]["data"]["mdtrt_id"]
        return {**shown, "psn_no": person, "insutype": "310", "mdtrt_id": visit}


def a_bill(visit: Mapping[str, str], **changes: object) -> dict[str, Any]:
    """Return the input of 2206 and 2207: 326.80, of which 26.80 is not covered."""
    bill: dict[str, Any] = {
        **visit, "med_type": "11", "medfee_sumamt": "326.80", "fulamt_ownpay_amt": "26.80", "psn_setlway": "01",
        "chrg_bchno": "B1", "acct_used_flag": "1",
    }  # fmt: skip
    return {"data": {**bill, **changes}}


def named(visit: Mapping[str, str], **more: str) -> dict[str, Any]:
    """Return the input of a call about a visit."""
    return {"data": {"psn_no": visit["psn_no"], "mdtrt_id": visit["mdtrt_id"], **more}}


def reversal(visit: Mapping[str, str], msgid: str, *, infno: str = "2207") -> dict[str, Any]:
    """Return the input of 2601."""
    return {"data": {"psn_no": visit["psn_no"], "omsgid": msgid, "oinfno": infno}}
