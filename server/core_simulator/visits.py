"""How does somebody come in? Sign-in of an institution (9001, 9002), person (1101), registration (2201, 2202)."""

from typing import Any

from server.core_simulator.books import Row
from server.core_simulator.desk import Desk
from server.core_simulator.envelope import Message, text
from server.core_simulator.errors import Infcode, RefusedError
from server.core_simulator.people import person_output, shown_from

Output = dict[str, Any]


def sign_in(desk: Desk, message: Message) -> Output:
    """9001: give a sign-in number that is good for a while."""
    fields = message.part("signIn")
    text(fields, "opter_no", length=20)
    text(fields, "mac", length=20)
    text(fields, "ip", length=20)
    at = desk.now()
    sign_no = f"{message.region}{desk.books.next_number('sign_ins'):012d}"
    desk.books.insert(
        "sign_ins",
        sign_no=sign_no,
        institution=message.institution,
        opter=message.operator,
        signed_in_at=at.timestamp(),
        ends_at=(at + desk.sign_in_lifetime).timestamp(),
    )
    return {"signinoutb": {"sign_time": f"{desk.here():%Y-%m-%d %H:%M:%S}", "sign_no": sign_no}}


def sign_out(desk: Desk, message: Message) -> Output:
    """9002: end a sign-in."""
    fields = message.part("signOut")
    sign_no = text(fields, "sign_no", length=30)
    text(fields, "opter_no", length=20)
    if not desk.books.run(
        "UPDATE sign_ins SET ends_at = 0 WHERE sign_no = ? AND institution = ?", sign_no, message.institution
    ):
        raise RefusedError(Infcode.NOT_SIGNED_IN)
    return {"signoutoutb": {"sign_time": f"{desk.here():%Y-%m-%d %H:%M:%S}"}}


def check_signed_in(desk: Desk, message: Message) -> None:
    """Refuse whoever has no sign-in number that is good.

    Raises:
        RefusedError: unknown, over, or another institution's.
    """
    row = desk.books.one(
        "SELECT ends_at FROM sign_ins WHERE sign_no = ? AND institution = ?", message.sign_no, message.institution
    )
    if row is None or row["ends_at"] <= desk.now().timestamp():
        raise RefusedError(Infcode.NOT_SIGNED_IN)


def person(desk: Desk, message: Message) -> Output:
    """1101: say who holds a certificate, and what insures them."""
    found = desk.people.who(shown_from(message.part()), region=message.region)
    return person_output(found, today=desk.here().date())


def register(desk: Desk, message: Message) -> Output:
    """2201: open a visit."""
    fields = message.part()
    psn_no = text(fields, "psn_no", length=30)
    text(fields, "insutype", length=6)
    text(fields, "begntime", length=19)
    desk.people.check(psn_no, shown_from(fields))
    ipt_otp_no = text(fields, "ipt_otp_no", length=30)
    mdtrt_id = open_visit(desk, message, psn_no=psn_no, ipt_otp_no=ipt_otp_no)
    return {"data": {"mdtrt_id": mdtrt_id, "psn_no": psn_no, "ipt_otp_no": ipt_otp_no}}


def unregister(desk: Desk, message: Message) -> Output:
    """2202: close a visit that nothing stands settled for."""
    fields = message.part()
    psn_no, mdtrt_id = text(fields, "psn_no", length=30), text(fields, "mdtrt_id", length=30)
    found = visit(desk, message, psn_no=psn_no, mdtrt_id=mdtrt_id)
    standing = desk.books.one("SELECT 1 FROM settlements WHERE mdtrt_id = ? AND state = 'SETTLED'", mdtrt_id)
    if standing is not None:
        raise RefusedError(Infcode.SETTLEMENT_STATE)
    desk.books.run("UPDATE visits SET is_open = 0 WHERE mdtrt_id = ?", found["mdtrt_id"])
    return {}


def open_visit(desk: Desk, message: Message, *, psn_no: str, ipt_otp_no: str) -> str:
    """Open a visit and return its id."""
    mdtrt_id = f"M{message.region}{desk.books.next_number('visits'):012d}"
    desk.books.insert(
        "visits",
        mdtrt_id=mdtrt_id,
        psn_no=psn_no,
        institution=message.institution,
        ipt_otp_no=ipt_otp_no,
        is_open=1,
        opened_at=desk.now().isoformat(),
    )
    return mdtrt_id


def visit(desk: Desk, message: Message, *, psn_no: str, mdtrt_id: str) -> Row:
    """Return an open visit of this person at this institution.

    Raises:
        RefusedError: there is none.
    """
    row = desk.books.one(
        "SELECT * FROM visits WHERE mdtrt_id = ? AND psn_no = ? AND institution = ? AND is_open = 1",
        mdtrt_id,
        psn_no,
        message.institution,
    )
    if row is None:
        raise RefusedError(Infcode.VISIT_UNKNOWN)
    return row
