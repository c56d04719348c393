"""When a request is the same request."""

import hashlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from server.settlement.model import Bill, SelfPay, SelfPayKind
from server.settlement.once import body_digest

BILL = Bill(bill_number="B-1", business_type=1301, total_fen=8_320, not_covered_fen=0)
CASH = SelfPay(kind=SelfPayKind.CASH, amount_fen=1)
BODY = {"terminal_id": "t", "quote_id": "q", "bill": BILL, "authorized_by": "card:p"}


def digest(**changes: object) -> str:
    """Return the digest of a body."""
    return body_digest(**{**BODY, **changes})  # type: ignore[arg-type] # by name


def test_each_part_of_the_body_changes_the_digest() -> None:
    bodies = [
        digest(),
        digest(terminal_id="u"),
        digest(quote_id="r"),
        digest(authorized_by="face:p"),
        digest(authorized_by="card:o"),
        digest(bill=replace(BILL, bill_number="B-2")),
        digest(bill=replace(BILL, business_type=1302)),
        digest(bill=replace(BILL, total_fen=8_321)),
        digest(bill=replace(BILL, not_covered_fen=1)),
        digest(bill=replace(BILL, stay_number="Z")),
        digest(bill=replace(BILL, chronic_disease="Z")),
        digest(binding_id="Z"),
        digest(self_pay=(CASH,)),
        digest(self_pay=(replace(CASH, amount_fen=2),)),
        digest(self_pay=(replace(CASH, kind=SelfPayKind.CREDIT),)),
        digest(self_pay=(CASH, replace(CASH, kind=SelfPayKind.CREDIT))),
    ]

    assert len(set(bodies)) == len(bodies)
    assert digest() == bodies[0]


@given(st.text(), st.text(), st.text(), st.text())
def test_parts_cannot_flow_into_each_other(terminal_a: str, quote_a: str, terminal_b: str, quote_b: str) -> None:
    same_body = (terminal_a, quote_a) == (terminal_b, quote_b)

    same_digest = digest(terminal_id=terminal_a, quote_id=quote_a) == digest(terminal_id=terminal_b, quote_id=quote_b)

    assert same_digest == same_body


def test_i05_a_request_that_the_release_before_knew_keeps_the_digest_it_had() -> None:
    """Else its repetition after an upgrade, or at another replica during one, would be taken for another request."""
    written = b'["t","q","B-1",1301,8320,0,"card:p"]'

    assert digest() == hashlib.sha256(written).hexdigest()
