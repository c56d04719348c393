"""What is settled in the simulated core's books, and how is it told?"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from server.core_simulator.amounts import yuan
from server.core_simulator.benefit import Parts
from server.core_simulator.books import Books, Row
from server.core_simulator.envelope import Message
from server.core_simulator.errors import Infcode, RefusedError

CLEARING: Final = {"2207": "11", "2206": "11", "2102": "41", "2101": "41"}
"""`clr_type` by call: outpatient and pharmacy."""


class State(StrEnum):
    """How a settlement stands."""

    SETTLED = "SETTLED"
    CANCELLED = "CANCELLED"
    """By 2208 or 2103."""
    REVERSED = "REVERSED"
    """By 2601."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is to be settled, in fen."""

    mdtrt_id: str
    psn_no: str
    insutype: str
    med_type: str
    chrg_bchno: str
    invono: str
    medfee_fen: int
    covered_fen: int
    account_is_used: bool


class Settlements:
    """The settlements, in the books."""

    def __init__(self, books: Books) -> None:
        self._books: Final = books

    def book(self, message: Message, bill: Bill, parts: Parts, *, balance_fen: int, at: datetime) -> Row:
        """Write a settlement down.

        Args:
            message: which call brought it.
            bill: what it is for.
            parts: who pays what.
            balance_fen: what is left in the account.
            at: when, in the core's own zone.
        """
        number = self._books.next_number("settlements")
        setl_id = f"S{message.region}{number:012d}"
        self._books.insert(
            "settlements",
            number=number,
            setl_id=setl_id,
            mdtrt_id=bill.mdtrt_id,
            msgid=message.msgid,
            infno=message.infno,
            psn_no=bill.psn_no,
            institution=message.institution,
            insutype=bill.insutype,
            clr_type=CLEARING[message.infno],
            med_type=bill.med_type,
            chrg_bchno=bill.chrg_bchno,
            invono=bill.invono,
            dev_no=message.device,
            dev_safe_info=message.evidence,
            medfee_fen=bill.medfee_fen,
            covered_fen=bill.covered_fen,
            fund_fen=parts.fund_fen,
            account_fen=parts.account_fen,
            cash_fen=parts.cash_fen,
            balance_after_fen=balance_fen,
            state=State.SETTLED,
            settled_at=at.isoformat(timespec="seconds"),
            settled_on=at.date().isoformat(),
        )
        return self.required(setl_id)

    def required(self, setl_id: str) -> Row:
        """Return one settlement.

        Raises:
            RefusedError: there is none.
        """
        row = self._books.one("SELECT * FROM settlements WHERE setl_id = ?", setl_id)
        if row is None:
            raise RefusedError(Infcode.SETTLEMENT_UNKNOWN)
        return row

    def of_message(self, msgid: str) -> Row | None:
        """Return what a msgid has booked."""
        return self._books.one("SELECT * FROM settlements WHERE msgid = ?", msgid)

    def ended_by(self, msgid: str) -> Row | None:
        """Return what a msgid has cancelled."""
        return self._books.one("SELECT * FROM settlements WHERE ended_by = ? AND state = 'CANCELLED'", msgid)

    def of_visit(self, *, institution: str, psn_no: str, mdtrt_id: str, setl_id: str = "") -> Row | None:
        """Return the newest settlement of a visit, of one that stands before one that does not; or None."""
        return self._books.one(
            "SELECT * FROM settlements WHERE institution = ? AND psn_no = ? AND mdtrt_id = ? AND ? IN ('', setl_id)"
            " ORDER BY state = 'SETTLED' DESC, number DESC LIMIT 1",
            institution,
            psn_no,
            mdtrt_id,
            setl_id,
        )

    def end(self, row: Row, state: State, *, ended_by: str, at: datetime) -> None:
        """Take a settlement back."""
        self._books.run(
            "UPDATE settlements SET state = ?, ended_by = ?, ended_at = ? WHERE setl_id = ?",
            state,
            ended_by,
            at.isoformat(),
            row["setl_id"],
        )

    def restore(self, row: Row) -> None:
        """Let a settlement stand again, because its cancelling was reversed."""
        self._books.run(
            "UPDATE settlements SET state = 'SETTLED', ended_by = NULL, ended_at = NULL WHERE setl_id = ?",
            row["setl_id"],
        )


def settlement_output(row: Row, person: Row) -> dict[str, Any]:
    """Return `setlinfo` and `setldetail` of a settlement as the national answer names them."""
    fields = {
        "setl_id": row["setl_id"],
        "setl_time": row["settled_at"][:19].replace("T", " "),
        "medins_setl_id": row["msgid"],
        "refd_setl_flag": "0" if row["state"] == State.SETTLED else "1",
        "clr_type": row["clr_type"],
        "invono": row["invono"],
    }
    amounts = {name: int(row[name]) for name in ("medfee_fen", "covered_fen", "fund_fen", "account_fen", "cash_fen")}
    return _output(
        fields, amounts, person, mdtrt_id=row["mdtrt_id"], balance_fen=row["balance_after_fen"],
        med_type=row["med_type"], insutype=row["insutype"],
    )  # fmt: skip


def quote_output(message: Message, bill: Bill, parts: Parts, person: Row) -> dict[str, Any]:
    """Return what a settlement of this bill would be told as; nothing is written."""
    amounts = {
        "medfee_fen": bill.medfee_fen,
        "covered_fen": bill.covered_fen,
        "fund_fen": parts.fund_fen,
        "account_fen": parts.account_fen,
        "cash_fen": parts.cash_fen,
    }
    fields = {"medins_setl_id": message.msgid, "clr_type": CLEARING[message.infno]}
    balance = int(person["balance_fen"]) - parts.account_fen
    return _output(
        fields, amounts, person, mdtrt_id=bill.mdtrt_id, balance_fen=balance, med_type=bill.med_type,
        insutype=bill.insutype,
    )  # fmt: skip


def _output(
    fields: Mapping[str, str], amounts: Mapping[str, int], person: Row, *, mdtrt_id: str, balance_fen: int,
    med_type: str, insutype: str,
) -> dict[str, Any]:  # fmt: skip
    fund, account, cash = amounts["fund_fen"], amounts["account_fen"], amounts["cash_fen"]
    nothing = dict.fromkeys(
        ("cvlserv_pay", "hifes_pay", "hifmi_pay", "hifob_pay", "maf_pay", "oth_pay", "hosp_part_amt", "acct_mulaid_pay",
         "act_pay_dedc"),
        yuan(0),
    )  # fmt: skip
    info = {
        **fields,
        "mdtrt_id": mdtrt_id, "psn_no": person["psn_no"], "psn_name": person["psn_name"],
        "psn_cert_type": "01", "certno": person["certno"], "gend": person["gend"], "brdy": person["brdy"],
        "insutype": insutype, "psn_type": person["psn_type"], "med_type": med_type,
        "medfee_sumamt": yuan(amounts["medfee_fen"]), "inscp_scp_amt": yuan(amounts["covered_fen"]),
        "hifp_pay": yuan(fund), "fund_pay_sumamt": yuan(fund), "psn_part_amt": yuan(account + cash),
        "acct_pay": yuan(account), "psn_cash_pay": yuan(cash), "balc": yuan(balance_fen), **nothing,
    }  # fmt: skip
    detail = {
        "fund_pay_type": "310100", "fund_pay_type_name": "基本医疗保险统筹基金",
        "inscp_scp_amt": yuan(amounts["covered_fen"]), "crt_payb_lmt_amt": yuan(0), "fund_payamt": yuan(fund),
    }  # fmt: skip
    return {"setlinfo": info, "setldetail": [detail]}
