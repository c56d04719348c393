"""Yuan outside, fen inside, nothing lost on the way."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core_simulator.amounts import FEN_MAX, fen, yuan
from server.core_simulator.benefit import parts_of
from server.core_simulator.errors import RefusedError

AMOUNTS = st.integers(min_value=0, max_value=FEN_MAX)


@given(AMOUNTS)
def test_what_goes_out_comes_back_the_same(amount: int) -> None:
    assert fen(yuan(amount), name="x") == fen(Decimal(yuan(amount)), name="x") == amount


@pytest.mark.parametrize(("amount", "written"), [(0, "0.00"), (5, "0.05"), (1_230, "12.30"), (-5, "-0.05")])
def test_amounts_have_two_decimals(amount: int, written: str) -> None:
    assert yuan(amount) == written


@pytest.mark.parametrize("value", ["0.001", "-1", "NaN", "Infinity", "1e400", "", "x", None, True, [], "1" * 17])
def test_what_is_no_amount_is_refused(value: object) -> None:
    with pytest.raises(RefusedError):
        fen(value, name="medfee_sumamt")


@given(total=AMOUNTS, covered=AMOUNTS, balance=AMOUNTS, is_used=st.booleans())
def test_the_parts_add_up_to_the_bill(total: int, covered: int, balance: int, *, is_used: bool) -> None:
    covered = min(covered, total)

    parts = parts_of(medfee_fen=total, covered_fen=covered, account_balance_fen=balance, account_is_used=is_used)

    assert parts.fund_fen + parts.account_fen + parts.cash_fen == total
    assert min(parts.fund_fen, parts.account_fen, parts.cash_fen) >= 0
    assert parts.account_fen <= (balance if is_used else 0)
