"""What a core says is believed only when it adds up and is what was agreed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.settlement.insurers.fsi.amounts import yuan_from_fen
from server.settlement.insurers.fsi.calls import Settled, settled_from
from server.settlement.insurers.fsi.envelope import Answer
from server.settlement.insurers.fsi.errors import AnswerGarbledError, OutcomeDisagreesError
from server.settlement.insurers.fsi.outcome import check_quoted, check_sums, quotation_from
from server.settlement.insurers.fsi.profile import AnswerSettings
from server.settlement.model import Shares
from tests.support.fsi import a_visit, setlinfo

SETTINGS = AnswerSettings()
QUOTED = Shares(total_fen=8_320, pooled_fund_fen=4_110, personal_account_fen=4_000, self_pay_fen=210)


def settled(**changes: Any) -> Settled:  # noqa: ANN401 - a builder takes what matters by name
    """Return what a core says."""
    found = settled_from(Answer(output={"setlinfo": setlinfo(**changes)}), fund_parts=SETTINGS.fund_parts)
    assert found is not None
    return found


def test_what_adds_up_and_was_quoted_passes() -> None:
    check_sums(settled(), a_visit(), SETTINGS)
    check_quoted(settled(), QUOTED)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"medfee_sumamt": "83.21"}, "medfee_sumamt"),
        ({"medfee_sumamt": "832.00"}, "medfee_sumamt"),
        ({"fund_pay_sumamt": "41.11"}, "fund_pay_sumamt"),
        ({"psn_part_amt": "42.11"}, "fund_pay_sumamt"),
        ({"acct_pay": "40.01"}, "psn_part_amt"),
        ({"psn_cash_pay": "2.11"}, "psn_part_amt"),
        ({"acct_mulaid_pay": "0.01"}, "psn_part_amt"),
        ({"hifp_pay": "41.00"}, "fund_parts"),
        ({"hifmi_pay": "0.01"}, "fund_parts"),
        ({"acct_pay": "44.20", "psn_cash_pay": "-2.10"}, "negative"),
        ({"hifp_pay": "42.10", "oth_pay": "-1.00"}, "negative"),
        ({"hosp_part_amt": "1.00", "psn_part_amt": "41.10", "acct_pay": "39.00"}, "hosp_part_amt"),
        ({"psn_no": "990000000000000043"}, "psn_no"),
        ({"psn_no": ""}, "psn_no"),
        ({"mdtrt_id": "M2"}, "mdtrt_id"),
    ],
)
def test_what_does_not_add_up_or_is_anothers_is_told(changes: dict[str, str], field: str) -> None:
    with pytest.raises(OutcomeDisagreesError) as error:
        check_sums(settled(**changes), a_visit(), SETTINGS)

    assert error.value.field == field


@pytest.mark.parametrize(
    "changes",
    [
        {"fund_pay_sumamt": "40.11", "hifp_pay": "40.11", "psn_part_amt": "43.09", "psn_cash_pay": "3.09"},
        {"acct_pay": "39.99", "psn_cash_pay": "2.11"},
    ],
)
def test_what_adds_up_but_was_not_quoted_is_told(changes: dict[str, str]) -> None:
    check_sums(settled(**changes), a_visit(), SETTINGS)

    with pytest.raises(OutcomeDisagreesError):
        check_quoted(settled(**changes), QUOTED)


@pytest.mark.parametrize("missing", ["medfee_sumamt", "fund_pay_sumamt", "psn_part_amt", "acct_pay", "psn_cash_pay"])
def test_without_an_amount_it_is_no_answer(missing: str) -> None:
    for value in (None, "", "83.200", 1.5, "much"):
        with pytest.raises(AnswerGarbledError):
            settled(**{missing: value})


def test_without_a_settlement_there_is_none_and_without_a_word_it_is_no_answer() -> None:
    assert settled_from(Answer(output={"setlinfo": None}), fund_parts=()) is None
    outputs: tuple[dict[str, object], ...] = ({}, {"setlinfo": []}, {"setlinfo": "none"})
    for output in outputs:
        with pytest.raises(AnswerGarbledError):
            settled_from(Answer(output=output), fund_parts=())


def test_mutual_aid_counts_as_account_and_the_catastrophic_tier_is_told() -> None:
    told = settled(hifp_pay="40.10", hifmi_pay="1.00", acct_pay="30.00", acct_mulaid_pay="10.00")

    quotation = quotation_from(told, SETTINGS)

    assert quotation.shares == Shares(
        total_fen=8_320, pooled_fund_fen=4_110, personal_account_fen=4_000, self_pay_fen=210, catastrophic_fen=100
    )
    assert {line.step: line.amount_fen for line in quotation.reckoning} == {
        "HIFP_PAY": 4_010,
        "HIFMI_PAY": 100,
        "ACCT_PAY": 3_000,
        "PSN_CASH_PAY": 210,
    }


@given(st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.integers(0, 10_000_000), st.integers(-3, 3))
def test_one_fen_off_is_noticed_wherever_it_is(fund: int, account: int, cash: int, off: int) -> None:
    total = fund + account + cash
    told = settled(
        medfee_sumamt=yuan_from_fen(total),
        fund_pay_sumamt=yuan_from_fen(fund + off),
        hifp_pay=yuan_from_fen(fund + off),
        psn_part_amt=yuan_from_fen(account + cash),
        acct_pay=yuan_from_fen(account),
        psn_cash_pay=yuan_from_fen(cash),
    )

    if off == 0:
        check_sums(told, a_visit(total_fen=total), SETTINGS)
    else:
        with pytest.raises(OutcomeDisagreesError):
            check_sums(told, a_visit(total_fen=total), SETTINGS)
