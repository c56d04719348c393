"""Does what the core says add up, and is it what was agreed? Pure; the guard before anything is booked."""

from server.settlement.insurers.fsi.calls import Settled
from server.settlement.insurers.fsi.errors import OutcomeDisagreesError
from server.settlement.insurers.fsi.profile import AnswerSettings
from server.settlement.insurers.fsi.records import Visit
from server.settlement.model import Quotation, Reckoning, Shares

_PARTS = {
    "hifp_pay": ("基本医疗保险统筹基金支付", "Basic insurance, pooled fund"),
    "cvlserv_pay": ("公务员医疗补助", "Civil servants' subsidy"),
    "hifes_pay": ("企业补充医疗保险", "Enterprise supplementary insurance"),
    "hifmi_pay": ("大病保险", "Serious illness insurance"),
    "hifob_pay": ("大额医疗费用补助", "Large expense subsidy"),
    "maf_pay": ("医疗救助", "Medical assistance"),
    "oth_pay": ("其他基金支付", "Other funds"),
    "acct_pay": ("个人账户支付", "Personal account"),
    "psn_cash_pay": ("个人现金支付", "Self-paid"),
}


def check_sums(settled: Settled, visit: Visit, settings: AnswerSettings) -> None:
    """Check that the parts sum to the whole, and the whole is the bill.

    Raises:
        OutcomeDisagreesError: they do not, one is negative, or the answer is about another person or visit.
    """
    parts = {name: settled.fund_parts[name] for name in settings.fund_parts if name in settled.fund_parts}
    person = settled.account_fen + settled.cash_fen + settled.mutual_aid_fen
    amounts = (settled.fund_fen, settled.account_fen, settled.cash_fen, settled.mutual_aid_fen, settled.hospital_fen)
    for field, is_right in (
        ("psn_no", settled.psn_no == visit.psn_no),
        ("mdtrt_id", settled.mdtrt_id == visit.mdtrt_id or not visit.mdtrt_id),
        ("medfee_sumamt", settled.total_fen == visit.total_fen),
        ("fund_pay_sumamt", settled.total_fen == settled.fund_fen + settled.person_fen + settled.hospital_fen),
        ("psn_part_amt", settled.person_fen == person),
        ("fund_parts", not parts or sum(parts.values()) == settled.fund_fen),
        ("negative", min(amounts + tuple(parts.values())) >= 0),
        ("hosp_part_amt", settled.hospital_fen == 0),  # nobody on our receipt would pay it
    ):
        if not is_right:
            raise OutcomeDisagreesError(field=field)


def check_quoted(settled: Settled, quoted: Shares) -> None:
    """Check that what was booked is what the patient agreed to.

    Raises:
        OutcomeDisagreesError: it is not.
    """
    if settled.fund_fen != quoted.pooled_fund_fen:
        raise OutcomeDisagreesError(field="fund_pay_sumamt")
    if settled.account_fen + settled.mutual_aid_fen != quoted.personal_account_fen:
        raise OutcomeDisagreesError(field="acct_pay")
    if settled.cash_fen != quoted.self_pay_fen:
        raise OutcomeDisagreesError(field="psn_cash_pay")


def quotation_from(settled: Settled, settings: AnswerSettings) -> Quotation:
    """Return a pre-settlement as a quote, with what the core tells of how it came about."""
    shares = Shares(
        total_fen=settled.total_fen,
        pooled_fund_fen=settled.fund_fen,
        personal_account_fen=settled.account_fen + settled.mutual_aid_fen,
        self_pay_fen=settled.cash_fen,
        catastrophic_fen=sum(settled.fund_parts.get(name, 0) for name in settings.catastrophic_parts),
    )
    told = {**settled.fund_parts, "acct_pay": settled.account_fen, "psn_cash_pay": settled.cash_fen}
    reckoning = tuple(
        Reckoning(step=name.upper(), amount_fen=told[name], text_zh=zh, text_en=en)
        for name, (zh, en) in _PARTS.items()
        if told.get(name)
    )
    return Quotation(shares=shares, reckoning=reckoning)
