"""When a request is the same request."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from server.settlement.model import Bill
from server.settlement.once import body_digest

BILL = Bill(bill_number="B-1", business_type=1301, total_fen=8_320, not_covered_fen=0)
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
    ]

    assert len(set(bodies)) == len(bodies)
    assert digest() == bodies[0]


@given(st.text(), st.text(), st.text(), st.text())
def test_parts_cannot_flow_into_each_other(terminal_a: str, quote_a: str, terminal_b: str, quote_b: str) -> None:
    same_body = (terminal_a, quote_a) == (terminal_b, quote_b)

    same_digest = digest(terminal_id=terminal_a, quote_id=quote_a) == digest(terminal_id=terminal_b, quote_id=quote_b)

    assert same_digest == same_body
