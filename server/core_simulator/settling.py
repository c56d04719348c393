"""How is a bill settled, looked up, cancelled and reversed? 2206, 2207, 2208, 2101 to 2103, 5203 and 2601."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from server.core_simulator.amounts import fen
from server.core_simulator.benefit import Parts, parts_of
from server.core_simulator.books import Row
from server.core_simulator.desk import Desk
from server.core_simulator.envelope import Message, text
from server.core_simulator.errors import Infcode, RefusedError
from server.core_simulator.people import shown_from
from server.core_simulator.settlements import Bill, State, quote_output, settlement_output
from server.core_simulator.visits import Output, open_visit, visit

_NOT_COVERED: Final = ("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt")
_UNDONE_BY: Final[Mapping[str, str]] = {"2207": "2208", "2102": "2103"}
_REVERSIBLE: Final = frozenset([*_UNDONE_BY, *_UNDONE_BY.values()])


def quote(desk: Desk, message: Message) -> Output:
    """2206: say who would pay what for a visit's bill; books nothing."""
    bill, person = _bill(desk, message, "data")
    visit(desk, message, psn_no=bill.psn_no, mdtrt_id=bill.mdtrt_id)
    return quote_output(message, bill, _parts(bill, person), person)


def settle(desk: Desk, message: Message) -> Output:
    """2207: settle a visit's bill."""
    bill, person = _bill(desk, message, "data")
    visit(desk, message, psn_no=bill.psn_no, mdtrt_id=bill.mdtrt_id)
    return _booked(desk, message, bill, person)


def quote_pharmacy(desk: Desk, message: Message) -> Output:
    """2101: say who would pay what at a pharmacy; opens the visit that 2102 may name."""
    bill, person = _bill(desk, message, "druginfo")
    return quote_output(message, _with_visit(desk, message, bill), _parts(bill, person), person)


def settle_pharmacy(desk: Desk, message: Message) -> Output:
    """2102: settle a pharmacy's bill."""
    bill, person = _bill(desk, message, "druginfo")
    return _booked(desk, message, _with_visit(desk, message, bill), person)


def cancel(desk: Desk, message: Message) -> Output:
    """2208 and 2103: undo a settlement on request."""
    fields = message.part()
    psn_no = text(fields, "psn_no", length=30)
    row = desk.settlements.required(text(fields, "setl_id", length=30))
    named = (psn_no, text(fields, "mdtrt_id", length=30), message.institution)
    if named != (row["psn_no"], row["mdtrt_id"], row["institution"]) or message.infno != _UNDONE_BY[row["infno"]]:
        raise RefusedError(Infcode.SETTLEMENT_UNKNOWN)
    if row["state"] != State.SETTLED:
        raise RefusedError(Infcode.SETTLEMENT_STATE)
    _give_back(desk, row, State.CANCELLED, ended_by=message.msgid)
    return settlement_output(desk.settlements.required(row["setl_id"]), desk.people.named(psn_no))


def look_up(desk: Desk, message: Message) -> Output:
    """5203: tell how a visit was settled; `setlinfo` is null when it was not."""
    fields = message.part()
    psn_no = text(fields, "psn_no", length=30)
    found = desk.settlements.of_visit(
        institution=message.institution,
        psn_no=psn_no,
        mdtrt_id=text(fields, "mdtrt_id", length=30),
        setl_id=text(fields, "setl_id", length=30, is_required=False),
    )
    if found is None:
        return {"setlinfo": None, "setldetail": []}
    return settlement_output(found, desk.people.named(psn_no))


def reverse(desk: Desk, message: Message) -> Output:
    """2601: make sure that a message has booked nothing and never will, even if it has not arrived yet."""
    fields = message.part()
    psn_no = text(fields, "psn_no", length=30)
    msgid, infno = text(fields, "omsgid", length=30), text(fields, "oinfno", length=4)
    if infno not in _REVERSIBLE:
        raise RefusedError(Infcode.NOT_REVERSIBLE)
    original = desk.books.message(msgid)
    if original is not None and (original.infno, original.psn_no) != (infno, psn_no):
        raise RefusedError(Infcode.NOT_REVERSIBLE)
    settled, cancelled = desk.settlements.of_message(msgid), desk.settlements.ended_by(msgid)
    if any(row is not None and row["institution"] != message.institution for row in (settled, cancelled)):
        raise RefusedError(Infcode.NOT_REVERSIBLE)
    if settled is not None and settled["state"] == State.SETTLED:
        _give_back(desk, settled, State.REVERSED, ended_by=message.msgid)
    if cancelled is not None:
        desk.people.move(cancelled["psn_no"], -cancelled["account_fen"])
        desk.settlements.restore(cancelled)
    desk.books.bury(msgid, reversed_by=message.msgid, at=desk.now())
    return {}


def _give_back(desk: Desk, row: Row, state: State, *, ended_by: str) -> None:
    desk.people.move(row["psn_no"], row["account_fen"])
    desk.settlements.end(row, state, ended_by=ended_by, at=desk.now())


def _booked(desk: Desk, message: Message, bill: Bill, person: Row) -> Output:
    parts = _parts(bill, person)
    balance = desk.people.move(bill.psn_no, -parts.account_fen)
    row = desk.settlements.book(message, bill, parts, balance_fen=balance, at=desk.here())
    return settlement_output(row, person)


def _parts(bill: Bill, person: Row) -> Parts:
    return parts_of(
        medfee_fen=bill.medfee_fen,
        covered_fen=bill.covered_fen,
        account_balance_fen=person["balance_fen"],
        account_is_used=bill.account_is_used,
    )


def _bill(desk: Desk, message: Message, part: str) -> tuple[Bill, Row]:
    """Return the bill of an input and the person it is for, whose own certificate it names."""
    fields = message.part(part)
    person = desk.people.check(text(fields, "psn_no", length=30), shown_from(fields))
    return _checked(fields, is_visit=part == "data"), person


def _checked(fields: Mapping[str, Any], *, is_visit: bool) -> Bill:
    medfee = fen(fields.get("medfee_sumamt"), name="medfee_sumamt")
    own = {name: fen(fields[name], name=name) for name in _NOT_COVERED if fields.get(name) not in (None, "")}
    named = fields.get("inscp_scp_amt")
    covered = medfee - sum(own.values()) if named in (None, "") else fen(named, name="inscp_scp_amt")
    if not medfee or not 0 <= covered <= medfee - sum(own.values()):
        raise RefusedError(Infcode.FIELD, detail="medfee_sumamt")
    flag = text(fields, "acct_used_flag", length=3)
    if flag not in {"0", "1"}:
        raise RefusedError(Infcode.FIELD, detail="acct_used_flag")
    if is_visit:
        text(fields, "psn_setlway", length=6)
    return Bill(
        mdtrt_id=text(fields, "mdtrt_id", length=30, is_required=is_visit),
        psn_no=text(fields, "psn_no", length=30),
        insutype=text(fields, "insutype", length=6),
        med_type=text(fields, "med_type", length=6),
        chrg_bchno=text(fields, "chrg_bchno", length=30, is_required=is_visit),
        invono=text(fields, "invono", length=20, is_required=False),
        medfee_fen=medfee,
        covered_fen=covered,
        account_is_used=flag == "1",
    )


def _with_visit(desk: Desk, message: Message, bill: Bill) -> Bill:
    """Return a pharmacy's bill with the visit that it names, or with a new one."""
    if bill.mdtrt_id:
        visit(desk, message, psn_no=bill.psn_no, mdtrt_id=bill.mdtrt_id)
        return bill
    return replace(bill, mdtrt_id=open_visit(desk, message, psn_no=bill.psn_no, ipt_otp_no=message.msgid))
